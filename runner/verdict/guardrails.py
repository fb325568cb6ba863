"""Judge one term over pairs of measurements: against its margin, or only for whether it differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from runner.comparison import Margin
from runner.statistics.comparison import Measured
from runner.statistics.paired import (
    Decision,
    Interval,
    Judgement,
    decide,
    differs,
    exact,
    interval,
    power,
    shares,
)
from runner.verdict.compared import Explored, Guardrail
from runner.verdict.wording import said

Pair = tuple[Measured, Measured]  # baseline, variant

NEEDED_AT_LEAST = 2  # pairs, to have any interval


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The pairs' numbers with what was never answered at its least, and at its most."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def known(self) -> bool:
        return self.low == self.high


def guarded(margin: Margin, pairs: Sequence[Pair], *, unit: str, things: str = "pairs") -> Guardrail:
    """Judge one margin. *things*: what a pair is called where it is written about."""
    there = [pair for pair in pairs if all(one.value is not None for one in pair)]
    missing = len(pairs) - len(there)
    if len(there) < NEEDED_AT_LEAST:
        whys = [one.why for pair in pairs for one in pair if one.value is None]
        why = f": {whys[0]}" if whys else ""
        return _unknown(margin, unit, f"{len(there)} {things} have a value of it{why}")
    if margin.relative and any((one.value or 0.0) <= 0 for pair in there for one in pair):
        return _unknown(
            margin, unit, "it was 0 somewhere, and 0 has no ratio; write its margin as a difference, with its unit"
        )  # fmt: skip
    numbers = _numbers(there, relative=margin.relative)
    own = interval(numbers.low)
    seen = _widened(own, there, unit)
    counted = seen != own
    found = decide(numbers.low, floor=margin.floor, ceiling=margin.ceiling, known=seen)
    judgement, doubt = _with_the_unanswered(margin, numbers, found.judgement)
    if missing and judgement == "pass":
        judgement, doubt = "inconclusive", f"{missing} {things} have no value of it"
    ends = [seen.estimate, seen.low, seen.high, seen.least, seen.most]
    estimate, low, high, least, most = (math.exp(one) for one in ends) if margin.relative else ends
    bounds = [_shown(bound, relative=margin.relative) for bound in (margin.floor, margin.ceiling)]
    made = Guardrail(
        term=margin.term.text,
        margin=margin.text,
        unit=unit,
        relative=margin.relative,
        judgement=judgement,
        reason="",
        estimate=estimate,
        low=_finite(low),
        high=_finite(high),
        least=_finite(least),
        most=_finite(most),
        floor=bounds[0],
        ceiling=bounds[1],
        p=None if counted else found.p,
        exact=None if counted else exact(numbers.low, floor=margin.floor, ceiling=margin.ceiling),
        needed=found.needed,
        power=_power(seen, margin),
        pairs=tuple((one.value or 0.0, other.value or 0.0) for one, other in there),
        file=margin.place.file,
        line=margin.place.line,
    )
    return _reasoned(made, found, doubt, things)


def explored(
    term: str, pairs: Sequence[Pair], *, unit: str, relative: bool
) -> tuple[Explored, Sequence[float]] | None:
    """Say how a term without a margin came out; its p is not adjusted yet. None where it has no numbers."""
    there = [pair for pair in pairs if all(one.value is not None for one in pair)]
    if len(there) < NEEDED_AT_LEAST or len(there) < len(pairs):
        return None
    if relative and any((one.value or 0.0) <= 0 for pair in there for one in pair):
        return None
    numbers = _numbers(there, relative=relative).low
    seen = interval(numbers)
    ends = (seen.estimate, seen.low, seen.high)
    estimate, low, high = (math.exp(one) for one in ends) if relative else ends
    made = Explored(
        term=term, unit=unit, relative=relative, estimate=estimate, low=low, high=high, p=differs(numbers)
    )
    return made, numbers


def effect(rail: Guardrail | Explored, value: float | None) -> str:
    """Write an effect: `1.02x`, `+3 ms`, `-0.2 points`."""
    if value is None:
        return "?"
    if rail.relative:
        return f"{value:.3g}x" if value >= 10 else f"{value:.2f}x"
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    if rail.unit == "share":
        return f"{sign}{said(abs(value) * 100, 'count')} points"
    return f"{sign}{said(abs(value), rail.unit)}"


def spread(rail: Guardrail | Explored) -> str:
    """Write the two-sided interval: `0.98 to 1.06x`, `-0.9 to +0.9 points`."""
    low, high = effect(rail, rail.low), effect(rail, rail.high)
    mark = "x" if rail.relative else " points" if rail.unit == "share" else ""
    return f"{low.removesuffix(mark)} to {high}" if mark else f"{low} to {high}"


def _numbers(pairs: Sequence[Pair], *, relative: bool) -> _Numbers:
    def number(base: float, variant: float) -> float:
        if not relative:
            return variant - base
        return math.log(variant / base) if math.isfinite(variant) else math.inf

    low = tuple(number(base.value or 0.0, variant.value or 0.0) for base, variant in pairs)
    high = tuple(
        low_one if base.high == base.low and variant.high == variant.low else number(base.low, variant.high)
        for low_one, (base, variant) in zip(low, pairs, strict=True)
    )
    return _Numbers(low, high)


def _widened(seen: Interval, pairs: Sequence[Pair], unit: str) -> Interval:
    """Shares of few events vary by counting alone: the interval is never narrower than that of their counts."""
    totals = [[one.requests for one in side] for side in zip(*pairs, strict=True)]
    if unit != "share" or not all(size for side in totals for size in side):
        return seen
    bad = [[round((one.value or 0.0) * one.requests) for one in side] for side in zip(*pairs, strict=True)]
    counted = shares((bad[0], bad[1]), (totals[0], totals[1]))
    if counted is None:
        return seen
    low, high, least, most = counted
    return Interval(
        seen.pairs,
        seen.estimate,
        min(seen.low, low),
        max(seen.high, high),
        min(seen.least, least),
        max(seen.most, most),
        seen.spread,
    )


def _with_the_unanswered(margin: Margin, numbers: _Numbers, judgement: Judgement) -> tuple[Judgement, str]:
    """Requests that were never answered may have taken any time: only what holds either way is said."""
    if numbers.known or judgement == "inconclusive":
        return judgement, ""
    if all(math.isfinite(one) for one in numbers.high):
        other = decide(numbers.high, floor=margin.floor, ceiling=margin.ceiling).judgement
        if other == judgement:
            return judgement, ""
    elif judgement == "fail" and margin.ceiling is not None:
        return judgement, ""
    return "inconclusive", "some requests were never answered, and how slow they were decides"


def _power(seen: Interval, margin: Margin) -> float | None:
    bounds = [abs(bound) for bound in (margin.floor, margin.ceiling) if bound is not None]
    if math.isnan(seen.spread):
        return None
    return power(spread=seen.spread, distance=min(bounds), pairs=seen.pairs)


def _reasoned(made: Guardrail, found: Decision, doubt: str, things: str) -> Guardrail:
    amount = f"{effect(made, made.estimate)} (95 %: {spread(made)})"
    match made.judgement:
        case "pass":
            text = f"{made.term} {amount}, within the margin of {made.margin}"
        case "fail":
            text = f"{made.term} {amount}, beyond the margin of {made.margin}"
        case _:
            more = doubt or (
                "no number of them is likely to decide it"
                if found.needed is None
                else f"about {found.needed} more {things} would decide it"
            )
            text = f"{made.term} {amount} against the margin of {made.margin}: {more}"
    return msgspec.structs.replace(made, reason=text)


def _unknown(margin: Margin, unit: str, why: str) -> Guardrail:
    return Guardrail(
        term=margin.term.text,
        margin=margin.text,
        unit=unit,
        relative=margin.relative,
        judgement="inconclusive",
        reason=f"{margin.term.text}: {why}",
        floor=_shown(margin.floor, relative=margin.relative),
        ceiling=_shown(margin.ceiling, relative=margin.relative),
        file=margin.place.file,
        line=margin.place.line,
    )


def _shown(bound: float | None, *, relative: bool) -> float | None:
    if bound is None:
        return None
    return math.exp(bound) if relative else bound


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
