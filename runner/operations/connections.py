"""Connections that are open here, all of which can be ended at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Connections:
    """Keeps sockets that threads of their own use."""

    def __init__(self) -> None:
        self._kept: set[socket.socket] = set()
        self._lock, self.ended = threading.Lock(), threading.Event()

    @contextlib.contextmanager
    def kept(self, each: socket.socket) -> Iterator[socket.socket]:
        """Keep a socket, then close it. Raises OSError where all have been ended."""
        with each:
            with self._lock:
                if self.ended.is_set():
                    raise ConnectionAbortedError("all connections have been ended")
                self._kept.add(each)
            try:
                yield each
            finally:
                with self._lock:  # one that is closed is not to be shut down: its number may be another's
                    self._kept.discard(each)

    def end(self) -> None:
        """End all: the other sides are told now, and who waits for them here is woken."""
        with self._lock:
            self.ended.set()
            for each in self._kept:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
