"""What the fault-free time before says for halts with a confidence: the share allowed, and how clustered the bad ones come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from runner.assertions import Assertion, Term
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.record import Record
from runner.statistics.cutting import VALUES, Cut, cut, joined
from runner.statistics.design_effect import CHANCE, design_effect
from runner.statistics.frames import Real
from runner.statistics.selection import narrowed, request_names
from runner.verdict.case import case_of
from runner.verdict.windows import before

PATIENCE = (
    5.0  # seconds without an answer that count as an error, at least; more where answers took longer before
)
FEW = 20  # bad requests below which their clustering cannot be seen, and is assumed to be usual


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one population is judged against.

    *limit*: the share of bad requests allowed; of two arms, how many times the other's rate. *slow*: seconds beyond which
    a request is a bad one; None where errors are. *overdue*: seconds without an answer that make it one. *effect*: by
    which its counts are divided. *risk*: the part of the false-halt bound that is left after estimating the limit.
    """

    limit: float
    effect: float
    overdue: float
    slow: float | None = None
    risk: float = 1.0
    why: str = ""  # not empty: it cannot be judged, and this is why


def calibrations(plan: Plan, record: Record, rule: Assertion) -> dict[str, Calibration]:
    """One for each request of `each`, and one under the empty name for what else comes."""
    stretches = before(case_of(plan, record, live=True).moments).stretches
    terms = {"": rule.term}
    if rule.term.selector.each:
        names = request_names(rule.term.selector, record.frames.requests)
        terms |= {name: narrowed(rule.term, name) for name in names}
    seconds = sum(stretch.seconds for stretch in stretches)
    found = {}
    for name, term in terms.items():
        seen = joined([cut(record.frames, term, stretch) for stretch in stretches])
        found[name] = _calibration(rule, term, seen, slots=max(1, round(seconds / SLOT)))
        if rule.bound.term is not None:
            other = joined([cut(record.frames, rule.bound.term, stretch) for stretch in stretches])
            found[name] = _of_two(rule, found[name], _errors(other, round(seconds / SLOT)))
    return found


def _calibration(rule: Assertion, term: Term, seen: Cut, *, slots: int) -> Calibration:
    if term.name == "quantile":
        return _of_latency(rule, seen, slots)
    bad, total = _errors(seen, slots)
    effect = effect_of(bad, total, _alpha(rule))
    slowest = float(VALUES[seen.bucket.max()]) if len(seen.bucket) else 0.0
    overdue = max(PATIENCE, 2 * slowest)
    allowed = rule.bound.value
    if allowed is not None:
        return Calibration(allowed if term.name == "error_rate" else 1 - allowed, effect, overdue)
    if rule.bound.term is not None:
        return Calibration(rule.bound.factor or 1.0, effect, overdue)
    most = float(at_most(float(bad.sum()) / effect, float(total.sum()) / effect, _risk(rule)))
    factor = rule.bound.factor or 1.0
    limit = factor * most if term.name == "error_rate" else 1 - factor * (1 - most)
    why = "" if limit < 1 else f"{total.sum():.0f} requests before cannot rule out that all may fail"
    return Calibration(limit, effect, overdue, risk=0.5, why=why)


def _of_latency(rule: Assertion, seen: Cut, slots: int) -> Calibration:
    """Slower than the limit is bad; how clustered that comes is seen at the limit and at the quantile itself."""
    allowed = 1 - (rule.term.quantile or 0.0)
    total = _by_slot(seen, np.ones(len(seen.slot), dtype=np.bool_), slots)
    counts = np.bincount(seen.bucket, weights=seen.count, minlength=1)
    above = counts.sum() - counts.cumsum()  # requests slower than each bucket
    slower = _by_slot(seen, seen.bucket > np.searchsorted(-above, -allowed * counts.sum()), slots)
    usual = effect_of(slower, total, _alpha(rule))
    slow, risk = rule.bound.value, 1.0
    if slow is None:
        bounds = at_most(above / usual, counts.sum() / usual, _risk(rule))
        fits = np.nonzero(bounds <= allowed)[0]
        if not len(fits):
            least = math.ceil(usual * math.log(_risk(rule)) / math.log1p(-allowed))
            why = f"{counts.sum():.0f} requests before do not bound it; {least:,} would"
            return Calibration(allowed, usual, PATIENCE, slow=math.inf, why=why)
        slow, risk = float(f"{(rule.bound.factor or 1.0) * float(VALUES[fits[0]]):.3g}"), 0.5
    there = effect_of(_by_slot(seen, VALUES[seen.bucket] > slow, slots), total, _alpha(rule))
    return Calibration(allowed, max(usual, there), slow, slow=slow, risk=risk)


def _of_two(rule: Assertion, mine: Calibration, other: tuple[Real, Real]) -> Calibration:
    return Calibration(
        rule.bound.factor or 1.0, max(mine.effect, effect_of(*other, _alpha(rule))), mine.overdue
    )


def effect_of(bad: Real, total: Real, alpha: float) -> float:
    """A design effect to be on the safe side with: the upper end of what it can be.

    For a decision that may be wrong in *alpha* of all runs the truth exceeds it in twice as many, and in 10 % at most: a
    flat 10 % let 1.5 % of AR(1) runs be halted at 99 % (bench_false_halts.py). A handful of bad requests leaves that end
    wide open: then it is what a correlation of 5 % within a second makes of it, or what they show where that is more.
    """
    found = design_effect(bad, total, slot=SLOT, chance=min(CHANCE, 2 * alpha))
    events = float(min(bad.sum(), total.sum() - bad.sum()))
    if events >= FEW:
        return found.upper
    return min(found.upper, max(found.value, design_effect(np.zeros_like(total), total, slot=SLOT).upper))


def at_most(bad: Real | float, total: float, risk: float) -> Real:
    """The share that *bad* of *total* leave possible at *risk* (Clopper and Pearson 1934); all, where there is nothing."""
    good = np.maximum(total - np.asarray(bad, dtype=np.float64), 0.0)
    bound = special.betaincinv(np.asarray(bad) + 1.0, np.maximum(good, 1e-12), 1 - risk)
    return np.where(good > 0, bound, 1.0)


def _risk(rule: Assertion) -> float:
    """Half of the false-halt bound is spent on the estimate from the time before, half on what comes after."""
    return _alpha(rule) / 2


def _alpha(rule: Assertion) -> float:
    return 1 - (rule.confidence or 0.0)


def _errors(seen: Cut, slots: int) -> tuple[Real, Real]:
    everything = np.ones(len(seen.slot), dtype=np.bool_)
    return _by_slot(seen, seen.bad, slots), _by_slot(seen, everything, slots)


def _by_slot(seen: Cut, chosen: np.typing.NDArray[np.bool_], slots: int) -> Real:
    return np.bincount(seen.slot[chosen], weights=seen.count[chosen], minlength=slots).astype(np.float64)
