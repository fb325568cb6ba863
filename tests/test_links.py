"""A link while nothing is wrong: a good proxy loses nothing, balloons at nothing, and hides nothing."""

import errno
import hashlib
import os
import random
import resource
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from runner import clock
from runner.errors import OperationFailed
from runner.links.loop import Loop
from runner.links.proxy import listeners, resolve
from runner.links.relay import Relay
from tests.link_parts import PATIENCE, crowd_server, echo, greet, proxy, receive, round_trip, server, until

LOT = 64 << 20  # bytes


@pytest.fixture
def link(tmp_path):
    with server(echo) as upstream, proxy(upstream, tmp_path) as running:
        yield running


def test_what_is_sent_comes_back(link):
    with link.client() as client:
        for size in (1, 1000, 100_000):
            round_trip(client, os.urandom(size))


def test_the_upstream_may_speak_first(tmp_path):
    with server(greet) as upstream, proxy(upstream, tmp_path) as link, link.client() as client:
        assert receive(client, 6) == b"hello\n"


def test_a_half_closed_connection_still_gets_its_answer(tmp_path):
    def answer_at_the_end(peer):
        whole = b""
        while data := peer.recv(65536):
            whole += data
        peer.sendall(hashlib.sha256(whole).digest())

    with server(answer_at_the_end) as upstream, proxy(upstream, tmp_path) as link, link.client() as client:
        sent = os.urandom(300_000)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 32) == hashlib.sha256(sent).digest()
        assert client.recv(1) == b""
        until(lambda: link.state().connections == 0)


def test_an_upstream_that_closes_first_is_seen_by_the_client(tmp_path):
    with server(lambda peer: peer.sendall(b"bye")) as upstream, proxy(upstream, tmp_path) as link:
        with link.client() as client:
            assert receive(client, 3) == b"bye"
            assert client.recv(1) == b""
        until(lambda: link.state().connections == 0)


def test_a_reset_of_one_side_is_a_reset_of_the_other(tmp_path):
    seen = []

    def wait_for_the_end(peer):
        peer.sendall(b"go")
        try:
            seen.append(peer.recv(1))
        except OSError as error:
            seen.append(error.errno)

    with server(wait_for_the_end) as upstream, proxy(upstream, tmp_path) as link:
        client = link.client()
        receive(client, 2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        until(lambda: bool(seen))
    assert seen == [errno.ECONNRESET]


def test_an_upstream_that_is_not_there_resets_the_client(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with proxy(address, tmp_path) as link, pytest.raises(ConnectionResetError), link.client() as client:
        client.recv(1)


def test_an_address_of_a_family_that_the_kernel_lacks_is_no_reason_to_try_no_other():
    """As ::1 of `localhost` is where IPv6 is switched off."""
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as here:
        there.settimeout(1.0)
        relay = Relay(loop, "store", here, [(9999, ("::1", 1)), (socket.AF_INET, there.getsockname())])

        def reached():
            there.accept()[0].close()
            for connection in tuple(relay.connections):
                connection.reset()
            loop.call_at(clock.now() + 0.05, leave)  # what was reset is closed before

        with socket.create_connection(here.getsockname(), timeout=PATIENCE):
            loop.call_at(clock.now() + 0.1, reached)
            with pytest.raises(SystemExit):
                loop.run()


def leave():
    raise SystemExit


@pytest.mark.parametrize("spare", [6, 7], ids=["for whole connections", "for a client without an upstream"])
def test_a_proxy_without_descriptors_serves_whom_it_can_and_lives(link, spare):
    pid, served = link.process.pid, link.client()
    with served:
        round_trip(served, b"served")
        taken = {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}
        most = next(most for most in range(200) if len(set(range(most)) - taken) == spare)
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        with ExitStack() as others:
            for _ in range(12):
                with suppress(ConnectionError):  # one that cannot be served is reset at once
                    others.enter_context(link.client())
            for _ in range(20):
                round_trip(served, b"still")
            assert link.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        with link.client() as client:
            round_trip(client, b"and again")


def test_a_slow_reader_holds_up_the_sender_and_the_proxy_stays_small(tmp_path):
    parts = random.Random(7).randbytes(1 << 20)

    def pour(peer):
        for _ in range(LOT >> 20):
            peer.sendall(parts)

    with server(pour) as upstream, proxy(upstream, tmp_path) as link, link.client() as client:
        before = psutil.Process(link.process.pid).memory_info().rss
        receive(client, 1)
        time.sleep(0.3)  # the time in which a proxy without backpressure would swallow it all
        assert psutil.Process(link.process.pid).memory_info().rss - before < 8 << 20
        digest, size = hashlib.sha256(parts[:1]), 1
        while data := client.recv(1 << 18):
            digest.update(data)
            size += len(data)
        assert psutil.Process(link.process.pid).memory_info().rss - before < 8 << 20
    whole = hashlib.sha256()
    for _ in range(LOT >> 20):
        whole.update(parts)
    assert (size, digest.hexdigest()) == (LOT, whole.hexdigest())


def test_a_lot_goes_both_ways_at_once_and_arrives_whole(link):
    sent = random.Random(8).randbytes(16 << 20)
    with link.client() as client:
        writer = threading.Thread(target=client.sendall, args=(sent,))
        writer.start()
        assert hashlib.sha256(receive(client, len(sent))).digest() == hashlib.sha256(sent).digest()
        writer.join()


def test_two_thousand_connections_at_once_are_all_served(tmp_path):
    with crowd_server() as upstream, proxy(upstream, tmp_path) as link:
        clients = [link.client() for _ in range(2000)]
        try:
            for client in clients:
                client.sendall(b"ping")
            assert all(receive(client, 4) == b"ping" for client in clients)
            assert link.state().connections == 2000
        finally:
            for client in clients:
                client.close()
        until(lambda: link.state().connections == 0)
        until(lambda: psutil.Process(link.process.pid).num_fds() < 30)


@pytest.mark.parametrize(("outside", "inside"), [("::1", "::1"), ("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_ipv6_works_on_both_sides(tmp_path, outside, inside):
    with server(echo, inside) as upstream, proxy(upstream, tmp_path, host=outside) as link:
        with link.client() as client:
            round_trip(client)
        assert link.set("refuse").ok
        assert link.check("refuse").ok is True
        assert link.heal("refuse").ok
        with link.client() as client:
            round_trip(client)


def test_an_upstream_by_name_is_tried_at_each_of_its_addresses(tmp_path):
    with server(echo) as upstream:
        port = upstream.rpartition(":")[2]
        with proxy(f"localhost:{port}", tmp_path) as link, link.client() as client:
            round_trip(client)


def test_term_ends_it_and_takes_its_control_socket_away(link):
    link.process.terminate()
    assert link.process.wait(PATIENCE) == 0
    assert not Path(link.control).exists()


def test_a_proxy_that_was_killed_is_replaced_on_the_same_listener(link):
    link.process.kill()
    link.process.wait(PATIENCE)
    waiting = link.client()  # nobody is there yet, but the kernel takes the call
    link.cut_lifeline()
    link.start()
    round_trip(waiting)
    waiting.close()


def test_a_proxy_killed_while_it_refused_is_replaced_by_one_that_listens(link):
    link.set("refuse")
    link.process.kill()
    link.process.wait(PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        link.client()
    link.cut_lifeline()
    link.start()
    with link.client() as client:
        round_trip(client)


def test_a_port_taken_while_it_refused_is_said_and_healed_when_it_is_free_again(link):
    link.set("refuse")
    with (
        socket.create_server(link.address),
        pytest.raises(OperationFailed, match="in use"),
    ):  # reuses the address
        link.heal("refuse")
    assert "refuse" in link.state().properties
    assert link.heal("refuse").ok
    link.set("refuse")
    with socket.create_server(link.address):
        link.cut_lifeline()
        until(lambda: not link.state().guarded)
    until(lambda: not link.state().properties)
    with link.client() as client:
        round_trip(client)


def test_it_survives_whatever_clients_and_faults_do_at_random(link):
    chance = random.Random(11)
    settings = [
        ("latency", {"delay": 0.01, "jitter": 0.01}), ("bandwidth", {"rate": 1e6}), ("blackhole", {"share": 0.5}),
        ("reset", {"after": 0.01, "share": 0.3}), ("refuse", {}), ("slow_close", {"delay": 0.02}),
    ]  # fmt: skip
    clients, end = [], time.monotonic() + 3
    while time.monotonic() < end:
        name, value = chance.choice(settings)
        if chance.random() < 0.1:
            assert (link.heal(name) if chance.random() < 0.6 else link.set(name, **value)).ok
        with suppress(OSError):
            act_at_random(chance, link, clients)
    for name, _ in settings:
        assert link.heal(name).ok
    for client in clients:
        client.close()
    until(lambda: link.state().connections == 0)
    with link.client() as client:
        round_trip(client)


def act_at_random(chance, link, clients):
    """Open, talk, half-close, close or reset a connection."""
    if not clients or (chance.random() < 0.2 and len(clients) < 100):
        clients.append(link.client(0.01))
        return
    client = clients[chance.randrange(len(clients))]
    match chance.randrange(6):
        case 0 | 1:
            client.send(bytes(chance.choice((1, 1000, 200_000))))
        case 2 | 3:
            client.recv(65536)
        case 4:
            client.shutdown(socket.SHUT_WR)
        case 5:
            if chance.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            clients.remove(client)
            client.close()


def test_listeners_are_named_in_the_environment():
    assert listeners("store=5,lifeline=6") == {"store": 5, "lifeline": 6}
    assert listeners("") == {}


@pytest.mark.parametrize("upstream", ["", "8080", "host", ":8080", "host:port"])
def test_an_upstream_needs_a_host_and_a_port(upstream):
    with pytest.raises(ValueError, match="host:port"):
        resolve(upstream)
