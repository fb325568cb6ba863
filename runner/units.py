"""Quantities with their units, parsed once: durations, rates, shares, sizes, cores."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec


class Quantity(msgspec.Struct, frozen=True):
    """What kind of number an annotated field holds; the reader of YAML looks for it."""

    kind: str


Duration = Annotated[float, Quantity("duration")]  # seconds
Rate = Annotated[float, Quantity("rate")]  # per second
Share = Annotated[float, Quantity("share")]  # 0.2 is 20 %
Size = Annotated[int, Quantity("size")]  # bytes
Bandwidth = Annotated[float, Quantity("bandwidth")]  # bytes per second
Cores = Annotated[float, Quantity("cores")]

EXAMPLES = {
    "duration": "80ms",
    "rate": "60/s",
    "share": "20%",
    "size": "256MiB",
    "bandwidth": "1MB/s",
    "cores": "0.5 cores",
    "count": "3",
    "money": "0.90 USD",
}

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_BARE = re.compile(_NUMBER)
_VALUE = re.compile(rf"({_NUMBER})\s*([^\s0-9.,+-].*)", re.DOTALL)
_STEP = re.compile(rf"({_NUMBER})(ms|us|µs|μs|s|m|h|d)")

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
_ORDER = ("d", "h", "m", "s", "ms", "us")
_PER = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}
_BYTES = {"B": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate(("k", "M", "G", "T"), start=1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
_BYTES["KiB"] = 1024
_BITS = {"bit": 0.125, "kbit": 125.0, "Mbit": 125e3, "Gbit": 125e6}
_LONGEST_MINUTES = 100  # 500m is meant as 500ms (or as half a core) far more often than as 500 minutes


class QuantityError(ValueError):
    """A text is no quantity of the kind asked for; the message says what to write."""


def parse(kind: str, text: str, *, likely: str = "") -> float:
    """Read *text* as a quantity of *kind* in base units. *likely* is the unit proposed to a bare number."""
    text = text.strip()
    if _BARE.fullmatch(text) and kind != "count":
        raise QuantityError(f'"{text}" has no unit; write {_with_unit(kind, text, likely)}')
    return _PARSERS[kind](text)


def parse_size(text: str) -> int:
    """Read a size in whole bytes."""
    return round(parse("size", text))


def kind_of(text: str) -> str:
    """Tell what kind of quantity *text* is by its unit alone. Raises QuantityError."""
    text = text.strip()
    if _BARE.fullmatch(text):
        return "count"
    for kind in ("share", "bandwidth", "rate", "cores", "size", "duration", "money", *_SLOPES):
        try:
            parse(kind, text)
        except QuantityError:
            continue
        return kind
    raise QuantityError(_strange(text))


def written(kind: str, value: float) -> str:
    """Write a quantity the way a scenario spells it; `parse` reads it back."""
    match kind:
        case "duration":
            return _duration_written(value)
        case "rate":
            return f"{_plain(value)}/s"
        case "share":
            return f"{_plain(value * 100)}%"
        case "size":
            return _size_written(value)
        case "bandwidth":
            return f"{_size_written(value)}/s"
        case "cores":
            return f"{_plain(value)} cores"
        case _ if kind in _SLOPES:
            return f"{written(_SLOPES[kind], value * 60)}/min"
        case _:
            return _plain(value)


def _with_unit(kind: str, text: str, likely: str) -> str:
    if kind == "share" and "." in text and float(text) <= 1:
        return f"{_plain(float(text) * 100)}%"
    return f"{text}{likely or _LIKELY[kind]}"


def _strange(text: str) -> str:
    """Say what is wrong with a text that no kind reads."""
    for kind in ("size", "cores", "duration"):
        hint = _spelling(kind, text)
        if hint:
            return f'"{text}" is no value; write {hint}'
    known = ", ".join(EXAMPLES.values())
    return f'"{text}" is no value with a unit; values look like {known}'


def _refuse(kind: str, text: str) -> QuantityError:
    if not text:
        return QuantityError(f"is empty; write a {_NOUNS.get(kind, kind)} such as {EXAMPLES[kind]}")
    hint = _spelling(kind, text)
    return QuantityError(
        f'"{text}" is not a {_NOUNS.get(kind, kind)}; write {hint or "it like " + EXAMPLES[kind]}'
    )


def _spelling(kind: str, text: str) -> str:
    """Propose what was probably meant, or nothing."""
    if re.fullmatch(r"[0-9]+,[0-9]+\s*\S+", text):
        return text.replace(",", ".")
    found = _VALUE.fullmatch(text)
    if not found:
        return ""
    number, unit = found[1], found[2].strip()
    short = _ALIASES.get(kind, {}).get(unit.lower())
    if kind == "size" and unit in _SIZE_SLIPS:
        return " or ".join(f"{number}{right}" for right in _SIZE_SLIPS[unit])
    if kind == "cores" and unit == "m":
        return f"{_plain(float(number) / 1000)} cores"
    return f"{number}{short}" if short else ""


def _duration(text: str) -> float:
    compact, seconds, position, last = text.replace(" ", ""), 0.0, 0, -1
    while position < len(compact):
        step = _STEP.match(compact, position)
        rank = _ORDER.index(step[2].replace("µ", "u").replace("μ", "u")) if step else -1
        if step is None or rank <= last:
            raise _refuse("duration", text)
        seconds += float(step[1]) * _SECONDS[step[2]]
        position, last = step.end(), rank
    if position == 0:
        raise _refuse("duration", text)
    only = re.fullmatch(r"([0-9]+)m", compact)
    if only and int(only[1]) > _LONGEST_MINUTES:
        right = _duration_written(seconds)
        raise QuantityError(
            f'"{text}" would be {only[1]} minutes; write {only[1]}ms, or {right} if you mean that'
        )
    return seconds


def _rate(text: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*/\s*([a-z]+)", text)
    if not found or found[2] not in _PER:
        raise _refuse("rate", text)
    return float(found[1]) / _PER[found[2]]


def _share(text: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*%", text)
    if not found:
        raise _refuse("share", text)
    return float(found[1]) / 100


def _size(text: str) -> float:
    found = _VALUE.fullmatch(text)
    if not found or found[2] not in _BYTES:
        raise _refuse("size", text)
    return float(round(float(found[1]) * _BYTES[found[2]]))


def _bandwidth(text: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*([A-Za-z]+)/s", text)
    unit = found[2] if found else ""
    if not found or unit not in _BYTES | _BITS:
        raise _refuse("bandwidth", text)
    return float(found[1]) * (_BITS[unit] if unit in _BITS else _BYTES[unit])


def _cores(text: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*cores?", text)
    if not found:
        raise _refuse("cores", text)
    return float(found[1])


def _count(text: str) -> float:
    if not _BARE.fullmatch(text):
        raise QuantityError(f'"{text}" is not a count; write a plain number, such as {EXAMPLES["count"]}')
    return float(text)


def _slope(kind: str, text: str) -> float:
    """A change in time, `1MiB/min`: of that kind, per second."""
    amount, _, unit = text.rpartition("/")
    try:
        return parse(kind, amount) / _PER[unit.strip()]
    except (QuantityError, KeyError):
        example = f"{EXAMPLES[kind]}/min"
        raise QuantityError(f'"{text}" is no change in time; write it like {example}') from None


def _money(text: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*[A-Z]{{3}}", text)
    if not found:
        raise _refuse("money", text)
    return float(found[1])


def _duration_written(seconds: float) -> str:
    if seconds < 60:
        for unit, size in (("s", 1.0), ("ms", 1e-3)):
            if seconds >= size:
                return f"{_plain(seconds / size)}{unit}"
        return f"{_plain(seconds / 1e-6)}us" if seconds else "0s"
    parts, left = "", seconds
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        whole, left = divmod(left, size)
        parts += f"{int(whole)}{unit}" if whole else ""
    return parts + (f"{_plain(left)}s" if round(left, 9) else "")


def _size_written(size: float) -> str:
    for base, units in ((1024, ("GiB", "MiB", "KiB")), (1000, ("GB", "MB", "kB"))):
        for power, unit in zip((3, 2, 1), units, strict=True):
            if size >= base**power and size % (base**power) == 0:
                return f"{_plain(size / base**power)}{unit}"
    return f"{_plain(size)}B"


def _plain(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


_SLOPES = {f"{kind} per time": kind for kind in ("size", "share", "count", "duration")}
_LIKELY = {
    "duration": "s", "rate": "/s", "share": "%", "size": "MiB", "bandwidth": "MB/s", "cores": " cores", "money": " USD",
} | {slope: f"{unit}/min" for slope, unit in zip(_SLOPES, ("MiB", "%", "", "ms"), strict=True)}  # fmt: skip
_NOUNS = {"cores": "number of cores", "money": "price"}
_SIZE_SLIPS = {
    "Ki": ("KiB",), "Mi": ("MiB",), "Gi": ("GiB",), "Ti": ("TiB",),
    "K": ("KiB", "kB"), "k": ("KiB", "kB"), "M": ("MiB", "MB"), "G": ("GiB", "GB"), "m": ("MiB", "MB"),
    "KB": ("kB",), "mb": ("MB",), "MIB": ("MiB",), "mib": ("MiB",), "gb": ("GB",), "kb": ("kB",), "b": ("B",),
}  # fmt: skip
_ALIASES: dict[str, dict[str, str]] = {
    "duration": {
        "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "millis": "ms", "milliseconds": "ms",
        "min": "m", "mins": "m", "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "hr": "h", "days": "d",
    },
    "rate": {"rps": "/s", "r/s": "/s", "req/s": "/s", "qps": "/s", "hz": "/s", "per second": "/s", "requests/s": "/s"},
    "share": {"percent": "%", "pct": "%", "percentage": "%"},
    "bandwidth": {"mbps": "Mbit/s", "kbps": "kbit/s", "gbps": "Gbit/s", "mb": "MB/s", "kb": "kB/s", "mbit": "Mbit/s"},
    "cores": {"cpu": " cores", "cpus": " cores", "vcpu": " cores", "core": " cores"},
}  # fmt: skip
_PARSERS: dict[str, Callable[[str], float]] = {
    "duration": _duration,
    "rate": _rate,
    "share": _share,
    "size": _size,
    "bandwidth": _bandwidth,
    "cores": _cores,
    "count": _count,
    "money": _money,
    **{slope: partial(_slope, kind) for slope, kind in _SLOPES.items()},
}
