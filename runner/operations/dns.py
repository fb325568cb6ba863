"""A responder for DNS: some names are answered wrongly, all others by the server that was asked."""

from __future__ import annotations

import contextlib
import fnmatch
import ipaddress
import selectors
import socket
import struct
import threading
from pathlib import Path
from typing import NamedTuple

from runner import clock
from runner.errors import OperationFailed
from runner.operations import conntrack
from runner.operations.connections import Connections

ANSWERS = {"nxdomain": 3, "servfail": 2}
_TCP, _UDP = 6, 17
_PATIENCE = 5.0  # seconds that a server may take
_MOST = 256  # questions that wait for a server at once
_TTL = 1
_SO_MARK = 36
_A, _AAAA = 1, 28
Address = tuple[str, int]


class _Waiting(NamedTuple):
    """Who asked what, where it came in, and until when the server may answer."""

    ready: socket.socket
    question: bytes
    client: Address
    deadline: float


class DnsResponder:
    """Answers on a port of its own. Its own questions carry *mark*, so that they are not led back to it."""

    def __init__(self, names: tuple[str, ...], answer: str, mark: int) -> None:
        self._names = tuple(name.lower().rstrip(".") for name in names)
        self._answer, self._mark = answer, mark
        self._address = None if answer in (*ANSWERS, "timeout") else _address(answer)
        self._harmed = self._passed = self._unanswered = self._turned_away = 0
        self._waiting: dict[socket.socket, _Waiting] = {}
        self._connections = Connections()
        self._selector = selectors.DefaultSelector()
        self._open = contextlib.ExitStack()
        self._woken, self._wake = (self._open.enter_context(each) for each in socket.socketpair())
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.port = self._listen()

    def said(self) -> tuple[int, str]:
        """How many questions were answered wrongly, how many passed on, and how many could not be."""
        lost = f", {self._unanswered:,} of them in vain" if self._unanswered else ""
        lost += f"; {self._turned_away:,} more could not be (servfail)" if self._turned_away else ""
        how = self._answer if self._address is None else f"the address {self._answer}"
        return (
            self._harmed,
            f"answered {self._harmed:,} questions with {how}, passed on {self._passed:,}{lost}",
        )

    def run(self) -> None:
        """Answer until it is closed."""
        while True:
            for key, _ in self._selector.select(0.5):
                if key.fileobj is self._woken:
                    self._end()
                    return
                assert isinstance(key.fileobj, socket.socket)
                # one that asks, or is asked, is gone, or there is no thread for it: the others are not
                with contextlib.suppress(OSError, RuntimeError):
                    self._serve(key.fileobj)
            self._give_up()

    def hang_up(self) -> None:
        """End every connection; datagrams are answered until `close`."""
        self._connections.end()

    def close(self) -> None:
        """Answer nobody any more."""
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def reply(self, question: bytes) -> bytes | None:
        """Make our answer. None where the name is not meant; empty where it is to stay without an answer."""
        asked = read_question(question)
        if asked is None:
            return None
        name, kind, end = asked
        if self._names and not any(fnmatch.fnmatchcase(name, pattern) for pattern in self._names):
            return None
        self._harmed += 1
        if self._answer == "timeout":
            return b""
        return _answered(question[:end], ANSWERS.get(self._answer, 0), self._record(kind))

    def _record(self, kind: int) -> bytes:
        if self._address is None or kind != (_A if self._address.version == 4 else _AAAA):
            return b""
        packed = self._address.packed
        return struct.pack("!HHHIH", 0xC00C, kind, 1, _TTL, len(packed)) + packed

    def _listen(self) -> int:
        """Listen at one port for all: datagrams and connections, both families where there are both."""
        port = 0
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                try:
                    bound = self._open.enter_context(socket.socket(family, kind))
                    bound.bind((host, port))
                except OSError:
                    if family == socket.AF_INET:
                        raise
                    continue
                if kind == socket.SOCK_STREAM:
                    bound.listen(64)
                bound.setblocking(False)
                port = bound.getsockname()[1]
                self._selector.register(bound, selectors.EVENT_READ)
        return port

    def _serve(self, ready: socket.socket) -> None:
        if ready in self._waiting:
            self._hand_back(ready)
        elif ready.type == socket.SOCK_STREAM:
            peer, whom = ready.accept()
            self._connections.keep(peer)
            try:
                threading.Thread(target=self._converse, args=(peer, whom[:2]), daemon=True).start()
            except RuntimeError:
                self._connections.close(peer)
                raise
        else:
            question, client = ready.recvfrom(65535)
            answer = self.reply(question)
            if answer is None:
                self._pass_on(ready, question, client)
            elif answer:
                ready.sendto(answer, client)

    def _pass_on(self, ready: socket.socket, question: bytes, client: Address) -> None:
        """Ask the server that was meant; where that cannot be, say so: who is told need not wait, and may ask another."""
        try:
            self._ask(ready, question, client)
            self._passed += 1
        except OSError:
            self._turned_away += 1
            _turn_away(ready, question, client)

    def _ask(self, ready: socket.socket, question: bytes, client: Address) -> None:
        if len(self._waiting) >= _MOST:
            raise OSError(f"{_MOST} questions wait already")
        server = self._server(_UDP, ready, client)
        with contextlib.ExitStack() as stack:
            upstream = stack.enter_context(self._marked(server, socket.SOCK_DGRAM))
            upstream.connect(server)
            upstream.send(question)
            stack.pop_all()
        self._waiting[upstream] = _Waiting(ready, question, client, clock.now() + _PATIENCE)
        self._selector.register(upstream, selectors.EVENT_READ)

    def _hand_back(self, upstream: socket.socket) -> None:
        """Pass the answer on to who asked; where the server refuses, say so."""
        waiting = self._waiting[upstream]
        try:
            answer = upstream.recv(65535)
        except OSError:
            self._unanswered += 1
            _turn_away(waiting.ready, waiting.question, waiting.client)
        else:
            waiting.ready.sendto(answer, waiting.client)
        finally:
            self._forget(upstream)

    def _converse(self, peer: socket.socket, client: Address) -> None:
        """Answer what is asked over one connection."""
        upstream: socket.socket | None = None
        with contextlib.suppress(OSError, struct.error), contextlib.ExitStack() as stack:
            stack.callback(self._connections.close, peer)
            peer.settimeout(_PATIENCE)
            while question := _read_message(peer):
                answer = self.reply(question)
                if answer is None:
                    self._passed += 1
                    if upstream is None:
                        server = self._server(_TCP, peer, client)
                        upstream = self._connections.keep(self._marked(server, socket.SOCK_STREAM))
                        stack.callback(self._connections.close, upstream)
                        upstream.connect(server)
                    upstream.sendall(struct.pack("!H", len(question)) + question)
                    answer = _read_message(upstream)
                if answer:
                    peer.sendall(struct.pack("!H", len(answer)) + answer)

    def _server(self, protocol: int, ours: socket.socket, client: Address) -> Address:
        """The server that was asked, as the kernel remembers it; else that of /etc/resolv.conf."""
        responder = ours.getsockname()[:2]
        with contextlib.suppress(OSError):
            if entry := conntrack.find_answered_by(protocol, responder, client[:2]):
                return entry.target
        for line in Path("/etc/resolv.conf").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("nameserver"):
                return line.split()[1], 53
        raise OSError("nobody knows which server was asked")

    def _marked(self, server: Address, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, kind)
        made.settimeout(_PATIENCE)
        made.setsockopt(socket.SOL_SOCKET, _SO_MARK, self._mark)
        return made

    def _forget(self, upstream: socket.socket) -> None:
        self._selector.unregister(upstream)
        del self._waiting[upstream]
        upstream.close()

    def _give_up(self) -> None:
        now = clock.now()
        for upstream in [each for each, waiting in self._waiting.items() if waiting.deadline < now]:
            self._unanswered += 1
            self._forget(upstream)

    def _end(self) -> None:
        for upstream in tuple(self._waiting):
            self._forget(upstream)
        self._selector.close()
        self._open.close()


def read_question(packet: bytes) -> tuple[str, int, int] | None:
    """Read name, type and end of the one question of a query. None where it is no such thing."""
    if len(packet) < 17 or packet[2] & 0x80 or struct.unpack_from("!H", packet, 4)[0] != 1:
        return None
    labels, position = [], 12
    while position < len(packet) and (length := packet[position]):
        if length > 63:
            return None
        labels.append(packet[position + 1 : position + 1 + length].decode("ascii", "replace"))
        position += 1 + length
    if position + 5 > len(packet):
        return None
    kind = struct.unpack_from("!H", packet, position + 1)[0]
    return ".".join(labels).lower(), kind, position + 5


def _answered(question: bytes, code: int, record: bytes = b"") -> bytes:
    """Make the answer to a query that ends with its question."""
    number, flags = struct.unpack_from("!HH", question)
    head = struct.pack("!6H", number, 0x8080 | (flags & 0x7900) | code, 1, 1 if record else 0, 0, 0)
    return head + question[12:] + record


def _turn_away(ready: socket.socket, question: bytes, client: Address) -> None:
    if asked := read_question(question):
        ready.sendto(_answered(question[: asked[2]], ANSWERS["servfail"]), client)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise OperationFailed(
            f'"{text}" is no answer; write nxdomain, servfail, timeout or an IP address'
        ) from None


def _read_message(peer: socket.socket) -> bytes:
    head = _read(peer, 2)
    return _read(peer, struct.unpack("!H", head)[0]) if head else b""


def _read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data
