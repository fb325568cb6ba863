"""Figures as SVG: complete by attributes alone, for places where styles and scripts are taken away."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from runner.report.chart import MOST_BUCKETS, Figure, Limit, Line, described, thin
from runner.report.marks import Marks
from runner.report.scale import Axis, time_axis, value_axis
from runner.report.words import NO_DATA, UNEXPLAINED, change, clock
from runner.shown import shown

WIDTH, HEIGHT = 960, 290
LEFT, RIGHT, TOP, BOTTOM = 68, 948, 62, 258
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
PALETTE = (
    "#6d9bd6",
    "#1f5fb0",
    "#0a2a5e",
    "#b3261e",
    "#7a8594",
    "#6a4fb3",
    "#0f7a5f",
    "#b35900",
    "#9c3587",
    "#7a5c00",
)
INK, MUTED, GRID, AMBER, AMBER_INK, RED = "#1c2430", "#5a6675", "#e3e7ed", "#f0a92b", "#7a4f00", "#b3261e"
_LETTER = 6.4  # pixels that a letter takes at 12 px, about
_MOST_LEGEND = 8


def draw(figure: Figure, marks: Marks, *, buckets: int = MOST_BUCKETS) -> str:
    """Draw *figure* with its axes, legend, limits and everything in *marks*."""
    across, up = time_axis(marks, LEFT, RIGHT), value_axis(figure, BOTTOM, TOP)
    inner: list[str] = [
        *backdrop(marks, across, TOP, BOTTOM),
        *_grid(across, up),
        *_legend(figure.lines, log=up.log),
        *(path(line, across, up, buckets) for line in figure.lines),
        *_limits(figure.limits, across, up),
        *changes(figure, marks, across),
        *halts(marks, across, TOP - 30, BOTTOM),
    ]
    if figure.empty:
        inner.append(label((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2, NO_DATA, size=15, anchor="middle"))
    return framed(figure.name, figure.title, described(figure, marks), inner, HEIGHT)


def framed(name: str, title: str, description: str, inner: Iterable[str], height: float) -> str:
    """Put parts into one picture with its title and description."""
    identity = escaped(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="100%" role="img" '
        f'aria-labelledby="{identity}-t {identity}-d" font-family="{FONT}" font-size="12">'
        f'<title id="{identity}-t">{escaped(title)}</title><desc id="{identity}-d">{escaped(description)}</desc>'
        f'<rect class="paper" width="{WIDTH}" height="{height:g}" fill="#ffffff"/>{"".join(inner)}</svg>'
    )


def backdrop(marks: Marks, across: Axis, top: float, bottom: float) -> Iterator[str]:
    """Shade the fault windows; name the phases and the faults above."""
    phases = [mark for mark in marks.phases if mark.name not in ("targets", "end")]
    for mark, upcoming in zip_longest(phases, phases[1:]):
        left, right = across.place(mark.at), across.place(upcoming.at if upcoming else across.high)
        if mark.name == "warmup":
            yield f'<rect class="muted" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{bottom - top}" fill="{MUTED}" fill-opacity="0.08"/>'
        yield f'<path class="rule" d="M{left:.1f} {top - 30}V{bottom}" stroke="{MUTED}" stroke-opacity="0.45" stroke-dasharray="1 3"/>'
        name = "warm-up" if mark.name == "warmup" else mark.name
        if right - left > len(name) * _LETTER + 8:
            yield label(left + 5, top - 20, name, size=11)
    free: list[float] = [-math.inf]
    for band in marks.bands:
        left, right = across.place(band.start), across.place(band.end)
        width = max(1.5, right - left)
        yield (
            f'<rect class="band" x="{left:.1f}" y="{top - 14}" width="{width:.1f}" height="{bottom - top + 14}" '
            f'fill="{AMBER}" fill-opacity="0.17"/><path class="bandrule" d="M{left:.1f} {top - 14}V{bottom}" stroke="{AMBER}"/>'
        )
        name = shown(band.name, 40)
        if left >= free[0] and left + len(name) * _LETTER < RIGHT + 12:
            yield label(left + 5, top - 4, name, size=11, css="bandtext", fill=AMBER_INK, weight=600)
            free[0] = left + len(name) * _LETTER + 12
    for mark in marks.stages:
        spot = across.place(mark.at)
        yield f'<path class="rule" d="M{spot:.1f} {bottom}v5" stroke="{MUTED}" stroke-width="2"><title>stage {escaped(mark.name)}</title></path>'


def halts(marks: Marks, across: Axis, top: float, bottom: float) -> Iterator[str]:
    """Draw the moment the brake was pulled."""
    for mark in marks.halts[:1]:
        spot = across.place(mark.at)
        left = spot > RIGHT - 60
        yield f'<path class="halt" d="M{spot:.1f} {top}V{bottom}" stroke="{RED}" stroke-width="2"/>'
        yield label(
            spot + (-6 if left else 6),
            top + 10,
            "■ halt",
            anchor="end" if left else "start",
            css="haltext",
            fill=RED,
            weight=700,
        )


def changes(figure: Figure, marks: Marks, across: Axis) -> Iterator[str]:
    """Point at the moments at which the level changed; with a question mark where nothing explains it."""
    for one in figure.changes:
        if not across.low <= one.at <= across.high:
            continue
        spot, colour = across.place(one.at), MUTED if one.cause else RED
        says = f"{change(one)} at {clock(one.at, marks.zero)}: {one.cause or UNEXPLAINED}"
        css = "rule" if one.cause else "halt"
        yield (
            f'<g><title>{escaped(says)}</title><path class="{css}" d="M{spot:.1f} {TOP + 9}l-5 -9h10z" fill="{colour}" '
            f'stroke="{colour}"/><path class="{css}" d="M{spot:.1f} {TOP + 9}V{BOTTOM}" stroke="{colour}" stroke-opacity="0.5"/></g>'
        )
        if not one.cause:
            yield label(spot + 7, TOP + 9, "?", css="haltext", fill=RED, weight=700)


def path(line: Line, across: Axis, up: Axis, buckets: int = MOST_BUCKETS) -> str:
    """Draw a line; it breaks where there is no data, and a point between two gaps is a dot."""
    at, values = thin(line.at, line.values, buckets)
    drawn: list[str] = []
    pen_down = False
    for moment, value in zip(at.tolist(), values.tolist(), strict=True):
        if math.isnan(value) or moment < across.low or moment > across.high:
            pen_down = False
            continue
        spot = f"{across.place(moment):.1f} {up.place(value):.1f}"
        drawn.append(f"L{spot}" if pen_down else f"M{spot}h.1")
        pen_down = True
    colour = line.colour % len(PALETTE)
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""
    return (
        f'<path class="c{colour}" d="{"".join(drawn)}" fill="none" stroke="{PALETTE[colour]}" stroke-width="1.7" '
        f'stroke-linejoin="round" stroke-linecap="round"{dash}/>'
    )


def time_ticks(across: Axis, bottom: float) -> Iterator[str]:
    """Write the moments under an axis."""
    yield f'<path class="rule" d="M{across.start:.1f} {bottom}H{across.end:.1f}" stroke="{MUTED}"/>'
    for value, text in across.ticks:
        spot = across.place(value)
        yield f'<path class="rule" d="M{spot:.1f} {bottom}v4" stroke="{MUTED}"/>'
        yield label(spot, bottom + 18, text, anchor="middle")


def label(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    anchor: str = "start",
    css: str = "mutedtext",
    fill: str = MUTED,
    weight: int = 400,
) -> str:
    """Write a text into a picture."""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    small = f' font-size="{size}"' if size != 12 else ""
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" fill="{fill}"{small}{end}{bold}>{escaped(text)}</text>'
    )


def escaped(text: str) -> str:
    """Make text from outside fit for markup."""
    return html.escape(shown(text, 4000))


def _grid(across: Axis, up: Axis) -> Iterator[str]:
    for value, text in up.ticks:
        spot = up.place(value)
        yield f'<path class="grid" d="M{LEFT} {spot:.1f}H{RIGHT}" stroke="{GRID}"/>'
        yield label(LEFT - 8, spot + 4, text, anchor="end")
    yield from time_ticks(across, BOTTOM)


def _legend(lines: tuple[Line, ...], *, log: bool) -> Iterator[str]:
    spot = float(LEFT)
    for line in lines[:_MOST_LEGEND]:
        name, colour = shown(line.name, 30), line.colour % len(PALETTE)
        if spot + len(name) * _LETTER > RIGHT - 80:
            break
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        yield f'<path class="c{colour}" d="M{spot:.0f} 14h20" stroke="{PALETTE[colour]}" stroke-width="3"{dash}/>'
        yield label(spot + 26, 18, name, css="inktext", fill=INK)
        spot += 26 + len(name) * _LETTER + 22
    left = len(lines) - _MOST_LEGEND
    if left > 0:
        yield label(spot, 18, f"and {left} more")
    if log:
        yield label(RIGHT, 18, "logarithmic axis", anchor="end", size=11)


def _limits(limits: tuple[Limit, ...], across: Axis, up: Axis) -> Iterator[str]:
    """Draw the limits as dashed lines, each named at its right end; those above the picture only by name."""
    taken: list[tuple[float, float, float]] = []
    beyond = [limit for limit in limits if limit.value > up.high]
    for limit in limits:
        if limit in beyond:
            continue
        left = across.place(across.low if limit.start is None else limit.start)
        right = across.place(across.high if limit.end is None else limit.end)
        height = up.place(limit.value)
        text = shown(limit.text, 44)
        begin = max(LEFT + 2.0, right - len(text) * 6.0 - 4)
        baseline = next(
            (
                spot
                for spot in (height - 5, height + 13, height - 18, height + 26)
                if _free(begin, right, spot, taken)
            ),
            height - 5,
        )
        taken.append((begin, right, baseline))
        yield f'<path class="halt" d="M{left:.1f} {height:.1f}H{right:.1f}" stroke="{RED}" stroke-width="1.3" stroke-dasharray="5 4"/>'
        yield label(
            max(right - 4, begin + len(text) * 6.0),
            baseline,
            text,
            size=11,
            anchor="end",
            css="haltext",
            fill=RED,
        )
    if beyond:
        distinct = list(dict.fromkeys(shown(limit.text, 44) for limit in beyond))
        names = ", ".join(distinct[:3]) + ("" if len(distinct) <= 3 else ", …")
        yield label(
            RIGHT - 4,
            TOP + 12,
            f"above this picture: {names} ↑",
            size=11,
            anchor="end",
            css="haltext",
            fill=RED,
        )


def _free(left: float, right: float, baseline: float, taken: list[tuple[float, float, float]]) -> bool:
    if not TOP + 8 <= baseline <= BOTTOM - 3:
        return False
    return not any(left < end and right > begin and abs(baseline - other) < 12 for begin, end, other in taken)
