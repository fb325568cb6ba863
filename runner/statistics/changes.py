"""Moments at which a share or a rate changed its level, found by comparing the seconds before with those after.

Every moment is compared at several lengths. How much such differences vary where nothing happens is read from the run
itself (the median of their sizes), so that slow swings of the system make changes harder to find, not more frequent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.statistics.frames import Real

LENGTHS = (2, 5, 10, 30, 60)  # seconds before and after that are compared
CLEAR = 5.0  # deviations that a difference must have: tests/benchmarks/bench_coverage.py measures what that lets through
EXPECTED = 3.5  # where a change is looked for: there are few such places
MOST = 50
_NORMAL = 0.6745  # the median size of a standard normal
_LEAST = 0.05  # a rate must change by this share of itself
_EVEN = 0.1  # deviations of a rate are at least this share of those of chance: arrivals on a schedule hardly have any


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level: *at* counts from the first second, *length* seconds on both sides show it.

    One of less than CLEAR deviations counts only where it was to be expected.
    """

    at: int
    length: int
    before: float
    after: float
    size: float  # deviations


def steps_of_share(bad: Real, total: Real, edges: Sequence[float] = ()) -> list[Step]:
    """Where the share of bad ones changed, by second. What is usual is read away from *edges*, where causes are known."""
    found: list[Step] = []
    usual = 1.0
    for length in _lengths(len(total)):
        hits, tries = _both(bad, length), _both(total, length)
        there = (tries[0] > 0) & (tries[1] > 0)
        left, right = (hit / np.maximum(one, 1) for hit, one in zip(hits, tries, strict=True))
        pooled = (hits[0] + hits[1]) / np.maximum(tries[0] + tries[1], 1)
        chance = pooled * (1 - pooled) * (1 / np.maximum(tries[0], 1) + 1 / np.maximum(tries[1], 1))
        size = np.where(there & (chance > 0), (right - left) / np.sqrt(np.maximum(chance, 1e-12)), 0.0)
        usual = _usual(size, length, edges, usual, least=1.0)
        found += _clear(size / usual, left, right, length)
    return _apart(found)


def steps_of_rate(total: Real, edges: Sequence[float] = ()) -> list[Step]:
    """Where the number of requests per second changed."""
    found: list[Step] = []
    usual = _EVEN
    for length in _lengths(len(total)):
        left, right = (one / length for one in _both(total, length))
        chance = np.sqrt(np.maximum(left + right, 1e-12) / length)
        size = (right - left) / chance
        usual = _usual(size, length, edges, usual, least=_EVEN)
        size = np.where(np.abs(right - left) > _LEAST * np.maximum(left, right), size, 0.0)
        found += _clear(size / usual, left, right, length)
    return _apart(found)


def _lengths(seconds: int) -> list[int]:
    return [length for length in LENGTHS if 4 * length <= seconds]


def _both(counts: Real, length: int) -> tuple[Real, Real]:
    """Sums of the *length* seconds before, and from, every second that has both."""
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    parts = sums[length:] - sums[:-length]
    return np.asarray(parts[:-length]), np.asarray(parts[length:])


def _usual(size: Real, length: int, edges: Sequence[float], shorter: float, *, least: float) -> float:
    """The deviation of most differences, by the median: a few true changes do not matter.

    Where too few lie away from all edges, it is what those of the *shorter* length would come to if all they show lasted.
    """
    at = np.arange(len(size)) + length
    calm = np.ones(len(size), dtype=np.bool_)
    for edge in edges:
        calm &= np.abs(at - edge) > length
    if calm.sum() < 2 * length:
        return shorter * math.sqrt(2)
    return max(least, float(np.median(np.abs(size[calm]))) / _NORMAL)


def _clear(size: Real, left: Real, right: Real, length: int) -> list[Step]:
    """All that may be a change; of neighbours the clearest."""
    found: list[Step] = []
    for place in np.nonzero(np.abs(size) >= EXPECTED)[0].tolist():
        around = np.abs(size[max(0, place - length) : place + length + 1])
        if abs(size[place]) >= around.max() and (not found or place + length - found[-1].at > length):
            found.append(
                Step(place + length, length, float(left[place]), float(right[place]), float(abs(size[place])))
            )
    return found


def _apart(found: list[Step]) -> list[Step]:
    """The clearest first; what a longer look shows around one already found is the same change."""
    kept: list[Step] = []
    for step in sorted(found, key=lambda one: -one.size):
        if all(abs(step.at - other.at) > max(step.length, other.length) for other in kept):
            kept.append(step)
        if len(kept) == MOST or math.isnan(step.size):
            break
    return sorted(kept, key=lambda one: one.at)
