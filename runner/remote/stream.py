"""The two ends of a helper: lines of its output come in, lines for its input go out, and nothing ever blocks long."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from typing import Protocol

from runner.errors import OperationFailed

PATIENCE = 2.0  # seconds that a line may take to be written
CHUNK = 65536


class Stream(Protocol):
    """An attached helper."""

    ended: bool

    def fileno(self) -> int:
        """What to wait on."""

    def lines(self) -> list[bytes]:
        """Complete lines that have arrived, without waiting."""

    def send(self, data: bytes) -> None:
        """Write to its input. Raises OperationFailed."""

    def close(self) -> None:
        """Hang up: its input ends."""


class SocketStream:
    """A stream over a socket; a subclass says how bytes are framed on it."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        self._socket, self._bytes = connection, rest
        self._line = b""
        self.trouble = b""  # the end of what it wrote to standard error
        self.ended = False
        connection.setblocking(False)

    def fileno(self) -> int:
        """What to wait on."""
        return self._socket.fileno()

    def lines(self) -> list[bytes]:
        """Complete lines that have arrived, without waiting."""
        while not self.ended and (chunk := self._receive()):
            self._bytes += chunk
        *complete, self._line = (self._line + self._unpacked()).split(b"\n")
        return [line for line in complete if line.strip()]

    def send(self, data: bytes) -> None:
        """Write to its input within a moment. Raises OperationFailed."""
        self._send_all(self._packed(data))

    def close(self) -> None:
        """Hang up: its input ends."""
        self.ended = True
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send_all(self, left: bytes) -> None:
        while left:
            try:
                sent = self._socket.send(left)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if not select.select((), (self._socket,), (), PATIENCE)[1]:
                    raise OperationFailed("the helper's input is full: it does not read") from None
            except (OSError, ValueError) as error:
                raise OperationFailed(f"the helper cannot be reached: {error}") from error
            else:
                left = left[sent:]

    def _receive(self) -> bytes:
        try:
            chunk = self._socket.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError:
            chunk = b""
        self.ended = not chunk
        return chunk

    def _packed(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _unpacked(self) -> bytes:
        """Take complete frames off `_bytes`; return what they hold of its output."""
        raise NotImplementedError

    def _complained(self, data: bytes) -> None:
        self.trouble = (self.trouble + data)[-2000:]


class EngineStream(SocketStream):
    """The multiplexed stream of an engine: eight bytes of head (which output, how long) before every piece."""

    def _packed(self, data: bytes) -> bytes:
        return data

    def _unpacked(self) -> bytes:
        out = b""
        while len(self._bytes) >= 8:
            size = int.from_bytes(self._bytes[4:8], "big")
            if len(self._bytes) < 8 + size:
                break
            kind, piece, self._bytes = self._bytes[0], self._bytes[8 : 8 + size], self._bytes[8 + size :]
            if kind == 2:
                self._complained(piece)
            else:
                out += piece
        return out
