"""Why a term stands as it does against its limit, in one sentence."""

from __future__ import annotations

import math

from runner.assertions import Operator, Term
from runner.statistics.comparison import Measured, Needed, Standing, looks_up, needed
from runner.statistics.selection import is_of_load
from runner.verdict.recovering import Recovered
from runner.verdict.wording import counted, said, span

_TOLD = {
    "quantile": "its buckets cannot tell more",
    "trend": "its samples vary too much, or are too few, to tell",
}
TOO_CLOSE = "the value is too close to the limit to tell them apart"


def sentence(
    term: Term,
    measured: Measured,
    stands: Standing,
    *,
    operator: Operator,
    limit: float,
    unit: str,
    over: float | None,
) -> str:
    """Say the value with its interval, the limit, the requests behind it, and what more it would take."""
    assert measured.value is not None
    worst = f" in the worst {over:g} s" if over is not None else ""
    behind = [f"in {_requests(measured)}"] if measured.requests else []
    if stands == "inconclusive" and not decided_without_chance(measured, operator, limit):
        ends = measured.known or (measured.low, measured.high)
        between = f"lies between {said(ends[0], unit)} and {said(ends[1], unit)}{worst}"
        told = _TOLD.get(term.name, "its samples cannot tell more")
        cause = "some were never answered" if is_of_load(term) else told
        parts = [f"{name_of(term)} {between}", f"about the limit of {said(limit, unit)}", *behind, cause]
        return ", ".join(parts)
    value = f"{name_of(term)} was {said(measured.value, unit)}{interval(measured, unit)}{worst}"
    if stands != "inconclusive":
        return ", ".join([value, against(stands, operator, limit, unit), *behind])
    parts = [value, f"with the limit of {said(limit, unit)} inside", *behind]
    return f"{', '.join(parts)}: cannot tell, {more(measured, limit, over=over)}"


def recovery_sentence(found: Recovered, stands: Standing, operator: Operator, limit: float) -> str:
    """Say how long it took to recover, or how long it had not."""
    measured = found.measured
    assert measured.value is not None
    took = said(measured.value, "seconds")
    if not found.recovered:
        if not measured.confidence:
            return f"it had not recovered {took} {found.since}, when {found.until}"
        until = f"the steady state was surely broken until {said(measured.low, 'seconds')} {found.since}"
        until = until if measured.low else "the steady state was never surely broken"
        ends = f"{until}, and not surely held again when {found.until}{_relapsed(found)}"
        return ends if stands != "inconclusive" else f"{ends}: cannot tell, {_until_it_holds(found.needs)}"
    if measured.high == 0:
        return f"the steady state was never broken {found.since.replace('after', 'from', 1)} on"
    shown = interval(measured, "seconds")
    ended = f"the last second that broke the steady state ended {took} {found.since}{shown}{_relapsed(found)}"
    if stands == "inconclusive":
        return f"{ended}, with the limit of {said(limit, 'seconds')} inside: cannot tell, needs more requests"
    return f"{ended}, {against(stands, operator, limit, 'seconds')}"


def _until_it_holds(needs: Needed | None) -> str:
    if needs is None:
        return "needs more time"
    return f"needs about {counted(needs.requests, 'more request')} ({span(max(needs.seconds, 1.0))} more) of which none breaks it"


def _relapsed(found: Recovered) -> str:
    return (
        ""
        if found.held_from is None
        else f", a relapse: it had held from {said(found.held_from, 'seconds')} on"
    )


def decided_without_chance(measured: Measured, operator: Operator, limit: float) -> bool:
    """Whether all that is known, chance left aside, is on one side of the limit."""
    low, high = measured.known or (measured.low, measured.high)
    if measured.known is None:
        return low == high
    return ((low < limit) == (high < limit) and (low <= limit) == (high <= limit)) or operator in {"==", "!="}


def interval(measured: Measured, unit: str) -> str:
    """` (95 %: 184 ms to 191 ms)`; nothing where there is no doubt."""
    if not measured.confidence or measured.exact:
        return ""
    high = "no upper end" if math.isinf(measured.high) else said(measured.high, unit)
    return f" ({measured.confidence * 100:.4g} %: {said(measured.low, unit)} to {high})"


def more(measured: Measured, limit: float, *, over: float | None) -> str:
    """What it would take to tell."""
    amount = needed(measured, limit)
    if amount is None:
        return TOO_CLOSE
    if over is not None:
        return f"needs about {counted(amount.requests, 'more request')} in each {over:g} s"
    return f"needs about {counted(amount.requests, 'more request')} ({span(amount.seconds)} more)"


def against(stands: Standing, operator: Operator, limit: float, unit: str) -> str:
    """`within the limit of 150 ms`, `over the limit of 150 ms`."""
    amount = said(limit, unit)
    if operator in {"==", "!="}:
        return f"{'as' if stands == 'held' else 'not'} {'' if operator == '==' else 'other than '}{amount}"
    if stands == "held":
        return f"within the limit of {amount}"
    return f"{'over' if looks_up(operator) else 'under'} the limit of {amount}"


def name_of(term: Term) -> str:
    """A term as it is written."""
    return term.text or term.name


def _requests(measured: Measured) -> str:
    if measured.confidence and measured.effect >= 1.5:
        telling = max(1, round(measured.requests / measured.effect))
        return f"{counted(measured.requests)} that tell as much as {telling:,} independent ones"
    return counted(measured.requests)
