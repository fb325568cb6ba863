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
    """

    value: float | None
    low: float = -math.inf
    high: float = math.inf
    requests: int = 0
    why: str = ""
    first: int | None = None
    last: int | None = None

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
