"""Numbers as people say them: a value with the unit that fits it."""

from __future__ import annotations

import math
import re

from runner.timeline import EvidenceSeen
from runner.verdict.record import Change, Finding, Outcome, Watched

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
ALIKE = 1.5  # a design effect below this is not worth a word
UNEXPLAINED = "nothing that was done explains it"
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
        case _ if unit.endswith(" per second"):
            return f"{quantity(value * 60, unit.removesuffix(' per second'))}/min"
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
    if size < 1e-9:
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
    """Say a finding's value against its limit: `188 ms (95 %: 184 ms to 191 ms), limit 150 ms`."""
    text = quantity(finding.value, finding.unit)
    if ends := interval(finding):
        text += f" ({ends})"
    return text if finding.limit is None else f"{text}, limit {quantity(finding.limit, finding.unit)}"


def evidence(seen: EvidenceSeen | Watched) -> str:
    """Say how strong the evidence for a halt rule is: `E = 12.4 of 100 needed, by 9 bad of 310 requests`."""
    who = f" of {seen.who}" if seen.who else ""
    return (
        f"E = {power(seen.log10)} of {power(seen.needed)} needed, "
        f"by {digits(seen.bad)} bad of {count(seen.requests, 'request')}{who}"
    )


def power(log10: float) -> str:
    """Say a power of ten as a number: `163`, `1.20e+19`."""
    return digits(10 ** min(300.0, max(-300.0, log10)))


def interval(finding: Finding) -> str:
    """Say the interval that the value lies in: `95 %: 184 ms to 191 ms`; nothing where it is exact."""
    low, high = finding.low, finding.high
    if finding.value is None or low is None or (high is not None and low >= high):
        return ""
    if high is None and finding.confidence is None:
        return ""
    upper = "no upper end" if high is None else quantity(high, finding.unit)
    sure = "" if finding.confidence is None else f"{digits(finding.confidence * 100)} %: "
    return f"{sure}{quantity(low, finding.unit)} to {upper}"


def basis(finding: Finding) -> str:
    """Say what a finding rests on: `600 requests, which tell as much as 130`; nothing where there was none."""
    if not finding.requests:
        return ""
    text = count(finding.requests, "request")
    if finding.effect is None or finding.effect < ALIKE:
        return text
    return f"{text}, which tell as much as {digits(max(1, round(finding.requests / finding.effect)))}"


def change(what: Change) -> str:
    """Say a change of level: `error_rate 0 % to 12 %`."""
    return f"{what.what} {quantity(what.before, what.unit)} to {quantity(what.after, what.unit)}"


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
