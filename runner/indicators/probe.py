"""What a probe is: something that reads an indicator once, or says why it cannot."""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from runner.errors import ProbeFailed


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one look gave: a value, a ratio or cumulative buckets; *error* where one instance gave none."""

    instance: str = ""
    value: float | None = None
    bad: float | None = None
    total: float | None = None
    buckets: dict[str, float] | None = None
    error: str = ""


class Probe(Protocol):
    """Reads one indicator; used by one thread."""

    def read(self) -> list[Reading]:
        """Read it now. Raises ProbeFailed where there is no data; an empty list where it is too early to tell."""

    def close(self) -> None:
        """End a reading under way and let go of everything; called from another thread."""


def finite(number: float, what: str) -> float:
    """Return *number* where it is one. Raises ProbeFailed for NaN (0 / 0) and infinities."""
    if not math.isfinite(number):
        raise ProbeFailed(f"{what} is {number}, which is no measurement")
    return number
