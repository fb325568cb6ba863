"""A line of the steady state, second by second: was it broken, and by how many of how many?"""

from __future__ import annotations

import numpy as np

from runner.assertions import Assertion, Operator
from runner.load.frames import SLOT
from runner.statistics.budgets import factor
from runner.statistics.comparison import holds
from runner.statistics.cutting import VALUES, Cut, Stretch, cut
from runner.statistics.doubt import Doubt
from runner.statistics.frames import Real, Truth
from runner.statistics.recovery import BUCKET, Line
from runner.statistics.samples import measure_samples, of_term
from runner.statistics.selection import is_of_load
from runner.statistics.sliding import truth, width_of
from runner.statistics.sureness import by_slot, requests_by_slot
from runner.verdict.case import Case
from runner.verdict.measuring import objective_of

Limit = tuple[Operator, float]


def line_of(
    case: Case, assertion: Assertion, origin: float, seconds: int, *, limits: list[Limit], doubt: Doubt
) -> Line:
    """Judge every one of *seconds* from *origin* on; None where it holds no data."""
    if not limits:
        return Line((None,) * seconds)
    if not is_of_load(assertion.term):
        found = [_sampled(case, assertion, origin + number * BUCKET, limits) for number in range(seconds)]
        return Line(tuple(found))
    stretch = _stretch(origin, seconds)
    bad = _by_points(case, assertion, stretch, seconds, limits)
    if not doubt.confidence or len(limits) > 1:
        return Line(bad)
    return _as_share(case, assertion, stretch, bad, limit=limits[0], doubt=doubt)


def _stretch(origin: float, seconds: int) -> Stretch:
    first = int(origin / SLOT + 1e-6)
    return Stretch(first, first + seconds * width_of(BUCKET))


def _by_points(
    case: Case, assertion: Assertion, stretch: Stretch, seconds: int, limits: list[Limit]
) -> tuple[bool | None, ...]:
    width = width_of(BUCKET)
    found: list[bool | None] = [None] * seconds
    for operator, limit in limits:
        true, there = truth(
            case.record.frames, assertion.term, stretch, width=width, operator=operator, limit=limit
        )
        for number in range(seconds):
            if there[number * width]:
                found[number] = bool(found[number]) or not true[number * width]
    return tuple(found)


def _as_share(
    case: Case,
    assertion: Assertion,
    stretch: Stretch,
    bad: tuple[bool | None, ...],
    *,
    limit: Limit,
    doubt: Doubt,
) -> Line:
    """A quantile under a limit and a share of errors are the same question: how many may break it?

    How much the requests of one second share their fate is taken from the time before.
    """
    term, (operator, value) = assertion.term, limit
    match term.name, operator:
        case "quantile", "<" | "<=":
            allowed = 1 - (term.quantile or 0.0)
        case "error_rate", "<" | "<=":
            allowed = value
        case "success_rate", ">" | ">=":
            allowed = 1 - value
        case _:
            return Line(bad)
    if not 0 < allowed < 1:
        return Line(bad)
    edge = int(np.searchsorted(VALUES, value, side="left" if operator == "<" else "right")) - 1
    hits, tries = _counts(cut(case.record.frames, term, stretch), term.name, edge)
    effect = case.baseline(term, doubt).effect
    size = len(bad)
    return Line(bad, hits.reshape(size, -1).sum(axis=1), tries.reshape(size, -1).sum(axis=1), allowed, effect)


def _counts(one: Cut, name: str, edge: int) -> tuple[Real, Real]:
    total = requests_by_slot(one)
    if name != "quantile":
        return by_slot(one, one.bad), total
    late: Truth = one.waiting_bucket > edge
    slow = np.bincount(one.waiting_slot[late], weights=one.waiting_count[late], minlength=one.stretch.slots)
    return by_slot(one, one.bucket > edge) + slow, total


def _sampled(case: Case, assertion: Assertion, start: float, limits: list[Limit]) -> bool | None:
    term = assertion.term
    samples = case.record.samples(term.of or term.name)
    good = of_term(term, [one for one in samples if start <= one.at < start + BUCKET])
    if not good:
        return None
    objective = objective_of(case.plan, term)
    times = factor(objective, term, good) if objective is not None else 1.0
    broken = False
    for operator, limit in limits:
        value = measure_samples(term, good, operator).value
        if value is None:
            return None
        broken |= not holds(operator, value * times, limit)
    return broken
