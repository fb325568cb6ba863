"""The worker's two pipes, on threads of the system: orders in, chunks out, neither ever holding up the load."""

from __future__ import annotations

import os
import signal
from _queue import SimpleQueue  # the C one: gevent leaves it alone
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import get_original

from runner.load.orders import Order, read_order

_start_thread: Callable[[Callable[[], None], tuple[()]], int] = get_original("_thread", "start_new_thread")


class Wire:
    """Take stdin and the frames pipe away from user code: its input is empty, its prints go to the log."""

    def __init__(self, frames: int) -> None:
        os.set_inheritable(frames, False)
        self._frames = frames
        self._orders_in = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self._packets: SimpleQueue[bytes] = SimpleQueue()
        self._queued = self._written = 0
        self._arrived: SimpleQueue[Order] = SimpleQueue()
        self._orders: Any = gevent.queue.SimpleQueue()
        self._bell = gevent.get_hub().loop.async_()
        self._bell.start(self._hand_over)
        _start_thread(self._read, ())
        _start_thread(self._write, ())

    def next_order(self, timeout: float | None) -> Order | None:
        """Wait for an order; other greenlets run meanwhile."""
        try:
            order: Order = self._orders.get(timeout=timeout)
        except gevent.queue.Empty:
            return None
        return order

    @property
    def busy(self) -> bool:
        """Whether something is still being written: the reader is slow, better gather more."""
        return self._queued != self._written

    def send(self, packet: bytes) -> None:
        self._queued += 1
        self._packets.put(packet)

    def _hand_over(self) -> None:
        while not self._arrived.empty():
            self._orders.put(self._arrived.get())

    def _read(self) -> None:
        rest = b""
        while data := os.read(self._orders_in, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._arrived.put(read_order(line))
            self._bell.send()
        go_home()

    def _write(self) -> None:
        while True:
            view = memoryview(self._packets.get())
            while view:
                try:
                    view = view[os.write(self._frames, view) :]
                except OSError:
                    go_home()
            self._written += 1


def go_home() -> None:
    """End at once, with all that user code started: nobody listens any more."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
