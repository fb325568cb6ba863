"""Confidence intervals of shares, quantiles, means and ratios from requests that are not independent.

Shares and ranks: Korn and Graubard 1998 (exact binomial limits at the effective size, corrected for the degrees of freedom
of the design effect); quantiles: Woodruff 1952; ratios: MOVER, Zou and Donner 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from runner.statistics.design_effect import DesignEffect, effective

Interval = tuple[float, float]

_STEPS = 60  # halvings of a search for a root


def effective_size(requests: float, effect: DesignEffect, confidence: float) -> float:
    """Independent requests that would tell as much, also after the doubt about the effect itself."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - slow to import, and only intervals need it

    size = effective(requests, effect)
    if math.isinf(effect.freedom):
        return size
    tail = (1 + confidence) / 2
    return size * float(ndtri(tail) / stdtrit(effect.freedom, tail)) ** 2


def of_share(bad: float, requests: float, effect: DesignEffect, confidence: float) -> Interval:
    """Of a share of bad ones. Of none (or nothing but bad ones) all doubt is on one side."""
    from scipy.special import betaincinv  # noqa: PLC0415 - slow to import, and only intervals need it

    size = effective_size(requests, effect, confidence)
    hits, doubt = size * bad / requests, 1 - confidence
    tail = doubt / 2 if 0 < bad < requests else doubt
    low = float(betaincinv(hits, size - hits + 1, tail)) if bad > 0 else 0.0
    high = float(betaincinv(hits + 1, size - hits, 1 - tail)) if bad < requests else 1.0
    return low, high


def ranks_from_top(
    q: float, requests: int, effect: DesignEffect, confidence: float
) -> tuple[int, int | None]:
    """Ranks from the greatest down, between which the quantile *q* lies: of its low end, of its high end.

    None: it may be greater than all that was seen. A low end beyond *requests* means smaller than all that was seen.
    """
    size, above, tail = effective_size(requests, effect, confidence), 1 - q, (1 - confidence) / 2
    most = _root(lambda hits: 1 - _at_most(hits - 1, size, above), tail, size, falling=True)
    low = max(1, math.ceil(most / size * requests - 1e-9))
    if _at_most(0.0, size, above) > tail:
        return low, None
    least = _root(lambda hits: _at_most(hits, size, above), tail, size, falling=False)
    return low, math.floor(least / size * requests + 1e-9) + 1


def of_mean(mean: float, deviation: float, freedom: float, confidence: float) -> Interval:
    """Of a mean with the standard *deviation* of its estimate. Nothing measured here is below zero."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - slow to import, and only intervals need it

    tail = (1 + confidence) / 2
    wide = deviation * float(ndtri(tail) if math.isinf(freedom) else stdtrit(freedom, tail))
    return max(0.0, mean - wide), mean + wide


def of_ratio(one: float, its: Interval, other: float, others: Interval) -> Interval:
    """Of one / other, from their own intervals. Where a value or an end is zero, by the ends alone."""
    (low, high), (under, over) = its, others
    if min(one, low, other, under) <= 0 or math.isinf(high) or math.isinf(over):
        least = low / over if over > 0 and not math.isinf(over) else 0.0
        return least, (high / under if under > 0 else math.inf)
    middle = math.log(one / other)
    down = math.hypot(math.log(one / low), math.log(over / other))
    up = math.hypot(math.log(high / one), math.log(other / under))
    return math.exp(middle - down), math.exp(middle + up)


def _at_most(hits: float, size: float, share: float) -> float:
    """The chance of no more than *hits* in *size* trials, both of which may be broken numbers."""
    from scipy.special import betainc  # noqa: PLC0415 - slow to import, and only intervals need it

    if hits < 0:
        return 0.0
    return float(betainc(size - hits, hits + 1, 1 - share)) if hits < size else 1.0


def _root(chance: Callable[[float], float], tail: float, size: float, *, falling: bool) -> float:
    low, high = 0.0, size + 1
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (chance(middle) > tail) == falling:
            low = middle
        else:
            high = middle
    return (low + high) / 2
