"""A figure as a value: lines over time with limits, thinned to what a picture can show."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runner.report.marks import Marks
from runner.report.series import Numbers
from runner.report.words import NO_DATA, UNEXPLAINED, change, clock, quantity
from runner.verdict.record import Change

MOST_BUCKETS = 1_000  # of a line in a picture; each keeps its lowest and highest point
_ALL_BUCKETS = 9_000  # of all lines of a page together
MOST_ROWS = 60  # of the table behind a figure

Fold = Literal["max", "mean"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. *colour* numbers the palette; *at* in seconds since the anchor, nan in *values* is no data."""

    name: str
    at: Numbers
    values: Numbers
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of an assertion, over the window it is about (None: the whole figure)."""

    text: str
    value: float
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """What a figure shows. *fold*: how a table row sums up many points. *changes*: moments at which its level changed."""

    name: str  # unique in the page, fit for an id
    title: str
    unit: str
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()
    note: str = ""
    fold: Fold = "max"
    log: bool = False  # values are powers: on a logarithmic axis, whatever they are
    changes: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not any(np.isfinite(line.values).any() for line in self.lines)


def thin(at: Numbers, values: Numbers, buckets: int) -> tuple[Numbers, Numbers]:
    """Keep the lowest and the highest point of each of at most *buckets* stretches; a stretch of gaps stays one."""
    size = len(at)
    if size <= 2 * buckets:
        return at, values
    edges = np.linspace(0, size, buckets + 1).astype(np.int64)
    kept: list[int] = []
    for low, high in itertools.pairwise(edges.tolist()):
        piece = values[low:high]
        if not np.isfinite(piece).any():
            kept.append(int(low))
            continue
        lowest, highest = int(low + np.nanargmin(piece)), int(low + np.nanargmax(piece))
        kept += sorted({lowest, highest})
    chosen = np.array(kept, dtype=np.int64)
    return at[chosen], values[chosen]


def buckets_for(figures: tuple[Figure, ...]) -> int:
    """How many buckets a line may have, so that a page of many lines stays small."""
    lines = sum(len(figure.lines) for figure in figures)
    return min(MOST_BUCKETS, max(50, _ALL_BUCKETS // max(1, lines)))


def described(figure: Figure, marks: Marks) -> str:
    """Say the figure in words, for those who do not see it."""
    said = [_line(line, figure.unit, marks.zero) for line in figure.lines[:8]]
    said += [f"Limit {limit.text}: {quantity(limit.value, figure.unit)}." for limit in figure.limits[:8]]
    for band in marks.bands[:8]:
        until = "its end is not on record" if band.open else clock(band.end, marks.zero)
        said.append(f"Fault {band.name} from {clock(band.start, marks.zero)} to {until}.")
    said += [
        f"{change(one)} at {clock(one.at, marks.zero)}: {one.cause or UNEXPLAINED}."
        for one in figure.changes[:8]
    ]
    said += [f"Halt at {clock(halt.at, marks.zero)}." for halt in marks.halts[:1]]
    return " ".join(said) or NO_DATA


def rows(figure: Figure, marks: Marks) -> tuple[float, list[list[str]]]:
    """Sum the figure up in at most MOST_ROWS rows: time, what went on, each line's worst (or mean).

    Returns the seconds a row stands for, too.
    """
    step = _row_step(marks.end - marks.start, at_least=max(map(_spacing, figure.lines), default=0.0))
    moments = np.arange(np.floor((marks.start - marks.zero) / step), (marks.end - marks.zero) / step) * step
    told: list[list[str]] = []
    for moment in moments:
        low, high = moment + marks.zero, moment + marks.zero + step
        cells = [_folded(line, low, high, figure.fold) for line in figure.lines]
        middle = (max(low, marks.start) + min(high, marks.end)) / 2
        told.append(
            [clock(low, marks.zero), marks.during(middle), *(quantity(cell, figure.unit) for cell in cells)]
        )
    return step, told


def _row_step(seconds: float, *, at_least: float) -> float:
    """How long a row is: no finer than the points, or every other row would have none."""
    steps = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 86400.0)
    fit = (step for step in steps if seconds / step <= MOST_ROWS - 1 and step >= at_least - 1e-6)
    return next(fit, steps[-1])


def _spacing(line: Line) -> float:
    return float(np.median(np.diff(line.at))) if len(line.at) > 1 else 0.0


def _folded(line: Line, low: float, high: float, fold: Fold) -> float | None:
    values = line.values[(line.at >= low) & (line.at < high)]
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    return float(values.max() if fold == "max" else values.mean())


def _line(line: Line, unit: str, zero: float) -> str:
    there = np.isfinite(line.values)
    if not there.any():
        return f"{line.name}: {NO_DATA}."
    highest = int(np.nanargmax(np.where(there, line.values, np.nan)))
    low, high = float(line.values[there].min()), float(line.values[highest])
    missing = f" {int((~there).sum())} of {len(there)} points have no data." if not there.all() else ""
    return f"{line.name}: {quantity(low, unit)} to {quantity(high, unit)}, highest at {clock(line.at[highest], zero)}.{missing}"
