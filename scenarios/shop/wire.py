"""HTTP/1.1 with keep-alive over asyncio streams: just enough for the shop, in both directions."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

REASONS = {
    200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
BODY_LIMIT = 1 << 20
BROKEN = (OSError, EOFError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


@dataclass(frozen=True, slots=True)
class Request:
    """What came in; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Response]]


def packed(request: Request, host: str) -> bytes:
    """Lay out a request for sending."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body or request.method == "POST":
        lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def laid_out(response: Response, *, keep: bool) -> bytes:
    """Lay out a response for sending."""
    lines = [
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}",
        f"content-length: {len(response.body)}",
        f"connection: {'keep-alive' if keep else 'close'}",
    ]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body


async def read_message(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Read one request or response: its first line, its headers, its body. EOFError at a clean end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise EOFError from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_LIMIT or "transfer-encoding" in headers:
        msg = "a body that the shop does not take"
        raise ValueError(msg)
    return first, headers, await reader.readexactly(length) if length else b""


async def converse(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until either side closes it."""
    try:
        while True:
            first, headers, body = await read_message(reader)
            method, path, version = first.split(" ")
            keep = headers.get("connection", "").lower() != "close" and version == "HTTP/1.1"
            response = await answer(Request(method, path, headers, body))
            writer.write(laid_out(response, keep=keep))
            await writer.drain()
            if not keep:
                return
    except BROKEN:
        return
    finally:
        writer.close()


def run_server(answer: Answer, *, host: str, port: int, background: Awaitable[None] | None = None) -> None:
    """Serve HTTP until SIGTERM or SIGINT."""
    run_listener(partial(converse, answer), host=host, port=port, background=background)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run_listener(talk: Talk, *, host: str, port: int, background: Awaitable[None] | None = None) -> None:
    """Serve any protocol until SIGTERM or SIGINT, with *background* beside it."""
    with suppress(asyncio.CancelledError):
        asyncio.run(_listen(talk, host, port, background))


async def _listen(talk: Talk, host: str, port: int, background: Awaitable[None] | None) -> None:
    me = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            asyncio.CancelledError
        ):  # going home; asyncio would print a traceback for each connection
            await talk(reader, writer)

    async with await asyncio.start_server(quietly, host, port, backlog=1024) as server:
        if background is None:
            await server.serve_forever()
        else:
            await asyncio.gather(server.serve_forever(), background)


class Line:
    """One connection to a server, for one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        self.writer.transport.abort()


class Lines:
    """Kept connections to one server: a line is taken, used, and given back if it is still whole."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.idle: deque[Line] = deque()

    async def take(self) -> tuple[Line, bool]:
        """Take a kept line, or open a new one; say whether it is new."""
        while self.idle:
            line = self.idle.pop()
            if line.usable:
                return line, False
            line.close()
        reader, writer = await asyncio.open_connection(self.host.strip("[]"), self.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Line(reader, writer), True

    def give_back(self, line: Line) -> None:
        self.idle.append(line)

    def drop(self) -> None:
        """Close what is kept: the server behind it is not to be trusted."""
        while self.idle:
            self.idle.pop().close()
