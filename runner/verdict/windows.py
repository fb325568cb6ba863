"""The windows that a WHEN stands for in one run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.assertions import When
from runner.load.frames import SLOT
from runner.statistics.cutting import Stretch, calm, harmed, staged
from runner.verdict.moments import Early, Moments, Occurrence


@dataclass(frozen=True, slots=True)
class Window:
    """One window that is judged by itself, from *start* to *end*; of `during faults` it has several stretches.

    *faults*: the occurrences that it belongs to. *why*: the reason why there is nothing to judge. *early*: it was ended
    before its planned end, since all about it was decided.
    """

    start: float = 0.0
    end: float = 0.0
    stretches: tuple[Stretch, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()
    faults: tuple[Occurrence, ...] = ()
    why: str = ""
    early: Early | None = None


def windows(when: When, moments: Moments) -> tuple[Window, ...]:
    """All windows of *when*; one with a reason where the run never came there."""
    match when.kind:
        case "always":
            return (_calm(moments.warm, moments.end, "the run never left its warm-up"),)
        case "before":
            return (before(moments),)
        case "after":
            return (after(moments),)
        case "faults":
            return (_all_faults(moments),)
        case "during":
            return _during(when.name, moments)
        case "after_name":
            return _after_name(when.name, moments)


def together(several: tuple[Window, ...]) -> Window:
    """All windows of one WHEN as one population: a fault that came three times is looked at as a whole."""
    seen = [one for one in several if not one.why]
    if not seen:
        return several[0]
    stretches = tuple(stretch for one in seen for stretch in one.stretches)
    crossing = all(stretch.crossing_from is not None for stretch in stretches)
    return Window(
        min(one.start for one in seen),
        max(one.end for one in seen),
        _apart(stretches) if crossing else stretches,
        tuple(span for one in seen for span in one.spans),
        faults=tuple(fault for one in seen for fault in one.faults),
    )


def before(moments: Moments) -> Window:
    """From the end of the warm-up to t = 0. What then is still under way, when a fault begins, is the fault's."""
    end = moments.end if moments.zero is None else min(moments.zero, moments.end)
    return _calm(moments.before, end, "the run never came to `before`", ends_before=moments.next_start(0.0))


def after(moments: Moments) -> Window:
    """From the last undo to the end of the run."""
    window = _calm(moments.last_undo, moments.end, "the run never came to `after`")
    return replace(window, early=moments.early)


def _calm(start: float | None, end: float, why: str, *, ends_before: float | None = None) -> Window:
    if start is None:
        return Window(why=why)
    if end - start < SLOT:
        return Window(start, start, why="there was no time to measure in")
    return Window(start, end, (calm(start, end, ends_before=ends_before),), ((start, end),))


def harmed_by(one: Occurrence, moments: Moments) -> Window:
    """From the first act of a fault's occurrence to the last undo of it."""
    end = one.end if one.end is not None else max(moments.end, one.start)
    stretches, spans = (harmed(one.start, end),), ((one.start, end),)
    return Window(one.start, end, stretches, spans, faults=(one,), early=one.early)


def _all_faults(moments: Moments) -> Window:
    spans: list[tuple[float, float]] = []
    for one in moments.occurrences:
        window = harmed_by(one, moments)
        if spans and window.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], window.end))
        else:
            spans.append((window.start, window.end))
    if not spans:
        return Window(why="no fault was injected")
    stretches = _apart(tuple(harmed(start, end) for start, end in spans))
    why = "" if stretches else "there was no time to measure in"
    early = next((one.early for one in moments.occurrences if one.early), None)
    return Window(
        spans[0][0], spans[-1][1], stretches, tuple(spans), faults=moments.occurrences, why=why, early=early
    )


def _apart(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Two spans that share a slot, or a request that crosses both, must not count twice."""
    found: list[Stretch] = []
    for stretch in stretches:
        earliest = found[-1].last if found else 0
        first = max(stretch.first, earliest)
        if first < stretch.last:
            found.append(Stretch(first, stretch.last, crossing_from=earliest))
    return tuple(found)


def _during(name: str, moments: Moments) -> tuple[Window, ...]:
    found = [harmed_by(one, moments) for one in moments.occurrences if one.fault == name]
    for start, end in moments.stages.get(name, ()):
        found.append(Window(start, end, (staged(start, end),), ((start, end),)))
    return tuple(found) or (Window(why=f"{name} never began"),)


def _after_name(name: str, moments: Moments) -> tuple[Window, ...]:
    found = [_until_next_fault(one.end, moments, (one,)) for one in moments.occurrences if one.fault == name]
    found += [_until_next_fault(end, moments, ()) for _, end in moments.stages.get(name, ())]
    return tuple(found) or (Window(why=f"{name} never began"),)


def _until_next_fault(start: float | None, moments: Moments, faults: tuple[Occurrence, ...]) -> Window:
    if start is None:
        return Window(faults=faults, why="the record does not say that it was undone")
    following = moments.next_start(start)
    end = moments.end if following is None else min(following, moments.end)
    if end - start < SLOT:
        return Window(start, start, faults=faults, why="no time was left after it")
    early = moments.early if following is None else None
    stretches = (calm(start, end, ends_before=following),)
    return Window(start, end, stretches, ((start, end),), faults=faults, early=early)
