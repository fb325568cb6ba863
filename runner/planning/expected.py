"""What a plan leads to expect: the windows of every WHEN on its timetable, and the requests in them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from runner.assertions import Assertion, Selector, Term, When
from runner.load.frames import Key
from runner.plan_record import Plan
from runner.planning.earlier import Earlier
from runner.scenario import Load
from runner.statistics.selection import OF_SHARES, in_population

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests that are expected, *number* of them, and what that rests on. None: nothing tells."""

    number: float | None
    basis: str


def windows(plan: Plan, when: When) -> list[list[Span]]:
    """Every window of *when* that is judged by itself, as spans of seconds after t = 0."""
    match when.kind:
        case "always":
            return [[(-plan.scenario.before, plan.ends)]]
        case "before":
            return [[(-plan.scenario.before, 0.0)]]
        case "after":
            return [[(plan.faults_end, plan.ends)]]
        case "faults":
            return [_joined([(one.start, one.end) for one in plan.windows])]
        case "during":
            return [[span] for span in _named(plan, when.name)]
        case "after_name":
            return [[(end, _next_start(plan, end))] for _, end in _named(plan, when.name)]


def shortest(plan: Plan, when: When) -> list[Span]:
    """The window of *when* that has the least time."""
    return min(windows(plan, when), key=seconds_of, default=[])


def recovering(plan: Plan, when: When) -> list[Span]:
    """The time in which it will be seen how the system recovers from a fault; of several occurrences, the shortest."""
    uses = [use for use in plan.scenario.faults if use.name == when.name]
    both = any(use.fault.recovers_from == "injection" for use in uses)
    seen = []
    for start, end in _named(plan, when.name):
        parts = [(end, _next_start(plan, end)), *([(start, end)] if both else [])]
        seen.append(max(parts, key=lambda part: part[1] - part[0]))
    return [min(seen, key=lambda part: part[1] - part[0])] if seen else []


def seconds_of(spans: Sequence[Span]) -> float:
    """The time that they cover."""
    return sum(max(0.0, end - start) for start, end in spans)


def pace(plan: Plan, earlier: Earlier, asked: Assertion, spans: Sequence[Span]) -> Pace:
    """How many requests of an assertion's term will begin in *spans*."""
    term, when = asked.term, asked.when.text
    whole = arrivals(plan, spans, load=term.selector.load)
    if term.name not in OF_SHARES and (term.selector.code or term.selector.error or term.selector.labels):
        return Pace(None, "how many answers will be like that is not known")
    narrow = term.selector != Selector(load=term.selector.load)
    if earlier.calibration is not None and (rates := earlier.calibration.rates):
        chosen = _rate(term, rates)
        if whole is not None:
            return Pace(whole * chosen / sum(rates.values()), "the A/A runs' shares of the planned load")
        return Pace(chosen * seconds_of(spans), "the A/A runs' pace")
    if whole is not None and not narrow:
        return Pace(whole, "the load as planned")
    if (per_second := earlier.pace.get((asked.text, when))) is not None:
        return Pace(per_second * seconds_of(spans), f"run {earlier.run}")
    if whole is not None:
        return Pace(
            whole, "the whole load, though only a part of it is asked about: squall aa measures that part"
        )
    return Pace(None, "how fast users will be is not known: run squall aa")


def arrivals(plan: Plan, spans: Sequence[Span], *, load: str = "") -> float | None:
    """Arrivals that are due in *spans*; None where a load of users is among those asked for."""
    chosen = [one for one in plan.scenario.loads if load in ("", one.name)]
    if not chosen or any(one.model == "users" for one in chosen):
        return None
    return sum(_due(plan, one, span) for one in chosen for span in spans)


def _due(plan: Plan, load: Load, span: Span) -> float:
    """The integral of the planned rate."""
    number = 0.0
    planned = [stage for stage in plan.stages if stage.load == load.name]
    for stage, level in zip(planned, load.stages, strict=True):
        first, last, length = max(span[0], stage.start), min(span[1], stage.end), stage.end - stage.start
        if first >= last or length <= 0:
            continue
        middle = ((first + last) / 2 - stage.start) / length
        number += (last - first) * (level.start + (level.end - level.start) * middle)
    return number


def _rate(term: Term, rates: dict[str, float]) -> float:
    """Requests per second that a term sees; of `each`, those of the request that is made least."""
    anywhere = msgspec.structs.replace(
        term, selector=msgspec.structs.replace(term.selector, load="", code="", error="")
    )
    found = [rate for request, rate in rates.items() if in_population(anywhere, "", Key(request))]
    if not found:
        return 0.0
    return min(found) if term.selector.each else sum(found)


def _named(plan: Plan, name: str) -> list[Span]:
    faults = [(one.start, one.end) for one in plan.windows if one.fault == name]
    return faults or [(one.start, one.end) for one in plan.stages if one.stage == name]


def _next_start(plan: Plan, moment: float) -> float:
    return min([one.start for one in plan.windows if one.start >= moment], default=plan.ends)


def _joined(spans: list[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
