"""The one door to time: seconds as float; nothing else imports time for deciding anything."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec


def now() -> float:
    """Monotonic seconds: one clock for all processes of this machine, stops in suspend."""
    return time.monotonic()


def lease_now() -> float:
    """Seconds since boot, suspend included: what leases are counted in."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's id of this boot: monotonic readings and pids mean nothing across it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class TimeAnchor(msgspec.Struct, frozen=True):
    """The moment that a run's record counts from, in every clock once."""

    boot: str
    monotonic: float
    boottime: float
    wall: float

    def at(self) -> float:
        """Seconds since the anchor, now."""
        return now() - self.monotonic


def anchor() -> TimeAnchor:
    """Read all clocks at once, for the head of a record."""
    return TimeAnchor(boot=boot_id(), monotonic=now(), boottime=lease_now(), wall=time.time())
