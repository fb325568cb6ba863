"""Say a measured value, a limit and a count the way a reader expects them."""

from __future__ import annotations

import math

_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def said(value: float, unit: str) -> str:
    """A value with its unit: `188 ms`, `2.4 %`, `61.2/s`, `230 MiB`."""
    if math.isinf(value):
        return "without end"
    match unit:
        case "seconds":
            return _seconds(value)
        case "share":
            return f"{_short(value * 100)} %"
        case "per second":
            return f"{_short(value)}/s"
        case _ if unit.endswith(" per second"):
            return f"{said(value * 60, unit.removesuffix(' per second'))}/min"
        case "bytes":
            size, name = next(((size, name) for size, name in _BYTES if abs(value) >= size), (1, "B"))
            return f"{_short(value / size)} {name}"
        case "" | "count":
            return _short(value)
        case _:
            return f"{_short(value)} {unit}"


def counted(number: int, noun: str = "request") -> str:
    """`1 request`, `612 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A length of time in words."""
    return said(seconds, "seconds")


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if abs(value) >= 1:
        return f"{_short(value)} s"
    if abs(value) >= 1e-3:
        return f"{_short(value * 1e3)} ms"
    return f"{_short(value * 1e6)} µs"


def _short(value: float) -> str:
    """Three digits that matter, no exponent; what is next to nothing is nothing."""
    if abs(value) < 1e-9:
        return "0"
    if value == round(value) and abs(value) < 1e15:
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
