"""Messages of HTTP/1 as a proxy needs them: where the head ends, and how long the body is."""

from __future__ import annotations

import enum
import socket
from dataclasses import dataclass

_MOST = 1 << 16  # bytes of a head
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


class Body(enum.Enum):
    """How a body without a length ends."""

    CHUNKED = 1
    UNTIL_END = 2


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and fields as they came (*raw*), and what came behind them (*rest*). No method, no status: no HTTP/1."""

    raw: bytes
    rest: bytes = b""
    method: str = ""
    path: str = ""
    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    version: str = "HTTP/1.1"

    def field(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name).lower()

    @property
    def closes(self) -> bool:
        """Whether no other message follows."""
        connection = self.field("connection")
        return "close" in connection or (self.version == "HTTP/1.0" and "keep-alive" not in connection)

    @property
    def expects_go_ahead(self) -> bool:
        return "100-continue" in self.field("expect")

    def body(self, of: Head | None = None) -> int | Body:
        """The length of the body. *of*: the request that this answers."""
        if self.status in (204, 304) or (of is not None and of.method == "HEAD"):
            return 0
        if "chunked" in self.field("transfer-encoding"):
            return Body.CHUNKED
        length = self.field("content-length").split(",")[0].strip()
        if length.isdigit():
            return int(length)
        return Body.UNTIL_END if self.status else 0


def read_head(peer: socket.socket, begun: bytes) -> Head | None:
    """Read until the head is whole. None where the peer ended instead. Raises OSError."""
    data = begun
    while (end := data.find(b"\r\n\r\n")) < 0:
        if (data and not _may_be_http(data)) or len(data) > _MOST:
            return Head(data)
        more = peer.recv(1 << 16)
        if not more:
            return Head(data) if data else None
        data += more
    return _parse(data[: end + 4], data[end + 4 :]) or Head(data)


def carry(body: int | Body, begun: bytes, source: socket.socket, sink: socket.socket | None) -> bytes:
    """Carry a body of which *begun* has come already; return what came behind it.

    Raises OSError; one that the source does not bring to its end too: who waits for the rest has to see it break.
    """
    if body is Body.CHUNKED:
        return _carry_chunks(begun, source, sink)
    left = float("inf") if body is Body.UNTIL_END else int(body.value if isinstance(body, Body) else body)
    data = begun
    while True:
        part = data if left >= len(data) else data[: int(left)]
        if sink is not None and part:
            sink.sendall(part)
        left -= len(part)
        if left <= 0:
            return data[len(part) :]
        data = source.recv(1 << 16)
        if not data:
            if body is Body.UNTIL_END:
                return b""
            raise ConnectionError(f"a body broke off {left:,.0f} bytes before its end")


def _carry_chunks(data: bytes, source: socket.socket, sink: socket.socket | None) -> bytes:
    while True:
        line, data = _line(data, source)
        size = int(line.split(b";")[0], 16)
        if sink is not None:
            sink.sendall(line + b"\r\n")
        if size == 0:
            break
        data = carry(size + 2, data, source, sink)
    while True:  # trailers
        line, data = _line(data, source)
        if sink is not None:
            sink.sendall(line + b"\r\n")
        if not line:
            return data


def _line(data: bytes, source: socket.socket) -> tuple[bytes, bytes]:
    while b"\r\n" not in data:
        more = source.recv(1 << 16)
        if not more or len(data) > _MOST:
            raise ConnectionError("a chunked body broke off")
        data += more
    line, _, rest = data.partition(b"\r\n")
    return line, rest


def _may_be_http(data: bytes) -> bool:
    start = data[:9].split(b" ")[0].split(b"/")[0].decode("latin-1")
    return any(word.startswith(start) for word in (*_METHODS, "HTTP")) and not data.startswith(b"PRI")


def _parse(raw: bytes, rest: bytes) -> Head | None:
    first, *lines = raw.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    fields = tuple(
        (name.strip().lower(), value.strip())
        for name, colon, value in (line.partition(":") for line in lines)
        if colon
    )
    if words[0].startswith("HTTP/1.") and len(words) > 1 and words[1].isdigit():
        return Head(raw, rest, status=int(words[1]), fields=fields, version=words[0])
    if len(words) == 3 and words[2].startswith("HTTP/1."):
        path = words[1].partition("?")[0]
        return Head(raw, rest, method=words[0], path=path, fields=fields, version=words[2])
    return None
