"""From a measured value to the interval that it lies in, with a confidence: what was measured is a sample."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace

import numpy as np

from runner.assertions import Term
from runner.load.frames import SLOT
from runner.statistics import intervals
from runner.statistics.comparison import Measured
from runner.statistics.cutting import VALUES, Cut, at_rank
from runner.statistics.design_effect import DesignEffect, clustering, design_effect
from runner.statistics.doubt import Doubt
from runner.statistics.frames import Column, Real, Truth
from runner.statistics.transients import levels

_MOST_PARTS = 8_000  # of a series that a design effect is taken from; its blocks are longer by far
_PART = 1 << 20  # rows at a time: a long run has millions, and every copy of them counts


@dataclass(frozen=True, slots=True)
class Widened:
    """An interval and what it rests on. *wanted*: requests without which it has no upper end."""

    low: float
    high: float
    effect: DesignEffect
    wanted: int = 0


def sure(one: Cut, term: Term, measured: Measured, doubt: Doubt, *, seconds: float) -> Measured:
    """Widen what is known of *measured* by what chance adds. Counts, gauges and extremes are facts and stay."""
    if not doubt.confidence or measured.value is None:
        return measured
    match term.name:
        case "quantile":
            found = _quantile(one, term.quantile or 0.5, measured.value, doubt)
        case "error_rate":
            found = _share(one, doubt)
        case "success_rate":
            errors = _share(one, doubt)
            found = Widened(1 - errors.high, 1 - errors.low, errors.effect)
        case "mean":
            found = _mean(one, measured, doubt.confidence)
        case "rps":
            found = _rate(one, measured.value, doubt.confidence, seconds)
        case _:
            return measured
    told = doubt.told(measured, found.low, found.high, found.effect, seconds=seconds)
    return replace(told, wanted=found.wanted)


def requests_by_slot(one: Cut) -> Real:
    """All requests of each slot, ended or not."""
    waiting = np.bincount(one.waiting_slot, weights=one.waiting_count, minlength=one.stretch.slots)
    return by_slot(one) + waiting


def by_slot(one: Cut, chosen: Truth | None = None, weights: Real | None = None) -> Real:
    """Ended requests of each slot: of those *chosen*, each times *weights* of its bucket."""
    found = np.zeros(one.stretch.slots)
    for begin in range(0, len(one.slot), _PART):
        part = slice(begin, begin + _PART)
        slots, counts = one.slot[part], one.count[part].astype(np.float64)
        if weights is not None:
            counts *= weights[one.bucket[part]]
        if chosen is not None:
            slots, counts = slots[chosen[part]], counts[chosen[part]]
        found += np.bincount(slots, weights=counts, minlength=one.stretch.slots)
    return found


def _quantile(one: Cut, q: float, value: float, doubt: Doubt) -> Widened:
    """Of the low end by Woodruff; of the high end the least value above which surely too few requests lie.

    Both count requests above a value, and let these show how they cluster.
    """
    place = int(np.searchsorted(VALUES, value, side="right")) - 1
    requests, confidence = one.ended + one.waiting, doubt.confidence
    slow = _Slow(one, one.bucket > place)
    effect = _effect(slow.above(place, age=value), slow.total, one, doubt)
    last, first = intervals.ranks_from_top(q, requests, effect, confidence)
    low = at_rank(one, requests - last + 1, endless=False) if last <= requests else 0.0
    alone = replace(
        effect, blocks=0
    )  # of none above, nothing shows how they cluster: as those above the value

    def surely_above(at: int) -> bool:
        above = slow.above(at)
        hits = float(above.sum())
        its = _effect(above, slow.total, one, doubt) if hits else alone
        return intervals.of_share(hits, requests, its, confidence)[1] <= 1 - q

    candidates = np.unique(np.concatenate([[place], slow.bucket]))
    at = bisect.bisect_left(candidates.tolist(), True, key=lambda bucket: surely_above(int(bucket)))
    if at < len(candidates):
        return Widened(low, float(VALUES[candidates[at]]), effect)
    size = intervals.effective_size(requests, alone, confidence)
    wanted = math.ceil(requests / size * math.log(1 - confidence) / math.log(q))
    return Widened(low, math.inf, effect, wanted if first is None or wanted > requests else 0)


class _Slow:
    """The requests of a cut above some value, by slot, for ever greater values."""

    def __init__(self, one: Cut, chosen: Truth) -> None:
        self._one = one
        self.slot, self.bucket, self.count = one.slot[chosen], one.bucket[chosen], one.count[chosen]
        self.total = requests_by_slot(one)

    def above(self, place: int, *, age: float | None = None) -> Real:
        """How many of each slot are in a later bucket than *place*; waiting ones are, or those older than *age*."""
        one, chosen = self._one, self.bucket > place
        late = np.ones(len(one.waiting_age), dtype=np.bool_) if age is None else one.waiting_age > age
        found = np.bincount(self.slot[chosen], weights=self.count[chosen], minlength=one.stretch.slots)
        slots, counts = one.waiting_slot[late], one.waiting_count[late]
        return np.asarray(found + np.bincount(slots, weights=counts, minlength=one.stretch.slots))


def _share(one: Cut, doubt: Doubt) -> Widened:
    bad, total = by_slot(one, one.bad), requests_by_slot(one)
    effect = _effect(bad, total, one, doubt)
    requests, hits = one.ended + one.waiting, float(bad.sum())
    low, _ = intervals.of_share(hits, requests, effect, doubt.confidence)
    _, high = intervals.of_share(hits + one.waiting, requests, effect, doubt.confidence)
    return Widened(low, high, effect)


def _effect(bad: Real, total: Real, one: Cut, doubt: Doubt) -> DesignEffect:
    """The design effect, around the levels that faults make; of a long run by some thousand parts."""
    parts = max(1, len(total) // _MOST_PARTS)
    starts = np.arange(0, len(total), parts)
    bad, total = np.add.reduceat(bad, starts), np.add.reduceat(total, starts)
    edges = [(edge - one.stretch.first) // parts for edge in (*doubt.edges, *one.parts)]
    slot = SLOT * parts
    return design_effect(bad, total, slot=slot, levels=levels(bad, total, edges, slot=slot))


def _mean(one: Cut, measured: Measured, confidence: float) -> Widened:
    requests, mean = one.ended + one.waiting, measured.low
    sums = by_slot(one, weights=VALUES) + np.bincount(
        one.waiting_slot, weights=one.waiting_age * one.waiting_count, minlength=one.stretch.slots
    )
    squares = float(by_slot(one, weights=VALUES**2).sum() + (one.waiting_age**2 * one.waiting_count).sum())
    variance = squares - requests * mean**2
    if variance <= 1e-9 * squares:
        return Widened(mean, mean, DesignEffect())
    effect = clustering(sums - mean * requests_by_slot(one), variance, events=requests, slot=SLOT)
    deviation = math.sqrt(variance * effect.value) / requests
    low, high = intervals.of_mean(mean, deviation, effect.freedom, confidence)
    return Widened(low, high, effect)


def _rate(one: Cut, rate: float, confidence: float, seconds: float) -> Widened:
    """By segments alone: arrivals of the open model are steadier than chance, those of others less so."""
    excess = _without_gaps(one, by_slot(one))
    excess = excess - excess.mean()
    variance = float((excess**2).sum())
    if variance <= 0:
        return Widened(rate, rate, DesignEffect())
    effect = clustering(excess, variance, events=math.inf, slot=SLOT)
    low, high = intervals.of_mean(
        rate, math.sqrt(variance * effect.value) / seconds, effect.freedom, confidence
    )
    return Widened(low, high, DesignEffect())


def _without_gaps(one: Cut, counts: Column) -> Real:
    """Only the slots of the stretches, where several were joined."""
    inside = np.zeros(len(counts), dtype=np.bool_)
    for first, last in zip(one.parts, one.ends, strict=True):
        inside[first - one.stretch.first : last - one.stretch.first] = True
    return np.asarray(counts[inside], dtype=np.float64)
