"""How much was offered, answered and under way while the load ran: means of everything that arrives and ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from runner.assertions import Term
from runner.statistics.cutting import Stretch
from runner.statistics.frames import Frames
from runner.statistics.measures import gauge, offered


@dataclass(frozen=True, slots=True)
class Flow:
    """Per second and on average. Answers count when they come, not when they were asked for.

    *offered* None: that was no load of the open model. *served*: answers that were no errors.
    """

    offered: float | None
    answered: float
    served: float
    in_flight: float


def flow(frames: Frames, stretch: Stretch) -> Flow | None:
    """Measure the flow in a stretch, as far as the load lasted in it; None where there was none."""
    due = offered(frames, Term(name="offered_rps"), stretch)
    begun = np.flatnonzero(due) if due is not None else frames.start - stretch.first
    if not len(begun):
        return None
    loaded = replace(stretch, last=min(stretch.last, stretch.first + int(begun.max()) + 1))
    if loaded.seconds <= 0:
        return None
    ended = (frames.end >= loaded.first) & (frames.end < loaded.last)
    good = np.array([not key.error for _, key in frames.keys], dtype=np.bool_)
    counts = frames.count[ended].astype(np.int64)
    served = counts[good[frames.key[ended]]].sum() if len(good) else 0
    levels = gauge(frames, Term(name="in_flight"), (loaded,))
    return Flow(
        offered=None if due is None else float(due[: loaded.slots].sum()) / loaded.seconds,
        answered=float(counts.sum()) / loaded.seconds,
        served=float(served) / loaded.seconds,
        in_flight=float(levels.mean()) if len(levels) else 0.0,
    )
