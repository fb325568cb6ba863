"""From an assertion to its findings: measured in its windows, compared with its limit, said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.assertions import Assertion, Bound, Operator, Term
from runner.statistics.comparison import Standing, holds, looks_up, nothing, standing
from runner.statistics.selection import is_of_load, narrowed, request_names
from runner.verdict.case import Case
from runner.verdict.lasting import longest_true
from runner.verdict.measuring import Seen, see, unit_of
from runner.verdict.record import Finding
from runner.verdict.recovering import recover
from runner.verdict.windows import Window, windows
from runner.verdict.wording import counted, said

_SEVERITY: dict[Standing, int] = {"broken": 0, "inconclusive": 1, "held": 2}


@dataclass(frozen=True, slots=True)
class Judged:
    """One term in one window: how it stands and why."""

    stands: Standing
    reason: str
    seen: Seen
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class _Limit:
    value: float | None
    why: str = ""


def findings_of(case: Case, assertion: Assertion) -> tuple[Finding, ...]:
    """Judge one line of `expect` in every window of its WHEN; the worst window decides."""
    return findings_in(case, assertion, windows(assertion.when, case.moments), when=assertion.when.text)


def findings_in(
    case: Case, assertion: Assertion, places: tuple[Window, ...], *, when: str
) -> tuple[Finding, ...]:
    """One finding, or one for each request that `each` names."""
    term = assertion.term
    if not term.selector.each or not is_of_load(term):
        return (_finding(case, assertion, term, places, when=when),)
    names = request_names(term.selector, case.record.frames.requests)
    if not names:
        why = nothing(f"no request is named like {term.selector.request}")
        judged = Judged("inconclusive", why.why, Seen(why, places[0].start, places[0].end))
        return (_written(case, assertion, term, judged, when=when),)
    return tuple(
        _finding(case, assertion, narrowed(term, name), places, when=when, about=f"{name}: ")
        for name in names
    )


def _finding(
    case: Case, assertion: Assertion, term: Term, places: tuple[Window, ...], *, when: str, about: str = ""
) -> Finding:
    judged = min((_judged(case, assertion, term, window) for window in places), key=_severity)
    return _written(case, assertion, term, replace(judged, reason=about + judged.reason), when=when)


def _severity(judged: Judged) -> tuple[int, float]:
    """Broken before unknown before held; among equals the one with the least room to its limit."""
    value, limit = judged.seen.measured.value, judged.limit
    room = abs(value - limit) if value is not None and limit is not None else 0.0
    return _SEVERITY[judged.stands], -room if judged.stands == "broken" else room


def _written(case: Case, assertion: Assertion, term: Term, judged: Judged, *, when: str) -> Finding:
    measured = judged.seen.measured
    known = measured.value is not None and not measured.exact
    return Finding(
        assertion=assertion.text,
        when=when,
        outcome=judged.stands,
        reason=judged.reason,
        value=_finite(measured.value),
        limit=judged.limit,
        unit=unit_of(case.plan, term),
        low=_finite(measured.low) if known else None,
        high=_finite(measured.high) if known else None,
        requests=measured.requests,
        start=judged.seen.start,
        end=judged.seen.end,
        file=assertion.place.file,
        line=assertion.place.line,
    )


def _judged(case: Case, assertion: Assertion, term: Term, window: Window) -> Judged:
    if term.name == "recovery":
        return _doubted(case, term, _recovery(case, assertion, window), window)
    if assertion.within is not None:
        judged = min((_side(case, assertion, term, window, sign) for sign in (1, -1)), key=_severity)
        return _doubted(case, term, judged, window)
    over = assertion.over
    seen = see(case.plan, case.record, term, window, operator=assertion.op, over=over)
    if seen.measured.value is None:
        return Judged("inconclusive", seen.measured.why, seen)
    limit = _limit(case, assertion.bound, term, window)
    if limit.value is None:
        return Judged("inconclusive", limit.why, seen)
    if assertion.lasting is not None:
        judged = _lasting(case, assertion, term, window, seen, limit=limit.value)
    else:
        judged = _compared(case, term, seen, assertion.op, limit.value, over=over)
    return _doubted(case, term, judged, window)


def _limit(case: Case, bound: Bound, term: Term, window: Window) -> _Limit:
    """Resolve a bound: a value, a multiple of the time before, or of another term in the same window."""
    if bound.value is not None:
        return _Limit(bound.value)
    factor = 1.0 if bound.factor is None else bound.factor
    if bound.term is None:
        measured = case.baseline(term)
        where = "before"
    else:
        measured = see(case.plan, case.record, bound.term, window).measured
        where = bound.term.text or bound.term.name
    if measured.value is None:
        return _Limit(None, f"there is no {where} to compare with: {measured.why}")
    return _Limit(factor * measured.value)


def _compared(
    case: Case, term: Term, seen: Seen, operator: Operator, limit: float, *, over: float | None
) -> Judged:
    measured = seen.measured
    stands = standing(measured, operator, limit)
    if limit == 0 and measured.exact and measured.value == 0 and operator in {"<", ">"}:
        stands = "held"  # nothing is no more than a multiple of nothing
    return Judged(stands, _sentence(case, term, seen, stands, operator, limit, over=over), seen, limit)


def _side(case: Case, assertion: Assertion, term: Term, window: Window, sign: int) -> Judged:
    """One side of `within`: not above (or not below) the time before by more than a share of it."""
    assert assertion.within is not None
    operator: Operator = "<=" if sign > 0 else ">="
    seen = see(case.plan, case.record, term, window, operator=operator, over=assertion.over)
    baseline = case.baseline(term)
    if seen.measured.value is None:
        return Judged("inconclusive", seen.measured.why, seen)
    if baseline.value is None:
        return Judged("inconclusive", f"there is no before to compare with: {baseline.why}", seen)
    limit = baseline.value * (1 + sign * assertion.within)
    return _compared(case, term, seen, operator, limit, over=assertion.over)


def _lasting(
    case: Case, assertion: Assertion, term: Term, window: Window, seen: Seen, *, limit: float
) -> Judged:
    """`for`: somewhere in the window it was true for that long without a break."""
    assert assertion.lasting is not None
    longest, measured = longest_true(case, assertion, term, window, limit=limit)
    name, unit = _name(term), unit_of(case.plan, term)
    what = f"{name} {assertion.op} {said(limit, unit)}"
    if longest is None:
        return Judged("inconclusive", measured, seen, limit)
    stands: Standing = "held" if longest >= assertion.lasting - 1e-9 else "broken"
    return Judged(
        stands,
        f"{what} was true for {longest:.1f} s at a stretch, of {assertion.lasting:g} s asked for",
        seen,
        limit,
    )


def _recovery(case: Case, assertion: Assertion, window: Window) -> Judged:
    limit = assertion.bound.value
    found = recover(case, window)
    seen = Seen(found.measured, found.start, found.end)
    if found.measured.value is None or limit is None:
        return Judged("inconclusive", found.measured.why or "recovery needs a limit in seconds", seen, limit)
    took = said(found.measured.value, "seconds")
    if not found.recovered:
        lost = not holds(assertion.op, found.measured.value, limit)
        reason = f"it had not recovered {took} {found.since}, when {found.until}"
        return Judged("broken" if lost else "inconclusive", reason, seen, limit)
    stands = standing(found.measured, assertion.op, limit)
    reason = f"the last second that broke the steady state ended {took} {found.since}, {_against(stands, assertion.op, limit, 'seconds')}"
    if found.measured.value == 0:
        reason = f"the steady state was never broken {found.since.replace('after', 'from', 1)} on"
    return Judged(stands, reason, seen, limit)


def _sentence(
    case: Case,
    term: Term,
    seen: Seen,
    stands: Standing,
    operator: Operator,
    limit: float,
    *,
    over: float | None,
) -> str:
    measured, unit = seen.measured, unit_of(case.plan, term)
    assert measured.value is not None
    worst = f" in the worst {over:g} s" if over is not None else ""
    behind = [f"in {counted(measured.requests)}"] if measured.requests else []
    if stands == "inconclusive":
        between = f"lies between {said(measured.low, unit)} and {said(measured.high, unit)}{worst}"
        cause = "some were never answered" if is_of_load(term) else "its buckets cannot tell more"
        parts = [f"{_name(term)} {between}", f"about the limit of {said(limit, unit)}", *behind, cause]
    else:
        value = f"{_name(term)} was {said(measured.value, unit)}{worst}"
        parts = [value, _against(stands, operator, limit, unit), *behind]
    return ", ".join(parts)


def _against(stands: Standing, operator: Operator, limit: float, unit: str) -> str:
    amount = said(limit, unit)
    if operator in {"==", "!="}:
        return f"{'as' if stands == 'held' else 'not'} {'' if operator == '==' else 'other than '}{amount}"
    if stands == "held":
        return f"within the limit of {amount}"
    return f"{'over' if looks_up(operator) else 'under'} the limit of {amount}"


def _name(term: Term) -> str:
    return term.text or term.name


def _doubted(case: Case, term: Term, judged: Judged, window: Window) -> Judged:
    """What cannot be believed is not held, and where the doubt could have broken it, not broken either."""
    if why := case.unconfirmed(window):
        return replace(judged, stands="inconclusive", reason=why)
    if is_of_load(term) or term.name == "recovery":
        if case.doubts.swollen:
            return replace(judged, stands="inconclusive", reason=case.doubts.swollen[0])
        if case.doubts.losing and judged.stands == "held":
            return replace(judged, stands="inconclusive", reason=case.doubts.losing[0])
    if judged.seen.doubt and judged.stands == "held":
        return replace(judged, stands="inconclusive", reason=judged.seen.doubt)
    return judged


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None
