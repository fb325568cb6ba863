"""Recovery: the end of the last bad second before the next disturbance, censored there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BUCKET = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Recovery:
    """*seconds* to the end of the last bad bucket. Not *recovered*: bad to the last, so it took longer than that."""

    seconds: float
    recovered: bool


def recovery(bad: Sequence[bool | None]) -> Recovery | None:
    """Read the time to recover from one verdict per complete bucket; None where no bucket says anything.

    A bucket that says nothing (None) counts as the one before it, and before the first everything was bad.
    """
    if all(one is None for one in bad):
        return None
    last, state = 0, True
    for number, one in enumerate(bad):
        state = state if one is None else one
        last = number + 1 if state else last
    return Recovery(seconds=last * BUCKET, recovered=not state)


def longest_run(true: Sequence[bool]) -> int:
    """The greatest number of neighbours that are all true."""
    longest = current = 0
    for one in true:
        current = current + 1 if one else 0
        longest = max(longest, current)
    return longest
