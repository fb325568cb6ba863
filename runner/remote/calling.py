"""One HTTP call to an engine or a cluster: its answer as JSON, or one sentence that says what went wrong."""

from __future__ import annotations

import abc
import contextlib
import http.client
import json
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from runner import clock
from runner.errors import OperationFailed

TIMEOUT = 10.0  # seconds that one call may hang at any point
IDLE = 2.0  # seconds that a connection is kept for the next call: servers close theirs only after many more
_LONGEST = 300  # characters of a foreign message that are kept
_QUOTED = 60  # of an answer that is none
_HEAD = 65536  # bytes of an answer's head


class ApiError(OperationFailed):
    """The other side refused; *status* is that of HTTP, 0 where it could not be reached."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(what)


class Way(abc.ABC):
    """How to get to the other side; a connection that a call is done with may serve the next one."""

    def __init__(self) -> None:
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []

    @abc.abstractmethod
    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """Make a new connection, not opened yet."""

    @abc.abstractmethod
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every call carries; a name may come several times."""

    def take(self, timeout: float) -> http.client.HTTPConnection:
        """Take one that is open and that the other side has not closed, or a new one."""
        with contextlib.suppress(IndexError):
            while True:
                since, connection = self._idle.pop()  # in one step: threads may share a client
                if clock.now() - since < IDLE and _is_silent(connection.sock):
                    connection.sock.settimeout(timeout)
                    return connection
                connection.close()
        return self.connect(timeout)

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep one whose answer has been read, unless the other side ends it."""
        if connection.sock is not None:
            self._idle.append((clock.now(), connection))

    def __del__(self) -> None:
        for _, connection in self._idle:
            connection.close()


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
    headers = way.headers()  # first: a program may be asked for them, while what lies idle ends
    with _connected(way.take, timeout, f"{verb} {path}") as connection:
        connection.putrequest(verb, with_query(path, query))  # `request` takes no header twice
        for header in (*headers, ("Content-Type", content), ("Accept", "application/json")):
            connection.putheader(*header)
        if data is not None or verb != "GET":
            connection.putheader("Content-Length", str(len(data or b"")))
        connection.endheaders(data)
        answer = connection.getresponse()
        said = answer.read()
    way.give_back(connection)
    if answer.status >= 400:
        raise ApiError(answer.status, f"{verb} {path}: {answer.status}, {message_of(said)}")
    return said


def upgrade(
    way: Way, verb: str, path: str, *, query: Mapping[str, object], headers: Mapping[str, str]
) -> tuple[socket.socket, bytes]:
    """Turn a call into a stream both ways; return its socket and what came after the head. Raises ApiError."""
    with _connected(way.connect, TIMEOUT, f"{verb} {path}") as connection:
        connection.connect()
        lines = [("Host", connection.host), *way.headers(), *headers.items()]
        if verb != "GET":
            lines.append(("Content-Length", "0"))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        connection.sock.sendall(f"{verb} {with_query(path, query)} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        said, rest = _head_of(connection.sock)
        status = _status_of(said)
        if status not in (101, 200) and not rest:
            rest = connection.sock.recv(_HEAD)
    if status not in (101, 200):
        connection.close()
        raise ApiError(status, f"{verb} {path}: {status}, {message_of(rest)}")
    return connection.sock, rest


def address(url: str) -> SplitResult:
    """Take an address apart. Raises OperationFailed."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a number that is none shows only when it is read
    except ValueError as error:
        raise OperationFailed(f"{url} is no address: {error}") from error
    return parts


@contextlib.contextmanager
def _connected(
    way: Callable[[float], http.client.HTTPConnection], timeout: float, what: str
) -> Iterator[http.client.HTTPConnection]:
    """Say in one sentence what goes wrong with a connection, and close it. Raises ApiError."""
    with contextlib.ExitStack() as failed:
        try:
            connection = way(timeout)
            failed.callback(connection.close)
            yield connection
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f"{what}: {error or type(error).__name__}") from error
        except ValueError:  # its text, and its chain, may hold the header with the token
            raise ApiError(0, f"{what}: the address or a header of it is malformed") from None
        failed.pop_all()


def _is_silent(connection: socket.socket) -> bool:
    """Whether nothing has come meanwhile: that would be its end."""
    watched = select.poll()
    watched.register(connection, select.POLLIN)
    return not watched.poll(0)


def with_query(path: str, query: Mapping[str, object] | None) -> str:
    """Append the query: true and false as the APIs write them, nothing for None."""
    values = {
        name: json.dumps(value) if isinstance(value, bool | dict | list) else str(value)
        for name, value in (query or {}).items()
        if value is not None
    }
    return quote(path, safe="/:@,~") + ("?" + urlencode(values) if values else "")


def parsed(said: bytes, whose: str) -> Any:
    """Read an answer as JSON. Raises ApiError where it is none: then it is not *whose* API that answers."""
    try:
        return json.loads(said)
    except ValueError:
        words = message_of(said)[:_QUOTED]
        raise ApiError(0, f"what answers there is not the API of {whose}: it says {words!r}") from None


def message_of(said: bytes) -> str:
    """The message in an answer that refuses, in one line."""
    try:
        words = json.loads(said)["message"]
    except (ValueError, KeyError, TypeError):
        words = said.decode(errors="replace")
    return " ".join(str(words).split())[:_LONGEST] or "no reason given"


def _status_of(head: bytes) -> int:
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise OSError("it does not answer as HTTP does")
    return int(words[1])


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
    if not insecure:
        return ssl.create_default_context(cafile=authority or None, cadata=data or None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every authority there is: 30 ms
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
