"""Who may order a link, what an order gets, and what happens when nobody is left to order."""

import os
import signal
import socket
import stat
import time

import pytest

from runner.errors import OperationFailed
from runner.links.reach import reachable
from runner.links.state import PropertyState
from runner.operations.links import did, perform_link_set
from runner.operations.record import LinkSet
from tests.link_parts import PATIENCE, echo, proxy, round_trip, server, until


@pytest.fixture
def link(tmp_path):
    with server(echo) as upstream, proxy(upstream, tmp_path) as running:
        yield running


def say(link, packet):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(PATIENCE)
        control.connect(link.control)
        control.send(packet)
        return control.recv(65536)


def test_when_the_guardian_is_gone_everything_heals_and_the_link_relays_on(link):
    with link.client() as client:
        link.set("latency", delay=10.0)
        link.set("refuse")
        client.sendall(b"ping")
        link.cut_lifeline()
        begun = time.monotonic()
        assert client.recv(4) == b"ping"
        assert time.monotonic() - begun < 8.0  # of the ten seconds that it was to be held
        round_trip(client)
    with link.client() as client:
        round_trip(client)
    assert link.state().properties == {}


def test_a_blackhole_heals_when_the_guardian_is_gone(link):
    link.set("blackhole")
    link.cut_lifeline()
    until(lambda: not link.state().properties)
    with link.client() as client:
        round_trip(client)


def test_after_the_guardian_nothing_can_be_set_any_more(link):
    link.cut_lifeline()
    until(lambda: not link.state().guarded)
    with pytest.raises(OperationFailed, match="the guardian is gone"):
        link.set("latency", delay=0.1)
    assert link.heal("latency").ok


def test_a_value_that_is_not_ours_is_left_alone_and_reported(link):
    link.set("latency", delay=0.03)
    reading = link.heal("latency", delay=0.5)
    assert (reading.ok, "not ours: left alone" in reading.evidence) == (False, True)
    assert link.state().properties["latency"].value == {"delay": 0.03}
    assert link.heal("latency", delay=0.03).ok


def test_a_link_that_is_gone_is_healed_and_cannot_be_hurt(link):
    link.process.kill()
    link.process.wait(PATIENCE)
    reading = link.heal("latency", delay=1.0)
    assert (reading.ok, "proxy is gone" in reading.evidence) == (True, True)
    assert link.check("latency").ok is False
    with pytest.raises(OperationFailed, match="proxy is gone"):
        link.set("latency", delay=1.0)


def test_a_hung_link_is_said_to_hang_within_a_second(link):
    link.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with pytest.raises(OperationFailed, match="it hangs"):
            link.heal("latency")
        assert time.monotonic() - begun < 1.5
    finally:
        link.process.send_signal(signal.SIGCONT)
    assert link.heal("latency").ok


def test_a_hung_link_is_killed_where_it_will_be_replaced(link):
    with link.client() as client:
        round_trip(client)
        link.set("latency", delay=10.0)
        link.process.send_signal(signal.SIGSTOP)
        heal = LinkSet(link="store", socket=link.control, property="latency", replace=True)
        reading = perform_link_set(heal)
        assert (reading.ok, f"process {link.process.pid} was killed" in reading.evidence) == (True, True)
        assert link.process.wait(PATIENCE) == -signal.SIGKILL
        assert client.recv(1) == b""  # and the client learns that its connection is over
    link.cut_lifeline()
    link.start()
    with link.client() as client:
        round_trip(client)


@pytest.mark.parametrize(
    "packet",
    [b"\0\xff\xfe", b"{", b"[]", b"null", b'{"verb": "explode"}', b'{"verb": "set", "property": "latency", "value": 3}',
     b'{"verb": "get", "extra": 1}', b"[" * 60_000, b'{"verb": "set", "property": "latency", "value": {"delay": 1e999}}'],
)  # fmt: skip
def test_garbage_gets_an_error_and_the_control_lives_on(link, packet):
    assert b'"error":"' in say(link, packet)
    assert link.set("latency", delay=0.01).ok
    with link.client() as client:
        round_trip(client)


def test_clients_of_the_control_that_hang_up_or_say_nothing_do_no_harm(link):
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(20)]
    for each in silent:
        each.connect(link.control)
    silent[0].send(b'{"verb": "get"}')  # and goes without its answer
    for each in silent[:10]:
        each.close()
    assert link.heal("latency").ok
    for each in silent:
        each.close()


def test_only_its_owner_may_open_the_control(link):
    facts = os.lstat(link.control)
    assert stat.S_ISSOCK(facts.st_mode)
    assert stat.S_IMODE(facts.st_mode) == 0o600


def test_a_path_that_is_too_long_for_a_socket_works_all_the_same(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert len(str(folder)) > 150
    with server(echo) as upstream, proxy(upstream, folder) as link:
        assert link.set("latency", delay=0.01).ok
        assert link.heal("latency", delay=0.01).ok


def test_a_short_path_is_reached_as_it_is():
    with reachable("/run/link.sock") as name:
        assert name == "/run/link.sock"


def test_a_file_that_is_no_socket_is_never_removed(tmp_path):
    precious = tmp_path / "link.sock"
    precious.write_text("precious")
    with server(echo) as upstream, pytest.raises(AssertionError), proxy(upstream, tmp_path):
        pass
    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "state", "says"),
    [
        ("latency", PropertyState(value={}, connections=14, chunks=312, seconds=24.96),
         "delayed 312 chunks on 14 connections by 80.0 ms on average"),
        ("bandwidth", PropertyState(value={}, connections=2, chunks=9, bytes=12_345), "narrowed 12,345 bytes on 2 connections"),
        ("blackhole", PropertyState(value={}, connections=1, bytes=1), "swallowed 1 byte on 1 connection"),
        ("reset", PropertyState(value={}, connections=3), "reset 3 connections"),
        ("slow_close", PropertyState(value={}, connections=1, chunks=1, seconds=0.2), "closed 1 connection late by 200.0 ms on average"),
    ],
)  # fmt: skip
def test_evidence_says_what_was_done_to_how_many(name, state, says):
    assert did(name, state) == says
