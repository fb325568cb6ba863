"""Whether the load generator can be believed: saturation, lost chunks, dead workers, arrivals never begun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.record import Record
from runner.statistics.frames import Worker
from runner.verdict.moments import Moments
from runner.verdict.wording import said

_LATE = 0.1  # seconds of schedule lag
_LATE_SHARE = 0.05  # of the chunks
_BUSY, _BUSY_FOR = 0.95, 5.0  # share of a core; seconds on average
_UNBEGUN = 0.01  # share of the arrivals offered
_END = 1.0  # seconds at the end of a record that no worker must have covered


@dataclass(frozen=True, slots=True)
class Doubts:
    """*swollen*: latencies may be the generator's own; nothing counts. *losing*: something is missing; what is
    broken stays broken, nothing is held.
    """

    swollen: tuple[str, ...] = ()
    losing: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.swollen, *self.losing)


def doubts_about(plan: Plan, record: Record, moments: Moments) -> Doubts:
    """Look at every worker from the end of the warm-up to the end of what is judged."""
    since = moments.warm if moments.warm is not None else 0.0
    swollen, losing = [], [record.damage] if record.damage else []
    for worker in record.frames.workers:
        judged = (worker.ats > since) & (worker.ats <= moments.end + SLOT)
        swollen += [*_late(worker, judged), *_busy(worker, judged)]
        losing += [*_dropped(worker, judged), *_lost(worker, moments)]
    losing += _missing_workers(plan, record, moments)
    losing += _unbegun(record, since=since, end=moments.end)
    return Doubts(tuple(swollen), tuple(losing))


def _late(worker: Worker, judged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[str]:
    lags = worker.lags[judged]
    late = int((lags > _LATE).sum())
    if not len(lags) or late <= _LATE_SHARE * len(lags):
        return []
    share = said(late / len(lags), "share")
    return [
        f"the load generator {worker.load} was saturated: it began requests up to {lags.max():.2f} s late in {share} of its time"
    ]


def _busy(worker: Worker, judged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[str]:
    """The mean over any five seconds: a chunk of 100 ms alone says little."""
    cpus, ats = worker.cpus[judged], worker.ats[judged]
    if not len(ats) or ats[-1] - ats[0] < _BUSY_FOR:
        return []
    spans = np.diff(ats, prepend=ats[0] - SLOT)
    used = np.concatenate([[0.0], np.cumsum(cpus * spans)])
    passed = np.concatenate([[0.0], np.cumsum(spans)])
    begins = np.searchsorted(passed, passed - _BUSY_FOR + 1e-9)
    full = passed >= _BUSY_FOR
    means = (used - used[begins])[full] / (passed - passed[begins])[full]
    if not len(means) or means.max() <= _BUSY:
        return []
    return [
        f"the load generator {worker.load} was saturated: it used {said(float(means.max()), 'share')} of its core for {_BUSY_FOR:g} s"
    ]


def _dropped(worker: Worker, judged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[str]:
    dropped = int(worker.dropped[judged].sum())
    return (
        [f"the load {worker.load} left out {dropped:,} arrivals: too many requests were under way"]
        if dropped
        else []
    )


def _lost(worker: Worker, moments: Moments) -> list[str]:
    found = []
    if worker.missing > 0:
        parts = "1 part" if worker.missing == 1 else f"{worker.missing} parts"
        verb = "is" if worker.missing == 1 else "are"
        found.append(f"{parts} of the measurements of load {worker.load} {verb} missing")
    if worker.problem:
        found.append(f"the load {worker.load} died: {worker.problem}")
    elif not worker.final and worker.watermark * SLOT < moments.end - _END:
        early = moments.end - worker.watermark * SLOT
        found.append(f"the measurements of load {worker.load} end {early:.1f} s before the run does")
    return found


def _missing_workers(plan: Plan, record: Record, moments: Moments) -> list[str]:
    """Name workers of the plan that never said a word."""
    if moments.warm is None or record.torn:  # they may have: their words are lost
        return []
    heard = {(worker.load, worker.number) for worker in record.frames.workers}
    found = []
    for load in plan.scenario.loads:
        count = sum(1 for name, _ in heard if name == load.name)
        if count < load.workers:
            found.append(
                f"{load.workers - count} of {load.workers} workers of load {load.name} never reported"
            )
    return found


def _unbegun(record: Record, *, since: float, end: float) -> list[str]:
    """Arrivals that were due but never begun; those of the last second may still have been about to."""
    found = []
    for load, (slots, counts) in record.frames.offered.items():
        judged = (slots * SLOT >= since) & (slots * SLOT < end - _END)
        due = int(counts[judged].sum())
        begun_slots, begun_counts = record.frames.started.get(load, (np.zeros(0), np.zeros(0)))
        begun = int(begun_counts[(begun_slots * SLOT >= since) & (begun_slots * SLOT < end - _END)].sum())
        if due - begun > _UNBEGUN * due:
            found.append(f"the load {load} began only {begun:,} of the {due:,} arrivals that were due")
    return found
