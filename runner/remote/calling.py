"""One HTTP call to an engine or a cluster: its answer as JSON, or one sentence that says what went wrong."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from runner.errors import OperationFailed

TIMEOUT = 10.0  # seconds that one call may hang at any point
_LONGEST = 300  # characters of a foreign message that are kept
_HEAD = 65536  # bytes of an answer's head


class ApiError(OperationFailed):
    """The other side refused; *status* is that of HTTP, 0 where it could not be reached."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(what)


class Way(Protocol):
    """How to get to the other side."""

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """Open a connection."""

    def headers(self) -> Mapping[str, str]:
        """What every call carries."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(
    way: Way,
    verb: str,
    path: str,
    *,
    body: Any = None,
    query: Mapping[str, object] | None = None,
    content: str = "application/json",
    timeout: float = TIMEOUT,
) -> bytes:
    """Make one call and return the body of its answer. Raises ApiError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {**way.headers(), "Content-Type": content, "Accept": "application/json"}
    connection = way.connect(timeout)
    try:
        connection.request(verb, with_query(path, query), body=data, headers=headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ApiError(0, f"{verb} {path}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise ApiError(answer.status, f"{verb} {path}: {answer.status}, {message_of(said)}")
    return said


def upgrade(
    way: Way, verb: str, path: str, *, query: Mapping[str, object], headers: Mapping[str, str]
) -> tuple[socket.socket, bytes]:
    """Turn a call into a stream both ways; return its socket and what came after the head. Raises ApiError."""
    connection = way.connect(TIMEOUT)
    try:
        connection.connect()
        lines = {"Host": connection.host, **way.headers(), **headers, "Content-Length": "0"}
        if verb == "GET":
            del lines["Content-Length"]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sock.sendall(f"{verb} {with_query(path, query)} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        said, rest = _head_of(connection.sock)
        status = int(said.split(b" ", 2)[1])
        if status not in (101, 200) and not rest:
            rest = connection.sock.recv(_HEAD)
    except (OSError, ValueError, IndexError) as error:
        connection.close()
        raise ApiError(0, f"{verb} {path}: {error or type(error).__name__}") from error
    if status not in (101, 200):
        connection.close()
        raise ApiError(status, f"{verb} {path}: {status}, {message_of(rest)}")
    return connection.sock, rest


def with_query(path: str, query: Mapping[str, object] | None) -> str:
    """Append the query: true and false as the APIs write them, nothing for None."""
    values = {
        name: json.dumps(value) if isinstance(value, bool | dict | list) else str(value)
        for name, value in (query or {}).items()
        if value is not None
    }
    return quote(path, safe="/:@,~") + ("?" + urlencode(values) if values else "")


def message_of(said: bytes) -> str:
    """The message in an answer that refuses, in one line."""
    try:
        words = json.loads(said)["message"]
    except (ValueError, KeyError, TypeError):
        words = said.decode(errors="replace")
    return " ".join(str(words).split())[:_LONGEST] or "no reason given"


def _head_of(connection: socket.socket) -> tuple[bytes, bytes]:
    said = b""
    while b"\r\n\r\n" not in said:
        chunk = connection.recv(4096)
        if not chunk or len(said) > _HEAD:
            raise OSError("it hung up in the middle of its answer")
        said += chunk
    head, _, rest = said.partition(b"\r\n\r\n")
    return head, rest


def client_tls(*, authority: str = "", data: str = "", insecure: bool = False) -> ssl.SSLContext:
    """A TLS context of a client; *authority* is a file, *data* the same as PEM text."""
    context = ssl.create_default_context(cafile=authority or None, cadata=data or None)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
