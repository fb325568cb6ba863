"""What happened when, read from the timeline: phases, stages, fault windows and halts for every figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.timeline import ActChanged, Event, HaltPulled, Phase, StageBegun, Started


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment with a name; seconds since the anchor."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Band:
    """A fault's window; seconds since the anchor. *open*: its end is not on record."""

    name: str
    kind: str
    start: float
    end: float
    open: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """The frame of every figure. *zero* is t = 0, else the start of the record."""

    zero: float
    start: float
    end: float
    phases: tuple[Mark, ...] = ()
    stages: tuple[Mark, ...] = ()
    bands: tuple[Band, ...] = ()
    halts: tuple[Mark, ...] = ()

    def during(self, at: float) -> str:
        """Name what is going on at a moment: the faults, else the phase."""
        names = [band.name for band in self.bands if band.start <= at < band.end]
        if names:
            return ", ".join(names)
        phase = [mark.name for mark in self.phases if mark.at <= at]
        return phase[-1] if phase else ""


def read_marks(events: Iterable[Event], *, faults: frozenset[str], end: float) -> Marks:
    """Read the marks from *events*; *end*: how far the measurements go. Acts of no fault (targets) are left out."""
    events = list(events)
    phases = tuple(Mark(event.name, event.at) for event in events if isinstance(event, Phase))
    spoken = (
        event.at for event in events if not isinstance(event, Started | StageBegun)
    )  # stages are told beforehand
    last = max(spoken, default=0.0)
    stop = max(end, next((mark.at for mark in phases if mark.name == "end"), 0.0)) or last
    zero = next((mark.at for mark in phases if mark.name == "faults"), None)
    shown_from = [mark.at for mark in phases if mark.name != "targets"]
    start = min(shown_from, default=0.0)
    return Marks(
        zero=start if zero is None else zero,
        start=start,
        end=max(stop, start),
        phases=phases,
        stages=tuple(
            Mark(event.name, event.at)
            for event in events
            if isinstance(event, StageBegun) and event.at <= max(stop, last)
        ),
        bands=_bands((event for event in events if isinstance(event, ActChanged)), faults, max(stop, last)),
        halts=tuple(Mark("halt", event.at) for event in events if isinstance(event, HaltPulled)),
    )


def _bands(changes: Iterable[ActChanged], faults: frozenset[str], end: float) -> tuple[Band, ...]:
    """Join the acts of one occurrence: from the first act injecting to the last act clean or dirty."""
    began: dict[tuple[str, int], tuple[str, float]] = {}
    ended: dict[tuple[str, int], float] = {}
    standing: dict[tuple[str, int], set[str]] = {}
    for change in changes:
        if change.fault not in faults:
            continue
        key = (change.fault, change.occurrence)
        if change.state == "injecting":
            began.setdefault(key, (change.kind, change.at))
            standing.setdefault(key, set()).add(change.act)
        elif change.state in ("clean", "dirty") and key in began:
            standing[key].discard(change.act)
            ended[key] = max(change.at, ended.get(key, change.at))
    return tuple(
        Band(name, kind, at, end if standing[name, turn] else ended[name, turn], bool(standing[name, turn]))
        for (name, turn), (kind, at) in began.items()
    )
