"""The figures of a comparison: every guardrail's interval against its margin, and the values of each pair."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from runner.report.scale import Axis, nice_step
from runner.report.svg import GRID, INK, LEFT, MUTED, PALETTE, RED, RIGHT, escaped, framed, label
from runner.report.words import quantity
from runner.verdict.compared import Comparison, Guardrail
from runner.verdict.guardrails import effect, spread

_ROW, _HEAD, _FOOT = 34, 34, 34
_NAMES, _EFFECTS = 230, 690  # where the axis begins and ends
_FARTHEST = 2.5  # margins
_COLOURS = {"pass": "#23884f", "fail": RED, "inconclusive": "#b45309"}
_HEIGHT, _TOP, _BOTTOM = 220, 40, 180
_BASELINE, _VARIANT = PALETTE[4], PALETTE[1]


def forest(comparison: Comparison) -> str:
    """Draw each guardrail's interval in units of its margin: 0 is no difference, 1 the most that is allowed."""
    rails = comparison.guardrails
    height = _HEAD + _ROW * len(rails) + _FOOT
    across = Axis(-_FARTHEST, _FARTHEST, _NAMES, _EFFECTS)
    bottom = height - _FOOT
    inner = [
        f'<rect x="{across.place(1):.1f}" y="{_HEAD - 8}" width="{_EFFECTS - across.place(1):.1f}" height="{bottom - _HEAD + 8}" fill="{RED}" fill-opacity="0.07"/>',
        f'<path class="rule" d="M{across.place(0):.1f} {_HEAD - 8}V{bottom}" stroke="{MUTED}"/>',
        f'<path class="halt" d="M{across.place(1):.1f} {_HEAD - 8}V{bottom}" stroke="{RED}" stroke-dasharray="5 4"/>',
        label(across.place(0), bottom + 18, "no difference", anchor="middle"),
        label(across.place(1), bottom + 18, "margin", anchor="middle", css="haltext", fill=RED),
        label(_EFFECTS, 16, "worse →", anchor="end"),
        label(_NAMES, 16, "← better"),
    ]
    for number, rail in enumerate(rails):
        inner += _row(rail, across, _HEAD + _ROW * number + _ROW / 2)
    told = " ".join(rail.reason + "." for rail in rails)
    return framed("forest", "Guardrails: what was measured, in units of the margin", told, inner, height)


def paired_values(rail: Guardrail, number: int, unit: str, names: tuple[str, str]) -> str:
    """Draw both values of every pair, in the order that they were made."""
    values = [value for pair in rail.pairs for value in pair]
    high = max(values) or (0.01 if rail.unit == "share" else 1.0)
    step = nice_step(high * 1.05 / 4)
    top = step * math.ceil(high * 1.05 / step - 1e-9)
    ticks = tuple((n * step, quantity(n * step, rail.unit)) for n in range(round(top / step) + 1))
    up, across = (
        Axis(0.0, top, _BOTTOM, _TOP, ticks=ticks),
        Axis(0.5, len(rail.pairs) + 0.5, LEFT, RIGHT),
    )
    inner = [*_levels(up), *_legend(names)]
    for place, (base, variant) in enumerate(rail.pairs, 1):
        spot, low, tall = across.place(place), up.place(base), up.place(variant)
        inner += [
            f'<path class="rule" d="M{spot:.1f} {low:.1f}V{tall:.1f}" stroke="{MUTED}"/>',
            _open(spot, low),
            _filled(spot, tall),
        ]
    for place in _numbered(len(rail.pairs)):
        inner.append(label(across.place(place), _BOTTOM + 18, str(place), anchor="middle"))
    told = "; ".join(
        f"{quantity(base, rail.unit)} and {quantity(variant, rail.unit)}" for base, variant in rail.pairs[:60]
    )
    title = f"{rail.term}: {names[0]} and {names[1]} in each of {len(rail.pairs)} {unit}"
    return framed(f"pairs-{number}", title, told, inner, _HEIGHT)


def _row(rail: Guardrail, across: Axis, middle: float) -> Iterator[str]:
    colour = _COLOURS[rail.judgement]
    yield f'<path class="grid" d="M{_NAMES} {middle + _ROW / 2:.1f}H{_EFFECTS}" stroke="{GRID}"/>'
    yield label(14, middle + 4, f"{rail.term[:26]}  ({rail.margin})", css="inktext", fill=INK)
    if rail.estimate is None:
        yield label(across.place(0) + 8, middle + 4, "cannot be told")
        return
    ends = [across.place(_in_margins(rail, value)) for value in (rail.low, rail.high, rail.estimate)]
    left, right, spot = min(ends[:2]), max(ends[:2]), ends[2]
    yield f'<path d="M{left:.1f} {middle:.1f}H{right:.1f}" stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'
    if rail.floor is not None and rail.ceiling is not None:
        yield f'<path class="halt" d="M{across.place(-1):.1f} {middle - 12:.1f}v24" stroke="{RED}" stroke-dasharray="5 4"/>'
    yield f'<circle cx="{spot:.1f}" cy="{middle:.1f}" r="5.5" fill="{colour}"/>'
    text = f"{effect(rail, rail.estimate)} ({spread(rail)})"
    yield label(_EFFECTS + 10, middle + 4, text, css="inktext", fill=INK)


def _in_margins(rail: Guardrail, value: float | None) -> float:
    """Where an effect lies: 1 is its margin, and to the right is always worse."""
    if value is None or (rail.relative and value <= 0):
        return _FARTHEST
    bound, sign = (rail.ceiling, 1.0) if rail.ceiling is not None else (rail.floor, -1.0)
    assert bound is not None
    size, whole = (math.log(value), math.log(bound)) if rail.relative else (value, bound)
    return float(np.clip(sign * size / abs(whole), -_FARTHEST, _FARTHEST))


def _levels(up: Axis) -> Iterator[str]:
    for value, text in up.ticks:
        spot = up.place(value)
        yield f'<path class="grid" d="M{LEFT} {spot:.1f}H{RIGHT}" stroke="{GRID}"/>'
        yield label(LEFT - 8, spot + 4, text, anchor="end")


def _legend(names: tuple[str, str]) -> Iterator[str]:
    yield _open(LEFT + 6, 14)
    yield label(LEFT + 18, 18, names[0][:40], css="inktext", fill=INK)
    yield _filled(LEFT + 366, 14)
    yield label(LEFT + 378, 18, names[1][:40], css="inktext", fill=INK)


def _open(x: float, y: float) -> str:
    return f'<circle class="c4" cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="none" stroke="{_BASELINE}" stroke-width="2"/>'


def _filled(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{escaped(_VARIANT)}"/>'


def _numbered(count: int) -> range:
    return range(1, count + 1, max(1, math.ceil(count / 24)))
