"""When things happened in a run: its phases, its faults' occurrences, its stages, read from events and plan."""

from __future__ import annotations

from dataclasses import dataclass

from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import ActChanged, HaltPulled, Phase, StageBegun


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a fault was done. *end* None: the record does not say that it was undone."""

    fault: str
    number: int
    start: float  # the first act is injecting
    injected: float  # the last act is injected (or failed)
    end: float | None  # the last act is clean


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

    @property
    def last_undo(self) -> float | None:
        """When the last fault was undone; the start of `after` in a run without any."""
        if self.after is None:
            return None
        ends = [one.end for one in self.occurrences]
        if any(end is None for end in ends):
            return None
        return max((end for end in ends if end is not None), default=self.after)

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
        occurrences=occurrences_of(plan, record),
        stages=_stages(record, end),
    )


def occurrences_of(plan: Plan, record: Record) -> tuple[Occurrence, ...]:
    """Every occurrence of a fault of the plan that began to be done."""
    changes: dict[tuple[str, int], list[ActChanged]] = {}
    names = {use.name for use in plan.scenario.faults}
    for event in record.events:
        if isinstance(event, ActChanged) and event.fault in names:
            changes.setdefault((event.fault, event.occurrence), []).append(event)
    found = [_occurrence(name, number, events) for (name, number), events in changes.items()]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.start))


def _occurrence(name: str, number: int, events: list[ActChanged]) -> Occurrence | None:
    begun = [event.at for event in events if event.state in {"injecting", "injected", "failed"}]
    if not begun:
        return None
    touched = {event.act for event in events if event.state in {"injecting", "injected", "failed"}}
    done = [event.at for event in events if event.state in {"injected", "failed"}]
    clean = {event.act: event.at for event in events if event.state == "clean"}
    ended = max(clean[act] for act in touched) if touched <= clean.keys() else None
    return Occurrence(name, number, min(begun), max(done, default=min(begun)), ended)


def _end(plan: Plan, record: Record, phases: dict[str, float]) -> float:
    """The planned end, or an earlier one: the halt, the end of the record."""
    said = [event.at for event in record.events if isinstance(event, HaltPulled)]
    said += [record.end, *([phases["end"]] if "end" in phases else [])]
    if "faults" in phases and "after" in phases:
        planned = max(phases["faults"] + plan.ends, phases["after"] + plan.scenario.after)
        said.append(planned)
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
