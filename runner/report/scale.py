"""Axes: where values and moments lie in a picture, and which of them get a tick."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runner.report.chart import Figure
from runner.report.marks import Marks
from runner.report.words import quantity

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_LOG_FROM = 25.0  # times the median: from here on a straight axis hides everything but the peak


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps *low*..*high* to pixels *start*..*end*; *ticks* are values with their text."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """Where *value* lies, kept inside the picture."""
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)


def time_axis(marks: Marks, start: float, end: float) -> Axis:
    """The axis of time, ticks counted from t = 0."""
    low, high = marks.start, max(marks.end, marks.start + 0.1)
    step = next((step for step in _STEPS if (high - low) / step <= 11), _STEPS[-1])
    first = math.ceil((low - marks.zero) / step - 1e-9)
    last = math.floor((high - marks.zero) / step + 1e-9)
    ticks = tuple((marks.zero + number * step, _moment(number * step)) for number in range(first, last + 1))
    return Axis(low, high, start, end, ticks=ticks)


def value_axis(figure: Figure, start: float, end: float) -> Axis:
    """The axis of values: from 0, or logarithmic where the peak is far from the middle."""
    values = np.concatenate([line.values for line in figure.lines] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    peak = float(values.max()) if len(values) else 0.0
    least = float(values[values > 0].min()) if (values > 0).any() else 0.0
    median = float(np.median(values[values > 0])) if least else 0.0
    log = figure.log or (figure.unit == "seconds" and least > 0 and peak > _LOG_FROM * median)
    reach = math.inf if figure.log else 10.0 if log else 2.5
    high = max([peak, *(limit.value for limit in figure.limits if limit.value <= reach * peak)], default=0.0)
    if high <= 0:
        high = max([limit.value for limit in figure.limits], default=0.0) or (
            0.01 if figure.unit == "share" else 1.0
        )
    if log:
        return _log_axis(least, high, figure.unit, (start, end))
    step = nice_step(high * 1.05 / 4)
    top = step * math.ceil(high * 1.05 / step - 1e-9)
    ticks = tuple(
        (number * step, quantity(number * step, figure.unit)) for number in range(round(top / step) + 1)
    )
    return Axis(0.0, top, start, end, ticks=ticks)


def nice_step(rough: float) -> float:
    """Round up to 1, 2, 2.5 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough - 1e-12 * power)


def _log_axis(least: float, high: float, unit: str, pixels: tuple[float, float]) -> Axis:
    low = 10 ** math.floor(math.log10(least))
    top = 10 ** math.ceil(math.log10(high * 1.02))
    decades = round(math.log10(top / low))
    factors = (1, 2, 5) if decades <= 2 else (1,)
    ticks = [low * 10**decade * factor for decade in range(decades) for factor in factors] + [top]
    return Axis(low, top, *pixels, log=True, ticks=tuple((tick, quantity(tick, unit)) for tick in ticks))


def _moment(seconds: float) -> str:
    size, sign = abs(seconds), "\N{MINUS SIGN}" if seconds < 0 else ""
    if size < 60 or size % 60:
        whole = f"{size:.1f}".rstrip("0").rstrip(".")
        return f"{sign}{whole} s"
    return f"{sign}{size / 60:.0f} min" if size < 7200 or size % 3600 else f"{sign}{size / 3600:.0f} h"
