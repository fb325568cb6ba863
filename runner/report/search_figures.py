"""The figures of a search: every trial at its level, and throughput over concurrency with the law fitted to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from runner.report.scale import Axis, nice_step
from runner.report.search_words import said_level
from runner.report.svg import AMBER, INK, LEFT, MUTED, PALETTE, RED, RIGHT, framed, label
from runner.report.words import digits
from runner.search_record import Knob, Searched, Shot, Side
from runner.statistics.usl import Law

_GREEN = "#23884f"
_ROW, _TOP = 18.0, 46.0
_WORDS = {"bears": "held", "breaks": "broke", "nothing": "says nothing"}
_COLOURS = {"bears": _GREEN, "breaks": RED, "nothing": MUTED}


def draw_path(searched: Searched, side: Side) -> str:
    """Draw the trials in their order, each at its level, with the edge and its interval."""
    bottom = _TOP + _ROW * max(4, len(side.shots)) + 10
    across = _levels(searched)
    inner = [
        *_legend(),
        *_interval(searched.knob, side, across, bottom),
        *_ticks(searched.knob, across, bottom),
        *(
            mark
            for number, shot in enumerate(side.shots)
            for mark in _trial(searched.knob, shot, number, across)
        ),
    ]
    title = f"{side.environment}: the trials and the edge"
    return framed(
        f"path-{side.environment}", title, _told(searched.knob, side), inner, _TOP + bottom - _TOP + 30
    )


def draw_scaling(side: Side) -> str:
    """Draw throughput over requests under way, with the law; empty where there is no fit."""
    law = side.scaling
    told = [
        (shot.in_flight, shot.served)
        for shot in side.shots
        if shot.shows != "nothing" and shot.in_flight and shot.served
    ]
    if law is None or law.unit is None or law.contention is None or law.coherency is None or not told:
        return ""
    top, bottom = 34.0, 250.0
    most = max(found for _, found in told)
    step = nice_step(most * 1.15 / 4)
    up = Axis(0.0, step * math.ceil(most * 1.1 / step), bottom, top)
    low, high = min(at for at, _ in told), max(at for at, _ in told)
    across = Axis(low / 1.1, high * 1.1, LEFT, RIGHT, log=True)
    at = np.geomspace(low, high, 120)
    curve = Law(law.unit, law.contention, law.coherency, high).throughput(at)
    inner = [
        *_up(up, step),
        *_concurrency(across, bottom),
        _line(across, up, at.tolist(), curve.tolist()),
        *_knee(law.knee, law.peak, across, up),
        *(
            f'<circle cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="4" fill="{PALETTE[1]}" fill-opacity="0.75"/>'
            for x, y in told
        ),
        label(LEFT, 18, "answered well a second, over requests under way (logarithmic)"),
    ]
    described = (
        f"{len(told)} trials; the fitted law {'peaks' if law.knee else 'has no peak'} within what was tested"
    )
    return framed(
        f"usl-{side.environment}", f"{side.environment}: throughput over concurrency", described, inner, 290
    )


def _levels(searched: Searched) -> Axis:
    """A logarithmic axis around the levels that were tried: the whole range where nothing was."""
    levels = [shot.level for side in searched.sides for shot in side.shots] or [searched.least, searched.most]
    return Axis(min(levels) / 1.15, max(levels) * 1.15, LEFT, RIGHT, log=True)


def _ticks(knob: Knob, across: Axis, bottom: float) -> Iterator[str]:
    yield f'<path class="rule" d="M{LEFT} {bottom:.1f}H{RIGHT}" stroke="{MUTED}"/>'
    for value in _round_levels(across.low, across.high):
        spot = across.place(value)
        yield f'<path class="rule" d="M{spot:.1f} {bottom:.1f}v4" stroke="{MUTED}"/>'
        yield label(spot, bottom + 18, said_level(knob, value), anchor="middle")


def _round_levels(low: float, high: float) -> list[float]:
    """At most a dozen round levels on a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= 12:
            return found
    return found


def _trial(knob: Knob, shot: Shot, number: int, across: Axis) -> Iterator[str]:
    spot, row = across.place(shot.level), _TOP + _ROW * number + 8
    colour = _COLOURS[shot.shows]
    title = f"<title>{number + 1}: {said_level(knob, shot.level)}: {_WORDS[shot.shows]}</title>"
    yield _glyph(shot.shows, spot, row, colour, title)
    if number % 5 == 4 or number == 0:
        yield label(LEFT - 10, row + 4, str(number + 1), anchor="end", size=11)


def _glyph(shows: str, x: float, y: float, colour: str, title: str = "") -> str:
    """A dot held, a cross broke, a ring says nothing: colour never stands alone."""
    if shows == "breaks":
        return f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{colour}" stroke-width="2.4">{title}</path>'
    fill = colour if shows == "bears" else "none"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{colour}" stroke-width="1.6">{title}</circle>'


def _legend() -> Iterator[str]:
    spot = float(LEFT)
    for shows, word in _WORDS.items():
        yield _glyph(shows, spot + 6, 14, _COLOURS[shows])
        yield label(spot + 18, 18, word, css="inktext", fill=INK)
        spot += 120
    yield label(RIGHT, 18, "trials from top to bottom", anchor="end")


def _interval(knob: Knob, side: Side, across: Axis, bottom: float) -> Iterator[str]:
    if side.value is None:
        return
    left = across.place(side.low) if side.low is not None else float(LEFT)
    right = across.place(side.high) if side.high is not None else float(RIGHT)
    yield (
        f'<rect class="band" x="{left:.1f}" y="{_TOP - 12:.1f}" width="{max(1.5, right - left):.1f}"'
        f' height="{bottom - _TOP + 12:.1f}" fill="{AMBER}" fill-opacity="0.2"/>'
    )
    if side.low is not None and side.high is not None:
        spot = across.place(side.value)
        yield f'<path class="bandrule" d="M{spot:.1f} {_TOP - 12:.1f}V{bottom:.1f}" stroke="{AMBER}" stroke-width="2"/>'
        yield label(spot + 6, _TOP - 2, said_level(knob, side.value), css="bandtext", weight=600)


def _told(knob: Knob, side: Side) -> str:
    counts = {word: sum(shot.shows == shows for shot in side.shots) for shows, word in _WORDS.items()}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    if side.value is None or side.low is None or side.high is None:
        return f"{len(side.shots)} trials: {said or 'none'}"
    between = f"{said_level(knob, side.low)} to {said_level(knob, side.high)}"
    return f"{len(side.shots)} trials: {said}; the edge is {said_level(knob, side.value)}, {between}"


def _up(up: Axis, step: float) -> Iterator[str]:
    for number in range(round(up.high / step) + 1):
        spot = up.place(number * step)
        yield f'<path class="grid" d="M{LEFT} {spot:.1f}H{RIGHT}" stroke="{MUTED}" stroke-opacity="0.25"/>'
        yield label(LEFT - 8, spot + 4, f"{digits(number * step)}/s", anchor="end")


def _concurrency(across: Axis, bottom: float) -> Iterator[str]:
    for value in _round_levels(across.low, across.high):
        yield label(across.place(value), bottom + 18, digits(value), anchor="middle")


def _line(across: Axis, up: Axis, at: Sequence[float], values: Sequence[float]) -> str:
    spots = [f"{across.place(x):.1f} {up.place(y):.1f}" for x, y in zip(at, values, strict=True)]
    return f'<path class="c1" d="M{"L".join(spots)}" fill="none" stroke="{PALETTE[1]}" stroke-width="1.7"/>'


def _knee(knee: float | None, peak: float | None, across: Axis, up: Axis) -> Iterator[str]:
    if knee is None or peak is None:
        return
    x, y = across.place(knee), up.place(peak)
    yield f'<path class="bandrule" d="M{x:.1f} {up.start:.1f}V{y:.1f}" stroke="{AMBER}" stroke-width="2" stroke-dasharray="4 3"/>'
    yield label(
        x,
        up.start - 8,
        f"knee: {digits(knee)} under way, {digits(peak)}/s",
        anchor="middle",
        css="bandtext",
        weight=600,
    )
