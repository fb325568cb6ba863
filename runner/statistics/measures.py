"""The measures of the load over a whole window: quantile, mean, max, shares, rates, counts and gauges."""

from __future__ import annotations

import math

import numpy as np

from runner.assertions import Operator, Term
from runner.load.frames import SLOT
from runner.statistics.comparison import Measured, exactly, looks_up, nothing
from runner.statistics.cutting import VALUES, Cut, Stretch, at_rank, cut, in_flight, joined
from runner.statistics.doubt import CERTAIN, Doubt
from runner.statistics.frames import Frames, Real, Whole
from runner.statistics.selection import GAUGES
from runner.statistics.sureness import sure

NO_REQUEST = "no request was made in this window"


def measure(
    frames: Frames,
    term: Term,
    stretches: tuple[Stretch, ...],
    operator: Operator | None = None,
    *,
    doubt: Doubt = CERTAIN,
) -> Measured:
    """Measure *term* over all *stretches* together. A gauge gives its worst for *operator*, its mean without one.

    With a confidence in *doubt* the ends of what is sampled are those of its interval.
    """
    if term.name in GAUGES:
        return _gauge(gauge(frames, term, stretches), operator)
    if term.name == "offered_rps":
        return _offered(frames, term, stretches)
    whole = joined([cut(frames, term, stretch) for stretch in stretches])
    seconds = sum(stretch.seconds for stretch in stretches)
    return sure(whole, term, measure_cut(whole, term, seconds=seconds), doubt, seconds=seconds)


def measure_cut(one: Cut, term: Term, *, seconds: float) -> Measured:
    """Measure a term of requests over what was cut out."""
    requests = one.ended + one.waiting
    if requests == 0:
        return nothing(NO_REQUEST)
    match term.name:
        case "quantile":
            assert term.quantile is not None
            return quantile(one, term.quantile)
        case "mean":
            return _mean(one)
        case "max":
            return _largest(one)
        case "error_rate":
            return _share(one, requests)
        case "success_rate":
            errors = _share(one, requests)
            assert errors.value is not None
            return Measured(1 - errors.value, 1 - errors.high, 1 - errors.low, requests=requests)
        case "rps":
            return exactly(one.ended / seconds, requests=requests) if seconds else nothing(NO_REQUEST)
        case "requests":
            return exactly(one.ended + one.waiting, requests=requests)
        case "errors":
            bad = int(one.count[one.bad].sum())
            return Measured(bad, bad, bad + one.waiting, requests=requests)
        case _:
            return nothing(f"{term.text or term.name} is no measure of the load")


MILLION = 1e6


def cost(requests: Measured, errors: Measured, *, spent: float) -> Measured:
    """What a million requests that succeeded cost, where so much was *spent*; those that wait may yet succeed or fail."""
    if requests.value is None or errors.value is None:
        return nothing(requests.why or errors.why)
    most, least = requests.value - errors.low, requests.value - errors.high
    low, high = (spent / succeeded * MILLION if succeeded else math.inf for succeeded in (most, least))
    return Measured(low, low, high, requests=round(requests.value))


def quantile(one: Cut, q: float) -> Measured:
    """Order statistic ceil(q n): at least with the waiting ones at their age, at most with them at infinity."""
    total = one.ended + one.waiting
    rank = max(1, math.ceil(q * total - 1e-9))
    high = at_rank(one, rank, endless=True)
    if not one.waiting:
        return exactly(high, requests=total)
    low = at_rank(one, rank, endless=False)
    return Measured(low, low, high, requests=total)


def gauge(frames: Frames, term: Term, stretches: tuple[Stretch, ...]) -> Real:
    """The level of a gauge, slot by slot."""
    if term.name == "in_flight":
        levels = [in_flight(frames, term, stretch) for stretch in stretches]
        seen = bool(frames.workers)
        return np.concatenate(levels).astype(np.float64) if seen and levels else np.zeros(0)
    return np.concatenate([_users(frames, term, stretch) for stretch in stretches])


def offered(frames: Frames, term: Term, stretch: Stretch) -> Whole | None:
    """Arrivals due in each slot; None where no load of the open model was seen."""
    chosen = [both for load, both in frames.offered.items() if term.selector.load in ("", load)]
    if not chosen:
        return None
    due = np.zeros(stretch.slots, dtype=np.int64)
    for slots, counts in chosen:
        inside = (slots >= stretch.first) & (slots < stretch.last)
        np.add.at(due, slots[inside] - stretch.first, counts[inside])
    return due


def _users(frames: Frames, term: Term, stretch: Stretch) -> Real:
    """Users of all workers by slot: each worker's last word until its next."""
    edges = (np.arange(stretch.first, stretch.last) + 1) * SLOT
    total, heard = np.zeros(len(edges)), np.zeros(len(edges), dtype=np.bool_)
    for worker in frames.workers:
        if term.selector.load not in ("", worker.load):
            continue
        place = np.searchsorted(worker.ats, edges, side="right") - 1
        known = (place >= 0) & (edges <= worker.ats[-1] + 2 * SLOT)
        total[known] += worker.users[place[known]]
        heard |= known
    return total[heard]


def _gauge(levels: Real, operator: Operator | None) -> Measured:
    if not len(levels):
        return nothing("no load was heard of in this window")
    if operator is None:
        return exactly(float(levels.mean()))
    return exactly(float(levels.max() if looks_up(operator) else levels.min()))


def _offered(frames: Frames, term: Term, stretches: tuple[Stretch, ...]) -> Measured:
    due = [offered(frames, term, stretch) for stretch in stretches]
    seconds = sum(stretch.seconds for stretch in stretches)
    if not seconds or any(one is None for one in due):
        return nothing("no load of arrivals ran in this window: a load of users offers no rate")
    total = sum(int(one.sum()) for one in due if one is not None)
    return exactly(total / seconds, requests=total) if total else nothing("no arrival was due in this window")


def _mean(one: Cut) -> Measured:
    total = one.ended + one.waiting
    known = float((VALUES[one.bucket] * one.count).sum())
    least = (known + float((one.waiting_age * one.waiting_count).sum())) / total
    return Measured(least, least, math.inf if one.waiting else least, requests=total)


def _largest(one: Cut) -> Measured:
    ended = float(VALUES[one.bucket.max()]) if len(one.bucket) else 0.0
    least = max([ended, *one.waiting_age.tolist()])
    return Measured(least, least, math.inf if one.waiting else least, requests=one.ended + one.waiting)


def _share(one: Cut, requests: int) -> Measured:
    bad = int(one.count[one.bad].sum())
    return Measured(bad / requests, bad / requests, (bad + one.waiting) / requests, requests=requests)
