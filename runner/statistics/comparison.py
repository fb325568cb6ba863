"""Compare a measured value, or the interval it lies in, with a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runner.assertions import Operator

Standing = Literal["held", "broken", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with the interval it is known to lie in; *value* None, with *why*, where nothing is known.

    *first* and *last* (exclusive), in slots, are the stretch that the value comes from, where it is only a part.
    *confidence*: of the interval; 0 where its ends are certain. *known* then are the ends without chance, *effect* is the
    design effect, *seconds* the time that was measured, *wanted* the requests without which it has no upper end.
    """

    value: float | None
    low: float = -math.inf
    high: float = math.inf
    requests: int = 0
    why: str = ""
    first: int | None = None
    last: int | None = None
    confidence: float = 0.0
    effect: float = 1.0
    known: tuple[float, float] | None = None
    seconds: float = 0.0
    wanted: int = 0

    @property
    def exact(self) -> bool:
        return self.low == self.high


def exactly(
    value: float, *, requests: int = 0, first: int | None = None, last: int | None = None
) -> Measured:
    """A value without doubt about it."""
    return Measured(value, value, value, requests=requests, first=first, last=last)


def nothing(why: str) -> Measured:
    """No data, for a reason."""
    return Measured(None, why=why)


def holds(operator: Operator, value: float, limit: float) -> bool:
    """Whether `value operator limit` is true."""
    match operator:
        case "<":
            return value < limit
        case "<=":
            return value <= limit
        case ">":
            return value > limit
        case ">=":
            return value >= limit
        case "==":
            return value == limit
        case "!=":
            return value != limit


def looks_up(operator: Operator) -> bool:
    """Whether large values are the bad ones: the assertion limits from above."""
    return operator in {"<", "<=", "==", "!="}


def standing(measured: Measured, operator: Operator, limit: float) -> Standing:
    """Judge an interval: held or broken only where both of its ends say so."""
    if measured.value is None:
        return "inconclusive"
    ends = {holds(operator, measured.low, limit), holds(operator, measured.high, limit)}
    if operator in {"==", "!="} and not measured.exact and measured.low <= limit <= measured.high:
        return "inconclusive"
    if len(ends) == 2:
        return "inconclusive"
    return "held" if ends.pop() else "broken"


@dataclass(frozen=True, slots=True)
class Needed:
    """What it would take to tell: more of the same, beyond what was measured."""

    requests: int
    seconds: float


MOST = 1000.0  # times as much as was measured: more is no advice


def needed(measured: Measured, limit: float) -> Needed | None:
    """How much more would tell on which side of *limit* the value is; None where more of the same cannot."""
    value, known = measured.value, measured.known
    if value is None or known is None or known[0] != known[1] or value == limit:
        return None
    end = measured.high if limit > value else measured.low
    times = (
        ((end - value) / (limit - value)) ** 2 if not math.isinf(end) else measured.wanted / measured.requests
    )
    if not 1 < times < MOST:
        return None
    return Needed(math.ceil(measured.requests * (times - 1)), measured.seconds * (times - 1))
