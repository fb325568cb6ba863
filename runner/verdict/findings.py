"""From an assertion to its findings: measured in its windows, compared with its limit, said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.assertions import Assertion, Operator, Term
from runner.statistics.comparison import Needed, Standing, holds, needed, nothing, standing
from runner.statistics.doubt import Doubt
from runner.statistics.selection import is_of_load, narrowed, request_names
from runner.verdict.case import Case
from runner.verdict.changes import changed_at
from runner.verdict.early import decided
from runner.verdict.lasting import longest_true
from runner.verdict.limits import Limit, limit_of, moved, times_before
from runner.verdict.measuring import Seen, see, unit_of
from runner.verdict.record import Finding
from runner.verdict.recovering import recover
from runner.verdict.saying import name_of, recovery_sentence, sentence
from runner.verdict.windows import Window, windows
from runner.verdict.wording import said

_SEVERITY: dict[Standing, int] = {"broken": 0, "inconclusive": 1, "held": 2}


@dataclass(frozen=True, slots=True)
class Judged:
    """One term in one window: how it stands and why. *needs*: what more would tell, where its judge knows it."""

    stands: Standing
    reason: str
    seen: Seen
    limit: float | None = None
    needs: Needed | None = None


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
    several = len(names)
    return tuple(
        _finding(case, assertion, narrowed(term, name), places, when=when, about=f"{name}: ", several=several)
        for name in names
    )


def _finding(
    case: Case,
    assertion: Assertion,
    term: Term,
    places: tuple[Window, ...],
    *,
    when: str,
    about: str = "",
    several: int = 1,
) -> Finding:
    among = len(places) * several
    judged = min((_one_of(among, case, assertion, term, window) for window in places), key=_severity)
    return _written(case, assertion, term, replace(judged, reason=about + judged.reason), when=when)


def _one_of(among: int, case: Case, assertion: Assertion, term: Term, window: Window) -> Judged:
    """Broken only if it is so with the confidence shared among all that any one of could break (Bonferroni).

    Held needs no share: all have to hold, each with the whole confidence (intersection-union: Berger 1982).
    """
    judged = _judged(case, assertion, term, window)
    if judged.stands != "broken" or among == 1:
        return judged
    return _judged(case, assertion, term, window, among=among)


def _severity(judged: Judged) -> tuple[int, float]:
    """Broken before unknown before held; among equals the one with the least room to its limit."""
    value, limit = judged.seen.measured.value, judged.limit
    room = abs(value - limit) if value is not None and limit is not None else 0.0
    return _SEVERITY[judged.stands], -room if judged.stands == "broken" else room


def _written(case: Case, assertion: Assertion, term: Term, judged: Judged, *, when: str) -> Finding:
    measured = judged.seen.measured
    known = measured.value is not None and not measured.exact
    sampled = measured.confidence > 0
    amount = judged.needs
    if amount is None and judged.stands == "inconclusive" and judged.limit is not None and sampled:
        amount = needed(measured, judged.limit)
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
        confidence=measured.confidence if sampled else None,
        requests=measured.requests,
        effect=measured.effect if sampled else None,
        needed_requests=amount.requests if amount else None,
        needed_seconds=amount.seconds if amount and assertion.over is None else None,
        start=judged.seen.start,
        end=judged.seen.end,
        changed_at=changed_at(case, term, judged.seen.start, judged.seen.end),
        file=assertion.place.file,
        line=assertion.place.line,
    )


def _judged(case: Case, assertion: Assertion, term: Term, window: Window, *, among: int = 1) -> Judged:
    doubt = case.doubt(assertion).shared(among)
    if term.name == "recovery":
        return _doubted(case, term, _recovery(case, assertion, window, doubt), window)
    if window.early is not None and (told := decided(case, assertion, term, window)) is not None:
        seen = see(case.plan, case.record, term, window)
        return _doubted(case, term, Judged(*told, seen, assertion.bound.value), window)
    if assertion.within is not None:
        sides: tuple[tuple[Operator, float], ...] = (
            ("<=", 1 + assertion.within),
            (">=", 1 - assertion.within),
        )
        found = [
            _against(case, assertion, term, window, operator=operator, doubt=doubt, factor=factor)
            for operator, factor in sides
        ]
        return _doubted(case, term, min(found, key=_severity), window)
    judged = _against(case, assertion, term, window, operator=assertion.op, doubt=doubt)
    return _doubted(case, term, judged, window)


def _against(
    case: Case,
    assertion: Assertion,
    term: Term,
    window: Window,
    *,
    operator: Operator,
    doubt: Doubt,
    factor: float = 0.0,
) -> Judged:
    """Measure, find the limit (*factor* x before, if it is given), compare."""
    seen = see(case.plan, case.record, term, window, operator=operator, over=assertion.over, doubt=doubt)
    if seen.measured.value is None:
        return Judged("inconclusive", seen.measured.why, seen)
    limit = (
        times_before(case, term, factor, doubt)
        if factor
        else limit_of(case, assertion.bound, term, window, doubt)
    )
    if limit.value is None:
        return Judged("inconclusive", limit.why, seen)
    if assertion.lasting is not None:
        return _lasting(case, assertion, term, window, seen, limit=limit.value)
    return _compared(case, term, seen, operator, limit, over=assertion.over, doubt=doubt, window=window)


def _compared(
    case: Case,
    term: Term,
    seen: Seen,
    operator: Operator,
    limit: Limit,
    *,
    over: float | None,
    doubt: Doubt,
    window: Window,
) -> Judged:
    assert limit.value is not None
    stands, measured = limit.against(seen.measured, operator)
    unit = unit_of(case.plan, term)
    reason = sentence(term, measured, stands, operator=operator, limit=limit.value, unit=unit, over=over)
    if window.end <= (case.moments.last_undo or 0.0) and stands != "inconclusive":
        why = moved(case, term, limit, seen.measured, operator, doubt)
        if why:
            stands, reason = "inconclusive", f"{reason}, but {why}"
    return Judged(stands, reason, replace(seen, measured=measured), limit.value)


def _lasting(
    case: Case, assertion: Assertion, term: Term, window: Window, seen: Seen, *, limit: float
) -> Judged:
    """`for`: somewhere in the window it was true for that long without a break."""
    assert assertion.lasting is not None
    longest, measured = longest_true(case, assertion, term, window, limit=limit)
    name, unit = name_of(term), unit_of(case.plan, term)
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


def _recovery(case: Case, assertion: Assertion, window: Window, doubt: Doubt) -> Judged:
    limit = assertion.bound.value
    found = recover(case, window, doubt)
    seen = Seen(found.measured, found.start, found.end)
    if found.measured.value is None or limit is None:
        return Judged("inconclusive", found.measured.why or "recovery needs a limit in seconds", seen, limit)
    stands = standing(found.measured, assertion.op, limit)
    if not found.recovered and not doubt.confidence:
        lost = not holds(assertion.op, found.measured.value, limit)
        stands = "broken" if lost else "inconclusive"
    reason = recovery_sentence(found, stands, assertion.op, limit)
    return Judged(stands, reason, seen, limit, found.needs if stands == "inconclusive" else None)


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
