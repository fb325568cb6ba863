"""Connections that are open here, all of which can be ended at once."""

from __future__ import annotations

import contextlib
import socket
import threading


class Connections:
    """Keeps sockets that threads of their own use. *ended*: whether `end` has been."""

    def __init__(self) -> None:
        self._kept: set[socket.socket] = set()
        self._lock, self.ended = threading.Lock(), threading.Event()

    def keep(self, each: socket.socket) -> socket.socket:
        """Keep a socket until `close`. Raises OSError, and closes it, where all have been ended."""
        with self._lock:
            if self.ended.is_set():
                each.close()
                raise ConnectionAbortedError("all connections have been ended")
            self._kept.add(each)
        return each

    def close(self, each: socket.socket) -> None:
        """Close one that is kept."""
        with self._lock:  # one that is closed is not to be shut down: its number may be another's
            self._kept.discard(each)
        each.close()

    def end(self) -> None:
        """End all: the other sides are told now, and who waits for them here is woken."""
        with self._lock:
            self.ended.set()
            for each in self._kept:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
