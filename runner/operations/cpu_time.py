"""The CPU time that other processes have used, to the nanosecond, and how much they could use at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from runner.operations.record import Identity

_SCHED = 2  # CPUCLOCK_SCHED of clock_getcpuclockid(3): all threads, the running ones up to this moment


def cpu_time(process: Identity) -> float:
    """Seconds of CPU that all threads of *process* have used; 0 where it is gone."""
    try:
        return time.clock_gettime((~process.pid << 3) | _SCHED)
    except OSError:
        return 0.0


def capacity(found: Iterable[Identity]) -> float:
    """CPUs that *found* could use at once: no more than their threads, no more than they are allowed to."""
    threads, allowed = 0, set[int]()
    for process in found:
        try:
            threads += len(list(Path(f"/proc/{process.pid}/task").iterdir()))
            allowed |= os.sched_getaffinity(process.pid)
        except OSError:
            continue
    return float(max(1, min(threads, len(allowed))))
