"""Squeezed processes: let run for their share of the time by SIGCONT and SIGSTOP in turn, while a hand holds them."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from contextlib import suppress

from runner import clock, processes
from runner.operations.cpu_time import capacity, cpu_time
from runner.operations.process import send
from runner.operations.record import Reading, Squeeze

BRIEFEST = 0.0005  # seconds; a shorter slice is mostly overhead
MEMORY = 10  # periods; what went wrong longer ago is not made good any more


class Duty:
    """How long to run and to stand next, so that what came out too long is made good by the next slices.

    *balance*: seconds run beyond the share.
    """

    def __init__(self, share: float, period: float) -> None:
        self._share, self._period, self.balance = share, period, 0.0

    def ran(self, seconds: float) -> None:
        """Account for a slice in which they ran."""
        self._settle(seconds * (1 - self._share))

    def stood(self, seconds: float) -> None:
        """Account for a slice in which they stood."""
        self._settle(-seconds * self._share)

    def run_slice(self) -> float:
        """Seconds to run now."""
        wanted = self._share * self._period - self.balance / (1 - self._share)
        return min(max(wanted, BRIEFEST), MEMORY * self._period)

    def stop_slice(self) -> float:
        """Seconds to stand now."""
        return max(self.balance / self._share, BRIEFEST)

    def _settle(self, seconds: float) -> None:
        most = MEMORY * self._period * self._share
        self.balance = min(max(self.balance + seconds, -most), most)


class Squeezed:
    """Processes that a hand holds to a share of the time; released, they run."""

    def __init__(self, operation: Squeeze) -> None:
        found = ((processes.open_pidfd(process), process) for process in operation.processes)
        self._opened = {descriptor: process for descriptor, process in found if descriptor is not None}
        self._share = operation.share
        self._duty = Duty(operation.share, operation.period)
        self._began = self._turned = clock.now()
        self._ran, self._stands, self._first = 0.0, False, False
        self._used = {process.pid: cpu_time(process) for process in self._opened.values()}
        self._own_before = time.process_time()

    @property
    def reading(self) -> Reading:
        """What they were let have, and what holding them cost."""
        if not self._opened:
            return Reading(ok=False, evidence="nobody is left to hold")
        elapsed = max(clock.now() - self._began, 1e-9)
        ran = self._ran + (0.0 if self._stands else clock.now() - self._turned)
        cost = (time.process_time() - self._own_before) / elapsed
        pids = ", ".join(str(process.pid) for process in self._opened.values())
        return Reading(
            evidence=f"process {pids} ran {ran / elapsed:.1%} of {elapsed:.1f} s, {self._share:.1%} wanted;"
            f" holding cost {cost:.1%} of a CPU",
            processes=tuple(self._opened.values()),
        )

    def tick(self) -> float:
        """Stop them or let them run, whichever is due; return the seconds until the next turn."""
        if not self._opened:
            return math.inf
        if not self._first:
            self._first = _come_first()
        if self._stands:
            self._duty.stood(self._turn(signal.SIGCONT))
            return self._duty.run_slice()
        seconds = max(self._turn(signal.SIGSTOP), self._cpu_slice())
        self._ran += seconds
        self._duty.ran(seconds)
        self._forget_the_dead()
        return self._duty.stop_slice()

    def release(self) -> None:
        """Let all run again, whatever happened before."""
        for descriptor, process in self._opened.items():
            send(descriptor, process, signal.SIGCONT)
            os.close(descriptor)
        self._opened = {}
        if self._first:
            _be_as_others()
        self._first = False

    def _turn(self, number: signal.Signals) -> float:
        """Send to all; return the seconds that the slice before it lasted.

        Where we lose the CPU ourselves meanwhile, that counts as standing: if they ran, their CPU time shows it.
        """
        before, stopping = self._turned, number is signal.SIGSTOP
        began = clock.now()
        for descriptor, process in self._opened.items():
            send(descriptor, process, number)
        self._stands, self._turned = stopping, began if stopping else clock.now()
        return self._turned - before

    def _cpu_slice(self) -> float:
        """Seconds of running that their CPU time since the last stop shows: they may have run on after it."""
        spent = 0.0
        for process in self._opened.values():
            used = cpu_time(process)
            spent += max(0.0, used - self._used[process.pid])
            self._used[process.pid] = used
        return spent / capacity(self._opened.values())

    def _forget_the_dead(self) -> None:
        for descriptor in select.select(tuple(self._opened), (), (), 0)[0]:
            del self._opened[descriptor]
            os.close(descriptor)


def _come_first() -> bool:
    """Wake on time on a busy machine too, where we may: while we are late, they run on."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    return True


def _be_as_others() -> None:
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def perform_squeeze(operation: Squeeze) -> Squeezed | Reading:
    """Begin to hold the processes; nothing is stopped before the first tick."""
    held = Squeezed(operation)
    if not held.reading.ok:
        return Reading(ok=False, evidence="none of the processes lives any more")
    return held
