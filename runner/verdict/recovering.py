"""How long the system took to be itself again after a fault."""

from __future__ import annotations

from dataclasses import dataclass

from runner.assertions import Assertion, Operator
from runner.load.frames import SLOT
from runner.statistics.comparison import Measured, exactly, holds, nothing
from runner.statistics.cutting import Stretch
from runner.statistics.recovery import BUCKET, recovery
from runner.statistics.samples import measure_samples, of_term
from runner.statistics.selection import is_of_load
from runner.statistics.sliding import truth, width_of
from runner.verdict.case import Case
from runner.verdict.windows import Window

Limit = tuple[Operator, float]


@dataclass(frozen=True, slots=True)
class Recovered:
    """*measured*: seconds from the origin to the end of the last bad second. *until*: what ended the looking."""

    measured: Measured
    recovered: bool = False
    start: float = 0.0
    end: float = 0.0
    since: str = ""
    until: str = ""


def recover(case: Case, window: Window) -> Recovered:
    """Judge every second from the injection or the undo to the next fault or the end by the steady state."""
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
    judged = [_seconds(case, assertion, origin, seconds) for assertion in case.plan.scenario.steady_state]
    found = recovery([_worst(list(column)) for column in zip(*judged, strict=True)] if judged else [])
    if found is None:
        return Recovered(nothing("no data says whether it recovered"), start=origin, end=end)
    return Recovered(
        exactly(found.seconds),
        found.recovered,
        origin,
        end,
        since="after the injection" if from_injection else "after the undo",
        until="the run ended" if following is None else "the next fault began",
    )


def _worst(states: list[bool | None]) -> bool | None:
    return True if True in states else False if False in states else None


def _seconds(case: Case, assertion: Assertion, origin: float, seconds: int) -> list[bool | None]:
    """For each second: did it break the assertion? None where it holds no data."""
    limits = _limits(case, assertion)
    if not limits:
        return [None] * seconds
    if not is_of_load(assertion.term):
        return [_sampled(case, assertion, origin + number * BUCKET, limits) for number in range(seconds)]
    width = width_of(BUCKET)
    first = int(origin / SLOT + 1e-6)
    stretch = Stretch(first, first + seconds * width)
    found: list[bool | None] = [None] * seconds
    for operator, limit in limits:
        true, there = truth(
            case.record.frames, assertion.term, stretch, width=width, operator=operator, limit=limit
        )
        for number in range(seconds):
            if there[number * width]:
                found[number] = bool(found[number]) or not true[number * width]
    return found


def _sampled(case: Case, assertion: Assertion, start: float, limits: list[Limit]) -> bool | None:
    term = assertion.term
    samples = case.record.samples(term.of or term.name)
    good = of_term(term, [one for one in samples if start <= one.at < start + BUCKET])
    if not good:
        return None
    broken = False
    for operator, limit in limits:
        value = measure_samples(term, good, operator).value
        broken |= value is not None and not holds(operator, value, limit)
    return broken


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
