"""What a probe is: something that reads an indicator once, or says why it cannot."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import msgspec

from runner.errors import ProbeFailed


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one look gave: a value, a ratio or cumulative buckets; *error* where one instance gave none."""

    instance: str = ""
    value: float | None = None
    bad: float | None = None
    valid: float | None = None
    total: float | None = None
    buckets: dict[str, float] | None = None
    error: str = ""


class Probe(Protocol):
    """Reads one indicator; used by one thread."""

    def read(self) -> list[Reading]:
        """Read it now. Raises ProbeFailed where there is no data; an empty list where it is too early to tell."""

    def close(self) -> None:
        """End a reading under way and let go of everything; called from another thread."""


def counted(part: float, total: float, *, counts: Literal["bad", "valid"]) -> Reading:
    """Return the ratio of *part* to *total*. Raises ProbeFailed for what no count can be, and for a total of nothing."""
    if not 0 <= part <= total * (1 + 1e-9):
        raise ProbeFailed(f"{part:g} {counts} of {total:g} cannot be")
    if total == 0:
        raise ProbeFailed("the total is 0: nothing was there to count")
    return Reading(bad=part, total=total) if counts == "bad" else Reading(valid=part, total=total)


def finite(number: float, what: str) -> float:
    """Return *number* where it is one. Raises ProbeFailed for NaN (0 / 0) and infinities."""
    if not math.isfinite(number):
        raise ProbeFailed(f"{what} is {number}, which is no measurement")
    return number
