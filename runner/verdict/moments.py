"""When things happened in a run: its phases, its faults' occurrences, its stages, read from events and plan."""

from __future__ import annotations

from dataclasses import dataclass

from runner.plan_record import Plan
from runner.planning.endings import planned_end
from runner.record import Record
from runner.timeline import ActChanged, Decided, HaltPulled, Phase, StageBegun


@dataclass(frozen=True, slots=True)
class Early:
    """Seconds before its planned end at which a window was ended, since what began *until* then decides all about it."""

    seconds: float
    until: float


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a fault was done. *end* None: the record does not say that it was undone."""

    fault: str
    number: int
    start: float  # the first act is injecting
    injected: float  # the last act is injected (or failed)
    end: float | None  # the last act is clean
    undoing: float | None = None  # its undo began
    early: Early | None = None


@dataclass(frozen=True, slots=True)
class Moments:
    """Seconds since the anchor; None where the run never came there. *end*: nothing after it is judged."""

    warm: float | None
    before: float | None
    zero: float | None
    after: float | None
    end: float
    occurrences: tuple[Occurrence, ...]  # in the order of their starts
    stages: dict[
        str, tuple[tuple[float, float], ...]
    ]  # name -> [start, end) of each load's stage of that name
    early: Early | None = None  # of the time after

    @property
    def last_undo(self) -> float | None:
        """When the last fault was undone; the start of `after` in a run without any."""
        if self.after is None:
            return None
        ends = [one.end for one in self.occurrences]
        if any(end is None for end in ends):
            return None
        return max((end for end in ends if end is not None), default=self.after)

    @property
    def edges(self) -> tuple[float, ...]:
        """When faults began and were undone."""
        ends = [one.end for one in self.occurrences if one.end is not None]
        return tuple(sorted({*(one.start for one in self.occurrences), *ends}))

    def next_start(self, moment: float) -> float | None:
        """When the next fault starts after *moment*."""
        return min((one.start for one in self.occurrences if one.start > moment), default=None)


def moments_of(plan: Plan, record: Record) -> Moments:
    """Read all moments of a run, finished or not."""
    phases: dict[str, float] = {}
    for event in record.events:
        if isinstance(event, Phase):
            phases.setdefault(event.name, event.at)
    zero, after = phases.get("faults"), phases.get("after")
    end = _end(plan, record, phases)
    before = phases.get("before")
    return Moments(
        warm=before if before is not None else zero,
        before=before,
        zero=zero,
        after=after,
        end=end,
        occurrences=_passed(plan, zero, end) if plan.calm else occurrences_of(plan, record),
        stages=_stages(record, end),
        early=_decided(record).get(("", 0)),
    )


def occurrences_of(plan: Plan, record: Record) -> tuple[Occurrence, ...]:
    """Every occurrence of a fault of the plan that began to be done."""
    changes: dict[tuple[str, int], list[ActChanged]] = {}
    names = {use.name for use in plan.scenario.faults}
    for event in record.events:
        if isinstance(event, ActChanged) and event.fault in names:
            changes.setdefault((event.fault, event.occurrence), []).append(event)
    early = _decided(record)
    found = [_occurrence(*name, events, early=early.get(name)) for name, events in changes.items()]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.start))


def _passed(plan: Plan, zero: float | None, end: float) -> tuple[Occurrence, ...]:
    """The windows of a calm run's faults, in which nothing was injected."""
    if zero is None:
        return ()
    begun = [window for window in plan.windows if zero + window.start < end]
    found = [
        Occurrence(
            window.fault,
            window.occurrence,
            zero + window.start,
            zero + window.start,
            min(zero + window.end, end),
        )
        for window in begun
    ]
    return tuple(sorted(found, key=lambda one: one.start))


def _occurrence(
    name: str, number: int, events: list[ActChanged], *, early: Early | None
) -> Occurrence | None:
    begun = [event.at for event in events if event.state in {"injecting", "injected", "failed"}]
    if not begun:
        return None
    touched = {event.act for event in events if event.state in {"injecting", "injected", "failed"}}
    done = [event.at for event in events if event.state in {"injected", "failed"}]
    clean = {event.act: event.at for event in events if event.state == "clean"}
    ended = max(clean[act] for act in touched) if touched <= clean.keys() else None
    undoing = min((event.at for event in events if event.state == "undoing"), default=None)
    return Occurrence(name, number, min(begun), max(done, default=min(begun)), ended, undoing, early)


def _decided(record: Record) -> dict[tuple[str, int], Early]:
    """By fault and occurrence, what ended early."""
    told = [event for event in record.events if isinstance(event, Decided)]
    return {(event.fault, event.occurrence): Early(event.early, event.until) for event in told}


def _end(plan: Plan, record: Record, phases: dict[str, float]) -> float:
    """The planned end, or an earlier one: the halt, the end of the record."""
    said = [event.at for event in record.events if isinstance(event, HaltPulled)]
    decided = [event for event in record.events if isinstance(event, Decided)]
    said += [event.at for event in decided if not event.fault]
    said += [record.end, *([phases["end"]] if "end" in phases else [])]
    if "faults" in phases and "after" in phases:
        cut = any(event.fault for event in decided)
        said.append(planned_end(plan, zero=phases["faults"], after=phases["after"], cut=cut))
    return min(said)


def _stages(record: Record, end: float) -> dict[str, tuple[tuple[float, float], ...]]:
    begun: dict[str, list[StageBegun]] = {}
    for event in record.events:
        if isinstance(event, StageBegun):
            begun.setdefault(event.load, []).append(event)
    found: dict[str, list[tuple[float, float]]] = {}
    for events in begun.values():
        ends = [*(event.at for event in events[1:]), end]
        for event, stops in zip(events, ends, strict=True):
            if event.at < end:
                found.setdefault(event.name, []).append((event.at, min(stops, end)))
    return {name: tuple(spans) for name, spans in found.items()}
