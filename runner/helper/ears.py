"""What reaches a helper: lines on standard input, its end, and signals, none of which is ever lost."""

from __future__ import annotations

import contextlib
import os
import select
import signal

import msgspec

from runner import clock
from runner.helper.protocol import Say, read_say

CHUNK = 65536


class Ears:
    """Standard input as lines. A signal just before the wait wakes it: its byte lies in a pipe already."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._line = b""
        self.ended = self.signalled = False
        self._woken, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)  # PID 1 does not even get what it ignores
        os.set_blocking(source, False)

    def first_line(self, patience: float) -> bytes | None:
        """Wait for the orders; None where none come."""
        until = clock.now() + patience
        while b"\n" not in self._line:
            if self.ended or self.signalled or clock.now() >= until:
                return None
            self._wait(until - clock.now())
            self._drain()
        first, _, self._line = self._line.partition(b"\n")
        return first

    def listen(self, seconds: float) -> list[Say]:
        """Wait so long at most; return all that has come in, complete lines only."""
        if b"\n" not in self._line and not self.ended:
            self._wait(seconds)
        self._drain()
        *complete, self._line = self._line.split(b"\n")
        return [say for line in complete if (say := _read(line)) is not None]

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        poll.poll(seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            self.signalled = bool(os.read(self._woken, 512)) or self.signalled

    def _drain(self) -> None:
        while not self.ended:
            try:
                chunk = os.read(self._source, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            self.ended = not chunk
            self._line += chunk


def _read(line: bytes) -> Say | None:
    try:
        return read_say(line)
    except msgspec.DecodeError:
        return None
