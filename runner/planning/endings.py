"""Which windows of a run may end as soon as all about them is decided, and what keeps the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from runner.assertions import Assertion
from runner.plan_record import Plan
from runner.planning.expected import Span, windows
from runner.statistics.question import question_of

LEAST = 5.0  # seconds that no window is cut below: what comes on slowly needs some time to show
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Ending:
    """One fault's occurrence, or (without a name) the time after. *kept*: why it lasts to its planned end."""

    fault: str
    occurrence: int
    seconds: float
    asked: tuple[Assertion, ...] = ()
    kept: str = ""


def endings(plan: Plan) -> tuple[Ending, ...]:
    """Say for each fault's window, and for the time after, what has to be decided for it to end."""
    spans = [(one.fault, one.occurrence, (one.start, one.end)) for one in plan.windows]
    return tuple(_ending(plan, *one) for one in [*spans, ("", 0, (plan.faults_end, plan.ends))])


def planned_end(plan: Plan, *, zero: float, after: float, cut: bool) -> float:
    """When a run ends whose last undo was at *after*; *cut*: some fault ended early, and what comes after it came sooner."""
    latest = max(zero + plan.ends, after + plan.scenario.after)
    kept = any(one.kept for one in endings(plan) if not one.fault)
    return min(latest, after + plan.ends - plan.faults_end) if cut and not kept else latest


def may_move(plan: Plan) -> bool:
    """Whether what follows a fault that ended early may come earlier: not where it would meet another stage of the load."""
    return all(stage.start <= 0 for stage in plan.stages)


def _ending(plan: Plan, fault: str, occurrence: int, span: Span) -> Ending:
    seconds = span[1] - span[0]
    about = list(_about(plan, span, of_fault=bool(fault)))
    if not about:
        return Ending(fault, occurrence, seconds, kept="nothing is asserted about it alone")
    kept = next((f"`{asked.text}` {asked.when.text}: {why}" for asked, why in about if why), "")
    return Ending(fault, occurrence, seconds, () if kept else tuple(asked for asked, _ in about), kept)


def _about(plan: Plan, span: Span, *, of_fault: bool) -> Iterator[tuple[Assertion, str]]:
    """Every assertion that looks into *span*, with what keeps it from being decided before its end."""
    for asked in _later(plan):
        found = windows(plan, asked.when)
        looking = [spans for spans in found if _overlap(spans, span)]
        recovers = of_fault and asked.term.name == "recovery" and _after(plan, asked, span)
        if looking or recovers:
            exact = all(_same(spans, span) for spans in looking)
            yield asked, _undecided(plan, asked) or ("" if exact else "it looks at more than this window")


def _later(plan: Plan) -> Iterator[Assertion]:
    """What is judged from t = 0 on."""
    for asked in plan.scenario.steady_state:
        when = msgspec.structs.replace(asked.when, kind="after", text="steady state after")
        yield msgspec.structs.replace(asked, when=when)
    yield from (asked for asked in plan.scenario.expect if asked.when.kind != "before")


def _undecided(plan: Plan, asked: Assertion) -> str:
    """Why no evidence that may be looked at all the time decides an assertion; empty where one does."""
    confidence = plan.scenario.confidence if asked.confidence is None else asked.confidence
    if asked.term.name == "recovery":
        return "recovery is seen at the end"
    if not confidence:
        return "it is judged by points"
    if asked.over is not None or asked.lasting is not None:
        return "every part of the window counts"
    if asked.term.selector.each:
        return "a request may still come that was not seen yet"
    return "" if question_of(asked) is not None else "it asks for no share of the requests against a value"


def _after(plan: Plan, asked: Assertion, span: Span) -> bool:
    """Whether it asks how the system recovers from the very fault of *span*: a shorter one would be an easier one."""
    named = [one for one in plan.windows if one.fault == asked.when.name]
    return any((one.start, one.end) == span for one in named)


def _overlap(spans: Iterable[Span], span: Span) -> bool:
    return any(min(end, span[1]) - max(start, span[0]) > _CLOSE for start, end in spans)


def _same(spans: list[Span], span: Span) -> bool:
    return len(spans) == 1 and all(abs(a - b) < _CLOSE for a, b in zip(spans[0], span, strict=True))
