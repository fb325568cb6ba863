"""Stages as functions of time: the level now, and the exact moments at which arrivals are due."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from runner.load.orders import TimedStage


def level_at(stages: Sequence[TimedStage], at: float) -> float:
    """Read the level at a moment; 0 before the first stage, between stages and after the last."""
    for stage in reversed(stages):
        if at < stage.start:
            continue
        if stage.end is None:
            return stage.level_to
        if at >= stage.end:
            return 0.0
        share = (at - stage.start) / (stage.end - stage.start)
        return stage.level_from + (stage.level_to - stage.level_from) * share
    return 0.0


def users_of(level: float, worker: int, workers: int) -> int:
    """Turn a share of users into whole ones, so that all workers together have exactly the rounded total."""
    total = math.floor(level * workers + 0.5)
    return (total + workers - 1 - worker) // workers


def due_times(stages: Sequence[TimedStage], phase: float = 0.5) -> Iterator[float]:
    """Yield when arrivals are due: arrival k at the moment where the integral of the rate is k + *phase*.

    So the number due in any stretch is within one of the exact integral, ramps included, and workers with
    phases apart interleave. Endless where the last stage is.
    """
    done = 0.0  # the integral up to this stage's start
    arrival = phase
    for stage in stages:
        area = _area(stage)
        while arrival < done + area:
            yield stage.start + _time_of(stage, arrival - done)
            arrival += 1.0
        done += area


def _area(stage: TimedStage) -> float:
    if stage.end is None:
        return math.inf if stage.level_to > 0 else 0.0
    return (stage.end - stage.start) * (stage.level_from + stage.level_to) / 2


def _time_of(stage: TimedStage, area: float) -> float:
    """Solve from*t + slope*t*t/2 = area for t, in the form that stays exact where the slope is 0."""
    if stage.end is None:
        return area / stage.level_to
    slope = (stage.level_to - stage.level_from) / (stage.end - stage.start)
    root = math.sqrt(max(0.0, stage.level_from**2 + 2 * slope * area))
    return 2 * area / (stage.level_from + root)
