"""How long the system took to be itself again after a fault."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from runner.assertions import Assertion
from runner.statistics.comparison import Measured, Needed, exactly, nothing
from runner.statistics.doubt import CERTAIN, Doubt
from runner.statistics.recovery import BUCKET, Line, between, recovery
from runner.verdict.case import Case
from runner.verdict.moments import Occurrence
from runner.verdict.seconds import Limit, line_of
from runner.verdict.windows import Window


@dataclass(frozen=True, slots=True)
class Recovered:
    """*measured*: seconds from the origin to the end of the last bad second. *until*: what ended the looking.

    *held_from*: seconds from the origin at which it had already held, before it relapsed. *needs*: what would have told.
    """

    measured: Measured
    recovered: bool = False
    start: float = 0.0
    end: float = 0.0
    since: str = ""
    until: str = ""
    held_from: float | None = None
    needs: Needed | None = None


def recover(case: Case, window: Window, doubt: Doubt = CERTAIN) -> Recovered:
    """Judge every second from the injection or the undo to the next fault or the end by the steady state.

    The second in which an undo ends, and those it took, are the fault's. With a confidence in *doubt* its ends are the
    last second that was surely bad and the first of a stretch that surely held.
    """
    if not window.faults:
        return Recovered(nothing(window.why or "recovery is asked for after a fault"))
    one = window.faults[0]
    from_injection = any(
        harm.fault == one.fault and harm.recovers_from == "injection" for harm in case.plan.harms
    )
    origin = one.injected if from_injection else one.end
    if origin is None:
        return Recovered(nothing("the record does not say that it was undone"))
    following = case.moments.next_start(one.start if from_injection else origin)
    end = case.moments.end if following is None else min(following, case.moments.end)
    seconds = int((end - origin + 1e-6) / BUCKET)
    if seconds < 1:
        return Recovered(
            nothing("less than a second was left to recover in"), start=origin, end=max(origin, end)
        )
    lines = [
        line_of(case, assertion, origin, seconds, limits=_limits(case, assertion), doubt=doubt)
        for assertion in case.plan.scenario.steady_state
    ]
    lines, since = _counted(lines, one, origin) if from_injection else (lines, "after the undo")
    found = recovery(_worst_of(lines))
    if found is None:
        return Recovered(nothing("no data says whether it recovered"), start=origin, end=end)
    told = Recovered(
        exactly(found.seconds),
        found.recovered,
        origin,
        end,
        since=since,
        until="the run ended" if following is None else "the next fault began",
    )
    return _between(told, lines, doubt) if doubt.confidence else told


def _between(told: Recovered, lines: list[Line], doubt: Doubt) -> Recovered:
    bounds = between(lines, confidence=doubt.confidence)
    low, high = bounds.low * BUCKET, math.inf if bounds.high is None else bounds.high * BUCKET
    value = min(max(told.measured.value or 0.0, low), high)
    measured = replace(exactly(value), low=low, high=high, confidence=doubt.asked)
    held = None if bounds.held_from is None else bounds.held_from * BUCKET
    recovered = bounds.high is not None
    return replace(told, measured=measured, recovered=recovered, held_from=held, needs=bounds.needs)


def _counted(lines: list[Line], one: Occurrence, origin: float) -> tuple[list[Line], str]:
    """Count from the injection, and anew from the undo where it was itself again before: starting again is a blow too."""
    if one.undoing is None or one.end is None or not lines:
        return lines, "after the injection"
    ends = int((one.undoing - origin + 1e-6) / BUCKET)
    begins = math.ceil((one.end - origin - 1e-6) / BUCKET)
    early, late = [line.part(0, ends) for line in lines], [line.part(begins, None) for line in lines]
    before, after = recovery(_worst_of(early)), recovery(_worst_of(late))
    if before is None or not before.recovered or after is None:
        return lines, "after the injection"
    longer = len(late[0].bad) > len(early[0].bad)  # where neither was worse, what shows more
    if after.seconds > before.seconds or not after.recovered or (after.seconds == before.seconds and longer):
        return late, "after the undo"
    return early, "after the injection"


def _worst_of(lines: list[Line]) -> list[bool | None]:
    return [_worst(list(column)) for column in zip(*(line.bad for line in lines), strict=True)]


def _worst(states: list[bool | None]) -> bool | None:
    return True if True in states else False if False in states else None


def _limits(case: Case, assertion: Assertion) -> list[Limit]:
    """The limits of a line of the steady state, resolved; of `within`, both."""
    bound = assertion.bound
    if assertion.within is None and bound.value is not None:
        return [(assertion.op, bound.value)]
    baseline = case.baseline(bound.term or assertion.term).value
    if baseline is None:
        return []
    if assertion.within is not None:
        return [("<=", baseline * (1 + assertion.within)), (">=", baseline * (1 - assertion.within))]
    return [(assertion.op, baseline * (1.0 if bound.factor is None else bound.factor))]
