"""A proxy in front of a port of HTTP: some requests are late, aborted, or answered with a status; all others pass.

What is no HTTP/1 (TLS, HTTP/2, WebSockets after their upgrade, tunnels) passes as it is. Nothing is too slow to pass.
"""

from __future__ import annotations

import contextlib
import fnmatch
import random
import select
import socket
import struct
import threading
from dataclasses import dataclass

import msgspec

from runner.errors import OperationFailed
from runner.operations.connections import Connections
from runner.operations.http_message import Body, Head, carry, read_head

_PATIENCE = 60.0  # seconds that a program may take to be connected to
_AGAIN = 0.05  # seconds until a connection is taken again when there was no descriptor or thread for it
_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST, of IPv4 and IPv6 alike


class Wrong(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to requests: *share* of those whose path and method match; an empty method is every one."""

    delay: float = 0.0
    status: int = 0
    abort: bool = False
    path: str = "*"
    method: str = ""
    share: float = 1.0


@dataclass(slots=True)
class _Counts:
    harmed: int = 0
    passed: int = 0
    strange: int = 0


class HttpProxy:
    """Listens on a port of its own; where a redirected connection was meant to go, it goes on to."""

    def __init__(self, answer: str) -> None:
        try:
            self.wrong = msgspec.json.decode(answer, type=Wrong)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise OperationFailed(f"what is to be done to requests cannot be read: {error}") from None
        self._counts, self._lock = _Counts(), threading.Lock()
        self._connections, self._ran = Connections(), threading.Event()
        self._chance = random.Random()  # noqa: S311 - which requests are hit is no secret
        six = socket.has_dualstack_ipv6()
        self._listener = socket.create_server(
            ("::" if six else "0.0.0.0", 0),
            family=socket.AF_INET6 if six else socket.AF_INET,
            dualstack_ipv6=six,
            backlog=512,
        )
        self.port = int(self._listener.getsockname()[1])

    def said(self) -> tuple[int, str]:
        """How many requests were harmed, and how many were not."""
        counts = self._counts
        wrong, what = self.wrong, []
        what += [f"delayed by {wrong.delay * 1e3:g} ms"] if wrong.delay else []
        what += ["aborted"] if wrong.abort else [f"answered with {wrong.status}"] if wrong.status else []
        strange = f"; {counts.strange:,} connections spoke no HTTP/1" if counts.strange else ""
        return (
            counts.harmed,
            f"{counts.harmed:,} requests {' and '.join(what)}, {counts.passed:,} passed{strange}",
        )

    def run(self) -> None:
        """Serve until it is closed: where too many are served already, the next ones wait."""
        while not self._connections.ended.is_set():
            try:
                self._take()
            except (OSError, RuntimeError):  # RuntimeError: no thread can be started
                self._connections.ended.wait(_AGAIN)
        self._ran.set()

    def hang_up(self) -> None:
        """End every connection that goes through here; those after them go directly."""
        self._connections.end()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._ran.wait(_AGAIN)  # one that has just been taken is ended too
        self._listener.close()

    def close(self) -> None:
        """Have nothing more to end."""

    def _take(self) -> None:
        peer = self._connections.keep(self._listener.accept()[0])
        try:
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()
        except RuntimeError:
            self._connections.close(peer)
            raise

    def _serve(self, peer: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, RuntimeError),  # as in run: a connection less
            contextlib.ExitStack() as client,
            contextlib.ExitStack() as program,
        ):
            client.callback(self._connections.close, peer)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream = self._reach(peer, program)
            while (request := self._hear(peer, upstream)) and self._spares(request, peer):
                if _has_hung_up(upstream):  # it waits less long for a request than we delayed this one
                    upstream = self._reach(peer, program)
                if not _exchange(request, peer, upstream):
                    return

    def _reach(self, peer: socket.socket, program: contextlib.ExitStack) -> socket.socket:
        """Connect to the program, instead of what *program* holds."""
        program.close()
        upstream = self._connections.keep(socket.socket(_family(peer), socket.SOCK_STREAM))
        program.callback(self._connections.close, upstream)
        upstream.settimeout(_PATIENCE)
        upstream.connect(_meant(peer))
        upstream.settimeout(None)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return upstream

    def _hear(self, peer: socket.socket, upstream: socket.socket) -> Head | None:
        """Read the next request. None where there is none to come: what is no HTTP/1 has been carried to its end."""
        if _first(peer, upstream) is upstream:  # it closes what is idle, or is one that speaks first
            if upstream.recv(1, socket.MSG_PEEK):
                self._count(strange=1)
                _both_ways(peer, upstream, b"")
            return None
        request = read_head(peer, b"")
        if request and not request.method:
            self._count(strange=1)
            _both_ways(peer, upstream, request.raw)
            return None
        return request

    def _spares(self, request: Head, peer: socket.socket) -> bool:
        """Do harm to a request that is meant; tell whether it goes on to the program."""
        wrong = self.wrong
        if not self._is_meant(request):
            self._count(passed=1)
            return True
        self._count(harmed=1)
        if self._connections.ended.wait(wrong.delay):
            return False
        if wrong.abort:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif wrong.status:
            _answer(peer, request, wrong.status)
        return not (wrong.abort or wrong.status)

    def _is_meant(self, request: Head) -> bool:
        wrong = self.wrong
        if wrong.method and request.method != wrong.method.upper():
            return False
        return fnmatch.fnmatchcase(request.path, wrong.path) and self._chance.random() < wrong.share

    def _count(self, *, harmed: int = 0, passed: int = 0, strange: int = 0) -> None:
        with self._lock:
            self._counts.harmed += harmed
            self._counts.passed += passed
            self._counts.strange += strange


def _exchange(request: Head, peer: socket.socket, upstream: socket.socket) -> bool:
    """Carry a request and its answer; tell whether another may follow."""
    upstream.sendall(request.raw)
    if request.expects_go_ahead:
        return _both_ways(peer, upstream, b"")
    rest = carry(request.body(), request.rest, peer, upstream)
    if rest:  # sent ahead of the answer: nobody does that any more; let the two settle it
        return _both_ways(peer, upstream, rest)
    return _carry_answer(request, peer, upstream)


def _carry_answer(request: Head, peer: socket.socket, upstream: socket.socket) -> bool:
    while True:
        answer = read_head(upstream, b"")
        if answer is None:
            return False
        peer.sendall(answer.raw)
        tunnel = request.method == "CONNECT" and 200 <= answer.status < 300
        if tunnel or answer.status == 101 or not answer.status:
            return _both_ways(peer, upstream, b"", answer.rest)
        if answer.status >= 200:
            break
        if answer.rest:
            return _both_ways(peer, upstream, b"", answer.rest)
    body = answer.body(of=request)
    carry(body, answer.rest, upstream, peer)
    return not (body is Body.UNTIL_END or request.closes or answer.closes)


def _answer(peer: socket.socket, request: Head, status: int) -> None:
    """Answer in the program's place; the connection ends with it: what it still sends is read by nobody."""
    text = f"squall answers {status}\n".encode()
    head = f"HTTP/1.1 {status} Injected\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    if not request.expects_go_ahead:  # or nothing of it comes
        carry(request.body(), request.rest, peer, None)
    peer.sendall(head.encode() + (b"" if request.method == "HEAD" else text))


def _first(peer: socket.socket, upstream: socket.socket) -> socket.socket:
    """Wait for whoever says something first, or hangs up: the program where both do."""
    poll = select.poll()
    for each in (peer, upstream):
        poll.register(each, select.POLLIN)
    ready = [number for number, _ in poll.poll()]
    return upstream if upstream.fileno() in ready else peer


def _has_hung_up(upstream: socket.socket) -> bool:
    poll = select.poll()
    poll.register(upstream, select.POLLRDHUP)  # heard even where something came before it, as a 408 does
    return bool(poll.poll(0))


def _both_ways(peer: socket.socket, upstream: socket.socket, up: bytes, down: bytes = b"") -> bool:
    """Carry bytes both ways until both have ended or one broke off, each by itself: who sends may not read meanwhile."""
    back = threading.Thread(target=_one_way, args=(upstream, peer, down), daemon=True)
    back.start()
    _one_way(peer, upstream, up)
    back.join()
    return False


def _one_way(source: socket.socket, sink: socket.socket, data: bytes) -> None:
    try:
        sink.sendall(data)
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # with one of them the other is of no use
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _family(peer: socket.socket) -> socket.AddressFamily:
    return socket.AF_INET if _is_mapped(peer) else socket.AF_INET6


def _is_mapped(peer: socket.socket) -> bool:
    return peer.family == socket.AF_INET or str(peer.getpeername()[0]).startswith("::ffff:")


def _meant(peer: socket.socket) -> tuple[str, int]:
    """Where the connection was going before it was redirected. Raises OSError where it was not."""
    if _is_mapped(peer):
        found = peer.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, 16)
        port, address = struct.unpack_from("!H4s", found, 2)
        meant = socket.inet_ntop(socket.AF_INET, address), int(port)
    else:
        found = peer.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL_DESTINATION, 28)
        port, _, address = struct.unpack_from("!HI16s", found, 2)
        meant = socket.inet_ntop(socket.AF_INET6, address), int(port)
    if meant[1] == peer.getsockname()[1]:
        raise OSError("it came here directly")
    return meant
