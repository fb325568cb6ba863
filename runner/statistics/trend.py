"""Where a value is heading: its slope by Theil and Sen, with the interval that it lies in."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from runner.statistics.comparison import Measured, nothing
from runner.timeline import Sample

SEGMENTS = 8
LEAST = 2 * SEGMENTS  # samples
_FALL = 0.5
_CONFIDENCE = 0.95


def trend(instance: str, samples: Sequence[Sample]) -> Measured:
    """The change per second of one instance's values, between the ends of its 95 % interval.

    Samples that follow one another are alike, so the slope is of the medians of 8 segments: the interval then holds
    the true slope in 92 to 97 % of cases while a segment is longer than the values are correlated (with all samples,
    in 33 % at an AR(1) coefficient of 0.9).
    """
    from scipy.stats import theilslopes  # noqa: PLC0415 - scipy is slow to import; only a trend needs it

    whose = f" of {instance}" if instance else ""
    if len(samples) < LEAST:
        return nothing(f"a trend needs {LEAST} samples{whose}, there were {len(samples)}")
    middles = [_middle(segment) for segment in _segments(samples) if segment]
    if len(middles) < SEGMENTS:
        return nothing(f"the samples{whose} lie too unevenly in time for a trend")
    at, medians = zip(*middles, strict=True)
    slope = theilslopes(medians, at, alpha=_CONFIDENCE)
    return Measured(float(slope.slope), float(slope.low_slope), float(slope.high_slope))


def fall(samples: Sequence[Sample]) -> str:
    """Say where a memory fell to less than half of itself, as after a restart: a trend across that hides a leak."""
    for before, after in itertools.pairwise(samples):
        if (after.value or 0.0) < _FALL * (before.value or 0.0):
            whose = f" of {after.instance}" if after.instance else ""
            return (
                f"it fell by more than half{whose}, as after a restart, and a trend across that hides a leak"
            )
    return ""


def _segments(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Cut into parts of equal time."""
    start, length = samples[0].at, samples[-1].at - samples[0].at
    found: list[list[Sample]] = [[] for _ in range(SEGMENTS)]
    for sample in samples:
        found[min(SEGMENTS - 1, int(SEGMENTS * (sample.at - start) / length)) if length else 0].append(sample)
    return found


def _middle(segment: Sequence[Sample]) -> tuple[float, float]:
    return (
        statistics.median(one.at for one in segment),
        statistics.median(one.value or 0.0 for one in segment),
    )
