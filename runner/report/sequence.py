"""The sequence of a run in one picture: phases, stages and faults, planned and done."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from runner.report.evidence import Evidence
from runner.report.marks import Band, Marks
from runner.report.scale import Axis, time_axis
from runner.report.svg import (
    AMBER,
    AMBER_INK,
    GRID,
    INK,
    LEFT,
    MUTED,
    RIGHT,
    framed,
    halts,
    label,
    time_ticks,
)
from runner.report.words import clock
from runner.shown import shown

_LANE = 26
_MOST_LANES = 16
_NAMES = 170.0  # pixels for the names of the lanes


def draw_sequence(evidence: Evidence) -> str:
    """Draw one lane for the phases and one for each fault."""
    marks = evidence.marks
    names = list(dict.fromkeys([*_planned_names(evidence), *(band.name for band in marks.bands)]))
    across = time_axis(marks, LEFT + _NAMES - 40, RIGHT)
    inner = list(_phases(marks, across))
    for lane, name in enumerate(names[:_MOST_LANES], start=1):
        inner += _lane(evidence, name, lane * _LANE + 14, across)
    shown_lanes = min(len(names), _MOST_LANES)
    bottom = (shown_lanes + 1) * _LANE + 18
    if len(names) > _MOST_LANES:
        inner.append(label(8, bottom + 16, f"and {len(names) - _MOST_LANES} more faults"))
    inner += [*time_ticks(across, bottom), *halts(marks, across, 8, bottom)]
    return framed("sequence", "The sequence of the run", _told(marks), inner, bottom + 26)


def _planned_names(evidence: Evidence) -> list[str]:
    return [use.name for use in evidence.plan.scenario.faults] if evidence.plan else []


def _phases(marks: Marks, across: Axis) -> Iterator[str]:
    phases = [mark for mark in marks.phases if mark.name not in ("targets", "end")]
    yield label(8, 28, "phases")
    for mark, upcoming in zip_longest(phases, phases[1:]):
        left, right = across.place(mark.at), across.place(upcoming.at if upcoming else across.high)
        name = "warm-up" if mark.name == "warmup" else mark.name
        yield f'<rect class="phase" x="{left + 1:.1f}" y="12" width="{max(1.0, right - left - 2):.1f}" height="22" rx="3" fill="{GRID}"/>'
        if right - left > len(name) * 6.6 + 6:
            yield label((left + right) / 2, 27, name, anchor="middle", css="inktext", fill=INK)


def _lane(evidence: Evidence, name: str, top: float, across: Axis) -> Iterator[str]:
    marks = evidence.marks
    yield label(8, top + 16, shown(name, 24), css="inktext", fill=INK, weight=600)
    for window in evidence.plan.windows if evidence.plan else ():
        if window.fault == name:
            left, right = across.place(marks.zero + window.start), across.place(marks.zero + window.end)
            yield (
                f'<rect class="planned" x="{left:.1f}" y="{top + 2}" width="{max(2.0, right - left):.1f}" height="20" rx="3" '
                f'fill="none" stroke="{MUTED}" stroke-dasharray="3 3"/>'
            )
    for turn, band in enumerate(band for band in marks.bands if band.name == name):
        yield from _bar(evidence, band, top, across, named=turn == 0)


def _bar(evidence: Evidence, band: Band, top: float, across: Axis, *, named: bool) -> Iterator[str]:
    left, right = across.place(band.start), across.place(band.end)
    yield (
        f'<rect class="bar" x="{left:.1f}" y="{top + 2}" width="{max(2.0, right - left):.1f}" height="20" rx="3" '
        f'fill="{AMBER}" fill-opacity="0.55"/>'
    )
    if not named:
        return
    does = next(
        (fault.does or fault.kind for fault in evidence.verdict.faults if fault.name == band.name), band.kind
    )
    text, zero = shown(does.split(";")[0], 40), evidence.marks.zero
    if right - left > len(text) * 6.4 + 10:
        yield label(left + 6, top + 16, text, size=11, css="inktext", fill=INK)
    else:
        whole = f"{text}, {clock(band.start, zero)}"
        fits = right + len(whole) * 6.2 < RIGHT
        spot, anchor = (right + 6, "start") if fits else (min(left, across.place(zero)) - 6, "end")
        yield label(spot, top + 16, whole, size=11, anchor=anchor, css="bandtext", fill=AMBER_INK)


def _told(marks: Marks) -> str:
    said = [f"{mark.name} at {clock(mark.at, marks.zero)}" for mark in marks.phases]
    said += [
        f"{band.name} from {clock(band.start, marks.zero)} to {clock(band.end, marks.zero)}"
        for band in marks.bands
    ]
    said += [f"halt at {clock(mark.at, marks.zero)}" for mark in marks.halts]
    return "; ".join(said[:60]) + "."
