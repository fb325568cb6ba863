"""Names and requests are answered in others' place while somebody holds the table, and by themselves after it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import socket
import struct
import threading
import time
from http.client import IncompleteRead
from pathlib import Path

import pytest

from runner.operations import dns as responder
from runner.operations import http_proxy
from runner.operations.nft import OwnedTable
from runner.operations.record import CheckTable, Serve, TableGone
from runner.operations.serving import mark_of
from tests.link_parts import until
from tests.network_parts import OURS4, OURS6, THEIRS4, THEIRS6, Here, bound_to, cable, serving

DNS, HTTP = "squall_dns", "squall_http_8080"


@pytest.fixture(scope="module")
def module_wire():
    with cable() as joined, contextlib.ExitStack() as stack:
        names(joined.theirs, stack)
        joined.asked, joined.cut = web(joined.ours, stack)
        joined.here = Here(joined.ours)
        stack.callback(joined.here.close)
        yield joined


@pytest.fixture
def wire(module_wire):
    yield module_wire
    module_wire.here.release()
    assert all(module_wire.here.do(TableGone(table=table)).ok for table in (DNS, HTTP))


def names(room, stack):
    """A name server that answers every question with 192.0.2.7, over UDP and TCP; over UDP none for `slow.test`."""
    with room.entered():
        tcp, udp = bound_to(53)

    def answer(question):
        head = question[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
        return head + question[12:] + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + bytes((192, 0, 2, 7))

    def datagrams(bound):
        with contextlib.suppress(OSError):
            while (said := bound.recvfrom(4096))[1]:
                if b"slow" not in said[0]:
                    bound.sendto(answer(said[0]), said[1])

    def streams(bound):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = bound.accept()
                with peer:
                    said = answer(peer.recv(4096)[2:])
                    peer.sendall(struct.pack("!H", len(said)) + said)

    serving(stack, udp, datagrams)
    serving(stack, tcp, streams)


def asking(name, kind=1):
    """A question, as it is sent."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def look_up(room, name, *, server=THEIRS4, tcp=False, kind=1):
    """What becomes of a question: an address, nxdomain, servfail, nothing, or timeout."""
    question = asking(name, kind)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with room.entered():
        asked = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    with asked:
        asked.settimeout(1.0)
        try:
            asked.connect((server, 53))
            asked.send((struct.pack("!H", len(question)) if tcp else b"") + question)
            answer = asked.recv(4096)[2 if tcp else 0 :]
        except TimeoutError:
            return "timeout"
        assert answer[:2] == question[:2]
        code, count = answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]
        if code:
            return {3: "nxdomain", 2: "servfail"}[code]
        length = {1: 4, 28: 16}[kind]
        return (
            socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, answer[-length:])
            if count
            else "nothing"
        )


def dns(answer="nxdomain", names=()):
    return Serve(table=DNS, what="dns", names=names, answer=answer)


@pytest.mark.parametrize("tcp", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("server", [THEIRS4, THEIRS6])
@pytest.mark.parametrize("answer", ["nxdomain", "servfail", "timeout", "203.0.113.9"])
def test_a_name_is_answered_wrongly_and_others_pass(wire, answer, server, tcp):
    assert look_up(wire.ours, "db.shop.test", server=server, tcp=tcp) == "192.0.2.7"
    wire.here.do(dns(answer, ("*.shop.test",)))
    assert look_up(wire.ours, "db.shop.test", server=server, tcp=tcp) == answer
    assert look_up(wire.ours, "DB.Shop.test", server=server, tcp=tcp) == answer
    assert look_up(wire.ours, "db.bank.test", server=server, tcp=tcp) == "192.0.2.7"
    seen = wire.here.do(CheckTable(table=DNS))
    assert seen.ok, seen
    assert "answered 2 questions" in seen.evidence
    assert "passed on 1" in seen.evidence
    wire.here.release()
    for _ in range(2):
        assert wire.here.do(TableGone(table=DNS)).ok
    assert look_up(wire.ours, "db.shop.test", server=server, tcp=tcp) == "192.0.2.7"
    assert "squall" not in wire.ours.run("nft", "list", "ruleset")


def test_no_names_are_all_names_and_another_type_is_empty(wire):
    wire.here.do(dns("203.0.113.9"))
    assert look_up(wire.ours, "anything") == "203.0.113.9"
    assert look_up(wire.ours, "anything", kind=28) == "nothing"


def test_the_resolver_that_holds_its_socket_is_led_away_and_back(wire):
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x02db\0" + struct.pack("!HH", 1, 1)
    with wire.ours.entered():
        asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asked:
        asked.settimeout(2.0)
        asked.connect((THEIRS4, 53))

        def code():
            asked.send(question)
            return asked.recv(512)[3] & 15

        assert code() == 0
        wire.here.do(dns())
        assert code() == 3
        wire.here.release()
        assert code() == 0


def test_a_question_beyond_those_that_may_wait_is_told_so_and_counted(wire, monkeypatch):
    monkeypatch.setattr(responder, "_MOST", 3)
    wire.here.do(dns(names=("*.shop.test",)))
    with wire.ours.entered():
        asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asked:
        for _ in range(3):
            asked.sendto(asking("slow.test"), (THEIRS4, 53))
        until(lambda: "passed on 3" in wire.here.do(CheckTable(table=DNS)).evidence)
        assert look_up(wire.ours, "db.bank.test") == "servfail"
        assert look_up(wire.ours, "db.shop.test") == "nxdomain"
    said = wire.here.do(CheckTable(table=DNS)).evidence
    assert "answered 1 questions with nxdomain, passed on 3; 1 more could not be (servfail)" in said


def test_a_question_that_cannot_be_passed_on_is_told_so_and_counted(wire):
    wire.here.do(dns(names=("*.shop.test",)))
    barred = ("fwmark", hex(mark_of(DNS)), "prohibit")
    wire.ours.run("ip", "rule", "add", *barred)
    try:
        assert look_up(wire.ours, "db.bank.test") == "servfail"
    finally:
        wire.ours.run("ip", "rule", "del", *barred)
    assert look_up(wire.ours, "db.bank.test") == "192.0.2.7"
    assert "passed on 1; 1 more could not be (servfail)" in wire.here.do(CheckTable(table=DNS)).evidence


def test_a_server_that_refuses_is_not_waited_for(wire):
    wire.here.do(dns(names=("*.shop.test",)))
    assert look_up(wire.ours, "db.bank.test", server="127.0.0.1") == "servfail"
    assert "passed on 1, 1 of them in vain" in wire.here.do(CheckTable(table=DNS)).evidence


def test_a_connection_for_which_no_thread_can_be_started_ends_and_the_others_are_answered(wire, monkeypatch):
    wire.here.do(dns(names=("*.shop.test",)))
    with monkeypatch.context() as patched, wire.ours.entered():
        patched.setattr(responder.threading.Thread, "start", no_thread)
        with socket.create_connection((THEIRS4, 53), timeout=4) as asked:
            assert asked.recv(512) == b""
    assert look_up(wire.ours, "db.shop.test") == "nxdomain"


def no_thread(_):
    raise RuntimeError("can't start new thread")


def test_a_killed_responder_leaves_names_as_they_are(wire):
    holder = wire.holder()
    holder.do(dns())
    assert look_up(wire.ours, "db.shop.test") == "nxdomain"
    holder.signal(signal.SIGKILL)
    assert wire.here.do(TableGone(table=DNS)).ok
    assert look_up(wire.ours, "db.shop.test") == "192.0.2.7"


def test_who_waits_for_an_answer_over_tcp_when_the_fault_ends_learns_of_it_at_once(wire):
    question = asking("db.shop.test")
    wire.here.do(dns("timeout"))
    with wire.ours.entered():
        asked = socket.create_connection((THEIRS4, 53), timeout=4)
    with asked:
        asked.sendall(struct.pack("!H", len(question)) + question)
        until(lambda: "answered 1" in wire.here.do(CheckTable(table=DNS)).evidence)
        wire.here.release()
        assert asked.recv(512) == b""


@pytest.mark.long
def test_a_stopped_responder_lets_names_pass_after_a_while(wire):
    holder = wire.holder()
    holder.do(dns())
    holder.signal(signal.SIGSTOP)
    deadline = time.monotonic() + 12
    while look_up(wire.ours, "db.shop.test") != "192.0.2.7":
        assert time.monotonic() < deadline
    holder.signal(signal.SIGKILL)


def test_an_answer_that_is_none_is_refused(wire):
    assert "write nxdomain" in wire.holder().problem(dns("no; flush ruleset"))


# --- http


def web(room, stack):
    """A web server with keep-alive: it answers with method and path, and reads bodies. Returns what came, and what broke off.

    It breaks off itself where the path has `broken` in it, and hangs up after its answer where that has `last`.
    """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    came, cut = [], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            came.append(self.path)
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size)
            if len(body) < size:
                cut.append(self.path)
                self.close_connection = True
                return
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            text = f"{self.command} {self.path} {len(body)}".encode()
            self.send_response(200)
            if "broken" in self.path:
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(text)
                self.close_connection = True
            elif "chunked" in self.path:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for byte in text:
                    self.wfile.write(b"1\r\n" + bytes((byte,)) + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else text)
                self.close_connection |= "last" in self.path

        do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with room.entered():
        server = stack.enter_context(Server(("::", 8080), Handler))
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return came, cut


class Browser:
    """One connection of a client to the web server."""

    def __init__(self, room, host=OURS4):
        import http.client

        with room.entered():
            self._connection = http.client.HTTPConnection(host, 8080, timeout=3)
            self._connection.connect()

    def ask(self, path="/", method="GET", **more):
        """Status, body and seconds; or what went wrong."""
        begun = time.monotonic()
        try:
            self._connection.request(method, path, **more)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            return "silence"
        return answer.status, text, time.monotonic() - begun

    def close(self):
        self._connection.close()


@pytest.fixture
def browse(wire):
    opened = []

    def ask(*arguments, host=OURS4, **more):
        browser = Browser(wire.theirs, host)
        opened.append(browser)
        return browser.ask(*arguments, **more)

    yield ask
    for each in opened:
        each.close()


def http(**wrong):
    return Serve(table=HTTP, what="http", port=8080, answer=json.dumps(wrong))


@pytest.mark.parametrize("host", [OURS4, "fd92::2"])
def test_requests_are_answered_late_wrongly_or_not_at_all(wire, browse, host):
    assert browse("/item", host=host)[:2] == (200, "GET /item 0")
    for wrong, felt in (
        ({"status": 503}, lambda got: got[0] == 503),
        ({"delay": 0.3}, lambda got: got[0] == 200 and got[2] >= 0.3),
        ({"abort": True}, lambda got: got == "reset"),
    ):
        wire.here.do(http(**wrong))
        got = browse("/item", host=host)
        assert felt(got), (wrong, got)
        seen = wire.here.do(CheckTable(table=HTTP))
        assert seen.ok, seen
        assert "1 requests" in seen.evidence
        wire.here.release()
        assert wire.here.do(TableGone(table=HTTP)).ok
        assert browse("/item", host=host)[:2] == (200, "GET /item 0")


def test_only_requests_that_match_are_harmed(wire, browse):
    wire.here.do(http(status=500, path="/pay/*", method="POST"))
    assert browse("/pay/1", "POST", body=b"x" * 100_000)[0] == 500
    assert browse("/pay/1")[:2] == (200, "GET /pay/1 0")
    assert browse("/item", "POST", body=b"xyz")[:2] == (200, "POST /item 3")
    assert "passed" in wire.here.do(CheckTable(table=HTTP)).evidence


def test_bodies_of_every_kind_pass_whole_on_one_connection(wire):
    wire.here.do(http(status=500, path="/never"))
    browser = Browser(wire.theirs)
    for _ in range(3):
        assert browser.ask("/a")[:2] == (200, "GET /a 0")
        assert browser.ask("/chunked")[:2] == (200, "GET /chunked 0")
        assert browser.ask("/b", "HEAD")[:2] == (200, "")
        assert browser.ask("/c", "PUT", body=b"x" * 300_000)[:2] == (200, "PUT /c 300000")
        parts = [b"x" * 1000] * 5
        assert browser.ask(
            "/d", "POST", body=iter(parts), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )[:2] == (200, "POST /d 5000")
    browser.close()


def test_an_answer_that_breaks_off_breaks_off_for_the_client_at_once(wire, browse):
    wire.here.do(http(status=500, path="/never"))
    with pytest.raises(IncompleteRead) as broken:
        browse("/broken")
    assert broken.value.partial == b"GET /broken 0"


def test_a_request_that_breaks_off_breaks_off_for_the_program_and_the_client_at_once(wire):
    wire.here.do(http(status=500, path="/never"))
    with wire.theirs.entered():
        peer = socket.create_connection((OURS4, 8080), timeout=3)
    with peer:
        peer.sendall(b"POST /half HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\nxyz")
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(4096) == b""
    until(lambda: "/half" in wire.cut)


def test_a_program_that_hangs_up_on_an_idle_connection_has_hung_up_on_its_client(wire):
    wire.here.do(http(status=500, path="/never"))
    with wire.theirs.entered():
        peer = socket.create_connection((OURS4, 8080), timeout=3)
    with peer:
        peer.sendall(b"GET /last HTTP/1.1\r\nHost: shop\r\n\r\n")
        said = b""
        while more := peer.recv(4096):
            said += more
    assert said.endswith(b"GET /last 0")


def test_a_program_that_speaks_first_is_heard(wire):
    def greet(bound):
        with contextlib.suppress(OSError):
            peer, _ = bound.accept()
            with peer:
                peer.sendall(b"220 hello\r\n")
                peer.sendall(peer.recv(64))

    with contextlib.ExitStack() as stack:
        with wire.ours.entered():
            listener = socket.create_server(("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True)
        serving(stack, listener, greet)
        wire.here.do(Serve(table=HTTP, what="http", port=8081, answer=json.dumps({"status": 503})))
        with wire.theirs.entered():
            peer = socket.create_connection((OURS4, 8081), timeout=3)
        with peer:
            assert peer.recv(64) == b"220 hello\r\n"
            peer.sendall(b"MAIL\r\n")
            assert peer.recv(64) == b"MAIL\r\n"
    assert "1 connections spoke no HTTP/1" in wire.here.do(CheckTable(table=HTTP)).evidence


def impatient(bound, *, times=100):
    """A web server that hangs up, with a word, on whom it has not heard for 0.2 s; gone after so many connections."""
    with contextlib.suppress(OSError), bound:
        for _ in range(times):
            peer, _ = bound.accept()
            with peer:
                peer.settimeout(0.2)
                try:
                    while peer.recv(4096):
                        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                except TimeoutError:
                    peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def proxied(wire, server, *, backlog=None, clients=1, **wrong):
    """Clients' connections to a server behind the proxy, which does no harm where it is not told any."""
    with contextlib.ExitStack() as stack:
        with wire.ours.entered():
            listener = socket.create_server(
                ("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
            )
        serving(stack, listener, server)
        answer = json.dumps(wrong or {"status": 503, "path": "/never"})
        wire.here.do(Serve(table=HTTP, what="http", port=8081, answer=answer))
        with wire.theirs.entered():
            yield [
                stack.enter_context(socket.create_connection((OURS4, 8081), timeout=5))
                for _ in range(clients)
            ]


OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def opening(bound, *, word=OPEN, after=0.0):
    """A server that answers the first head of each connection with a word, after a while, and then echoes."""
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=echo_after, args=(bound.accept()[0], word, after), daemon=True).start()


def echo_after(peer, word, after):
    with contextlib.suppress(OSError), peer:
        heard = peer.recv(4096)
        threading.Event().wait(after)
        peer.sendall(word + heard.partition(b"\r\n\r\n")[2])  # who sends on may be ahead of our reading
        while heard and (heard := peer.recv(1 << 16)):
            threading.Event().wait(after)
            peer.sendall(heard)


def read(peer, size):
    """That many bytes, or fewer where they end."""
    data = bytearray()
    while len(data) < size and (more := peer.recv(min(size - len(data), 1 << 16))):
        data += more
    return bytes(data)


CONNECT = b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"


def test_a_tunnel_passes_both_ways(wire):
    with proxied(wire, opening) as (peer,):
        peer.sendall(CONNECT)
        assert read(peer, len(OPEN)) == OPEN
        peer.sendall(b"ping")
        assert read(peer, 4) == b"ping"
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(64) == b""


def test_a_program_that_does_not_listen_while_it_speaks_is_heard_all_the_same(wire):
    much = os.urandom(1 << 20) * 24  # more than all buffers on the way hold
    with proxied(wire, functools.partial(opening, word=OPEN + much)) as (peer,):
        peer.sendall(CONNECT)
        sending = threading.Thread(target=peer.sendall, args=(much,), daemon=True)
        sending.start()
        assert read(peer, len(OPEN + much)) == OPEN + much
        assert read(peer, len(much)) == much
        sending.join()


def test_a_tunnel_that_is_refused_is_an_answer_like_others(wire):
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"
    with proxied(wire, functools.partial(opening, word=refusal)) as (peer,):
        peer.sendall(CONNECT)
        assert read(peer, len(refusal)) == refusal
        peer.sendall(CONNECT)
        assert read(peer, len(CONNECT)) == CONNECT  # it echoes: no HTTP/1 answer


def test_silence_is_no_reason_to_break_a_connection(wire, monkeypatch):
    monkeypatch.setattr(http_proxy, "_PATIENCE", 0.2)
    with proxied(wire, functools.partial(opening, after=0.6)) as (peer,):
        threading.Event().wait(0.6)  # nobody says anything
        peer.sendall(CONNECT)
        assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        peer.sendall(b"ping")
        assert peer.recv(64) == b"ping"


def nobody(_):
    """A server that accepts no connection: one waits with it, others cannot be made."""


def test_a_program_that_takes_no_connection_is_given_up(wire, monkeypatch):
    monkeypatch.setattr(http_proxy, "_PATIENCE", 0.2)
    with proxied(wire, nobody, backlog=0, clients=3) as peers:
        assert ending(peers[2]) == "end"


def test_nothing_that_is_silent_or_stuck_outlives_the_fault(wire):
    threads, opened = threading.active_count(), descriptors("self")
    with proxied(wire, opening, clients=4) as (idle, half, stuck, served):
        for peer in (half, stuck):
            peer.sendall(CONNECT)
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        served.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert served.recv(4096)  # and no end of its body comes
        half.shutdown(socket.SHUT_WR)
        stuck.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                stuck.send(b"x" * (1 << 20))
        wire.here.release()
        assert [ending(peer) for peer in (idle, served)] == ["end"] * 2
    until(lambda: threading.active_count() <= threads)
    until(lambda: descriptors("self") <= opened)


def test_no_attempt_to_reach_the_program_outlives_the_fault(wire):
    threads, opened = threading.active_count(), descriptors("self")
    with proxied(wire, nobody, backlog=0, clients=3) as peers:
        wire.here.release()
        assert [ending(peer) for peer in peers] == ["end"] * 3
        until(lambda: threading.active_count() <= threads)
    until(lambda: descriptors("self") <= opened)


def test_a_program_that_waits_less_long_than_the_delay_answers_all_the_same(wire):
    with proxied(wire, impatient, delay=0.5) as (peer,):
        for _ in range(3):
            begun = time.monotonic()
            peer.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - begun >= 0.5
    assert "3 requests delayed" in wire.here.do(CheckTable(table=HTTP)).evidence


def test_a_program_that_is_gone_after_the_delay_breaks_the_connection(wire):
    with proxied(wire, functools.partial(impatient, times=1), delay=0.5) as (peer,):
        peer.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert ending(peer) == "end"


def test_a_body_that_waits_for_a_go_ahead_is_not_waited_for(wire):
    wire.here.do(http(status=503))
    with wire.theirs.entered():
        peer = socket.create_connection((OURS4, 8080), timeout=3)
    with peer:
        peer.sendall(b"PUT /big HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert peer.recv(64).startswith(b"HTTP/1.1 503")


def test_a_share_of_requests_is_harmed(wire):
    wire.here.do(http(status=500, share=0.5))
    browsers = [Browser(wire.theirs) for _ in range(40)]
    statuses = [browser.ask()[0] for browser in browsers]
    for browser in browsers:
        browser.close()
    assert 8 <= statuses.count(500) <= 32
    assert set(statuses) == {200, 500}


def test_open_connections_stay_as_they_are_until_they_are_made_again(wire):
    browser = Browser(wire.theirs)
    assert browser.ask()[0] == 200
    wire.here.do(http(status=503))
    assert browser.ask()[0] == 200
    browser.close()


def test_what_is_no_http_passes(wire):
    wire.here.do(http(status=503))
    with speak_strangely(wire.theirs) as peer:
        assert b"400" in peer.recv(4096)
    assert "no HTTP/1" in wire.here.do(CheckTable(table=HTTP)).evidence


def test_a_killed_proxy_leaves_the_port_to_its_program(wire, browse):
    holder = wire.holder()
    holder.do(http(status=503))
    assert browse("/")[0] == 503
    holder.signal(signal.SIGKILL)
    assert wire.here.do(TableGone(table=HTTP)).ok
    assert browse("/")[0] == 200


def asked(room, path="/", host=OURS4):
    """A connection on which something was asked: its answer is not read yet."""
    with room.entered():
        peer = socket.create_connection((host, 8080), timeout=8)
    peer.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
    return peer


def ending(peer):
    """What a client that waits is told: the end, or nothing in its patience."""
    try:
        return "end" if peer.recv(4096) == b"" else "answer"
    except ConnectionResetError:
        return "end"
    except TimeoutError:
        return "nothing"


def harmed(wire, count):
    return f"{count} requests" in wire.here.do(CheckTable(table=HTTP)).evidence


@pytest.mark.parametrize("host", [OURS4, OURS6])
def test_who_waits_when_the_fault_ends_learns_of_it_at_once(wire, host):
    threads = threading.active_count()
    wire.here.do(http(delay=30))
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(asked(wire.theirs, "/late", host)) for _ in range(5)]
        until(lambda: harmed(wire, 5))
        wire.here.release()
        assert [ending(peer) for peer in waiting] == ["end"] * 5
    until(lambda: threading.active_count() <= threads)  # nobody waits on to ask the program after all
    assert "/late" not in wire.asked


def test_who_has_only_just_come_when_the_fault_ends_learns_of_it(wire, monkeypatch):
    taken, go_on, serve = threading.Event(), threading.Event(), http_proxy.HttpProxy._serve

    def serve_late(proxy, peer):
        taken.set()
        go_on.wait(20)
        serve(proxy, peer)

    monkeypatch.setattr(http_proxy.HttpProxy, "_serve", serve_late)
    wire.here.do(http(status=503))
    with asked(wire.theirs) as peer:
        assert taken.wait(8)
        wire.here.release()
        assert ending(peer) == "end"
    go_on.set()


def test_who_waits_for_a_proxy_that_is_killed_learns_of_it_at_once(wire):
    holder = wire.holder()
    holder.do(http(delay=30))
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(asked(wire.theirs)) for _ in range(5)]
        until(lambda: "5 requests" in holder.do(CheckTable(table=HTTP))[0].evidence)
        holder.signal(signal.SIGKILL)
        assert [ending(peer) for peer in waiting] == ["end"] * 5


def test_who_comes_while_the_fault_ends_is_answered_by_the_program(wire, browse, monkeypatch):
    came, release = [], OwnedTable.release

    def release_after_one_came(table):
        came.append(browse("/fresh"))
        release(table)

    monkeypatch.setattr(OwnedTable, "release", release_after_one_came)
    wire.here.do(http(status=503))
    wire.here.release()
    assert [each[:2] for each in came] == [(200, "GET /fresh 0")]


def speak_strangely(room):
    """A connection that is no HTTP, open."""
    with room.entered():
        peer = socket.create_connection((OURS4, 8080), timeout=3)
    peer.sendall(b"\x16\x03\x01 something\r\n\r\n")
    return peer


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_proxy_that_ran_out_of_descriptors_serves_again_once_there_are_some(wire, browse):
    holder = wire.holder()
    holder.do(http(status=503))
    most = descriptors(holder.pid) + 4
    resource.prlimit(holder.pid, resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        deadline = time.monotonic() + 10
        while descriptors(holder.pid) < most:
            assert time.monotonic() < deadline, "the proxy was to run out of descriptors"
            stack.enter_context(speak_strangely(wire.theirs))
        assert browse("/") in ("silence", "reset")
    until(lambda: browse("/")[0] == 503)  # the connections that ended give theirs back in a moment
    holder.release()
    assert browse("/")[0] == 200


def test_a_connection_passes_beyond_descriptor_1024(wire):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    try:
        wire.here.do(http(status=503))
        with contextlib.ExitStack() as stack:
            for _ in range(1100):
                stack.callback(os.close, os.open("/dev/null", os.O_RDONLY))
            peer = stack.enter_context(speak_strangely(wire.theirs))
            assert b"400" in peer.recv(4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
