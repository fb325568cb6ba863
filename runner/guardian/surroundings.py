"""What the guardian does to and about processes that are neither its hands nor targets: runner, load, orphans."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from runner import clock, processes
from runner.guardian import marks
from runner.operations.record import Identity

_PR_SET_CHILD_SUBREAPER = 36
_OOM = Path("/proc/self/oom_score_adj")
PURGING = 1.0  # seconds that killed processes have to end
LOOK = 0.01  # seconds between two looks for them


def hear_signals() -> int:
    """Let no signal end us, and return a descriptor that wakes us when a child ends."""
    wakeup, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)  # a function: children begin with the default
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    return wakeup


def adopt_orphans() -> None:
    """Make what our hands started ours when they leave."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def protect_from_the_oom_killer() -> str:
    """Ask to be spared where we may; return the score that our children go back to."""
    try:
        score = _OOM.read_text(encoding="ascii").strip()
        _OOM.write_text("-500", encoding="ascii")
    except OSError:  # without the privilege only raising it is allowed
        return "0"
    return score


class Load:
    """The runner and its load: to be killed before what they ordered is undone."""

    def __init__(self, runner: socket.socket, run: str) -> None:
        peer = runner.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.runner, _, _ = struct.unpack("3i", peer)
        self._run = run
        self._pidfds: list[int] = []  # opened while descriptors can be had, and no other process can be hit
        self.pidfd = self._hold(processes.identify(self.runner))

    def adopt(self, pid: int) -> Identity | None:
        """Remember a process of the load."""
        process = processes.identify(pid)
        if descriptor := self._hold(process):
            self._pidfds.append(descriptor)
        return process

    def kill(self, *, with_runner: bool) -> None:
        """SIGKILL what is left of runner and load."""
        for descriptor in (*([self.pidfd] if with_runner and self.pidfd else ()), *self._pidfds):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        for process in marks.marked(self._run, marks.is_load):
            marks.kill(process)

    @staticmethod
    def _hold(process: Identity | None) -> int:
        """Open a pidfd; 0 where the process is gone."""
        return (processes.open_pidfd(process) or 0) if process else 0

    def end_remains(self, *, spare: Iterable[int]) -> None:
        """Before a rollback: end the guardian, hands and load of the dead run, so that nothing lands later."""
        self._end(lambda has: not marks.is_managed(has), spare=spare)

    def purge(self, *, spare: Iterable[int], reap: Callable[[], None]) -> tuple[str, ...]:
        """End all that carries the run's mark; name what would not end."""
        return self._end(lambda _has: True, spare=spare, reap=reap)

    def _end(
        self,
        wanted: Callable[[dict[str, str]], bool],
        *,
        spare: Iterable[int],
        reap: Callable[[], None] | None = None,
    ) -> tuple[str, ...]:
        until, spared = clock.now() + PURGING, (*spare, self.runner)
        while left := marks.marked(self._run, wanted, spare=spared):
            for process in left:
                marks.kill(process)
            if clock.now() >= until:
                return tuple(
                    f"process {process.pid} carries the run's mark and does not end" for process in left
                )
            with contextlib.suppress(InterruptedError):
                select.select((), (), (), LOOK)
            if reap:
                reap()
        return ()
