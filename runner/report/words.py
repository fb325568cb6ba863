"""Numbers as people say them: a value with the unit that fits it."""

from __future__ import annotations

import math
import re

from runner.verdict.record import Finding, Outcome

NO_DATA = "no data"

OUTCOME_WORDS = {
    Outcome.PASSED: "Passed",
    Outcome.FAILED: "Failed",
    Outcome.INCONCLUSIVE: "Inconclusive",
    Outcome.HALTED: "Halted",
    Outcome.DIRTY: "Dirty",
    Outcome.DEFECT: "Defect",
    Outcome.REFUSED: "Refused",
}
OUTCOME_MEANINGS = {
    Outcome.PASSED: "every assertion held",
    Outcome.FAILED: "an assertion is broken",
    Outcome.INCONCLUSIVE: "the evidence does not suffice to say",
    Outcome.HALTED: "the brake was pulled; everything is undone",
    Outcome.DIRTY: "something is not as it was before the run",
    Outcome.DEFECT: "Squall itself went wrong; everything is undone",
    Outcome.REFUSED: "the run did not start; nothing was touched",
}
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
FINDING_WORDS = {"held": "held", "broken": "broken", "inconclusive": "cannot tell"}


def quantity(value: float | None, unit: str = "") -> str:
    """Say a value in base units: `188 ms`, `1.25 %`, `60/s`, `256 MiB`."""
    if value is None or math.isnan(value):
        return NO_DATA
    if math.isinf(value):
        return "endless" if value > 0 else "-endless"
    match unit:
        case "seconds":
            return _seconds(value)
        case "share":
            return f"{digits(value * 100)} %"
        case "per second":
            return f"{digits(value)}/s"
        case "bytes":
            return _bytes(value)
        case _:
            return digits(value) if unit in ("", "count") else f"{digits(value)} {unit}"


def clock(seconds: float | None, zero: float | None = 0.0) -> str:
    """Say a moment relative to t = 0: `+12.3 s`, `-8.0 s`, `+5 min 02 s`."""
    if seconds is None:
        return "never"
    moment = seconds - (zero or 0.0)
    sign, size = "-" if moment < -0.05 else "+", abs(moment)
    return f"{sign}{size:.1f} s" if size < 120 else f"{sign}{span(size)}"


def moment(started: str) -> str:
    """Say an ISO 8601 time of UTC as people read it: `2026-11-22 15:00:56 UTC`; anything else as it is."""
    found = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)$", started)
    return f"{found[1]} {found[2]} UTC" if found else started


def span(seconds: float) -> str:
    """Say a length of time: `42 s`, `5 min 02 s`, `1 h 00 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def digits(value: float) -> str:
    """Write three significant digits, large ones with their letter: `1.25 M`."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e15 or size < 1e-4:
        return f"{value:.2e}"
    if size >= 1e6:
        power, letter = next((power, letter) for power, letter in _LARGE if size >= power)
        return f"{digits(value / power)} {letter}"
    if size >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    places = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int, one: str, many: str = "") -> str:
    """Say how many: `1 request`, `12 requests`."""
    return f"{digits(number)} {one if number == 1 else many or one + 's'}"


def measured(finding: Finding) -> str:
    """Say a finding's value against its limit: `188 ms (184 ms to 191 ms), limit 150 ms`."""
    text = quantity(finding.value, finding.unit)
    if (
        finding.value is not None
        and finding.low is not None
        and finding.high is not None
        and finding.low < finding.high
    ):
        text += f" ({quantity(finding.low, finding.unit)} to {quantity(finding.high, finding.unit)})"
    return text if finding.limit is None else f"{text}, limit {quantity(finding.limit, finding.unit)}"


def _seconds(value: float) -> str:
    size = abs(value)
    if size >= 120:
        return span(value)
    if size >= 1 or size == 0:
        return f"{digits(value)} s"
    return f"{digits(value * 1000)} ms" if size >= 1e-3 else f"{digits(value * 1e6)} µs"


def _bytes(value: float) -> str:
    size, unit = value, "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            break
        size, unit = size / 1024, bigger
    return f"{digits(size)} {unit}"
