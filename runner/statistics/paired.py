"""Pairs of trials, or of segments of one run: is the second of each worse by no more than a margin?

A pair is one number: log(variant / baseline), or variant - baseline. Trials are the unit, never requests: what differs
from run to run is in the spread of the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from runner.statistics.frames import Real

Judgement = Literal["pass", "fail", "inconclusive"]
ALPHA = 0.05  # of each one-sided test
POWER = 0.8  # that the pairs still needed are counted for
MOST_PAIRS = 500
_EXACT = 13  # pairs up to which every permutation is tried
_RANDOM = 9_999  # permutations beyond that


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean of the pairs' numbers, its two-sided 95 % interval, and what each one-sided 95 % bound says."""

    pairs: int
    estimate: float
    low: float
    high: float
    least: float  # with 95 % confidence it is no less
    most: float  # with 95 % confidence it is no more
    spread: float  # standard deviation of one pair


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pairs come to against bounds. *p*: of the t test.

    *needed*: pairs more for a decision, were the truth what it looks like; None where no number of them is likely to do.
    """

    judgement: Judgement
    p: float
    needed: int | None = None


def interval(numbers: Sequence[float]) -> Interval:
    """Student's t over the pairs. One pair has no interval: it is without end."""
    d = np.asarray(numbers, dtype=np.float64)
    mean = float(d.mean())
    if len(d) < 2:
        return Interval(len(d), mean, -math.inf, math.inf, -math.inf, math.inf, math.nan)
    spread = float(d.std(ddof=1))
    error = spread / math.sqrt(len(d))
    wide, half = (float(stats.t.ppf(q, len(d) - 1)) * error for q in (1 - ALPHA / 2, 1 - ALPHA))
    return Interval(len(d), mean, mean - wide, mean + wide, mean - half, mean + half, spread)


def decide(
    numbers: Sequence[float], *, floor: float | None, ceiling: float | None, known: Interval | None = None
) -> Decision:
    """Non-inferiority against one bound, equivalence (TOST) against both: pass, fail or not yet known.

    *known*: an interval to judge by instead of the pairs' own, where it says more truly what is not known.
    """
    seen = known or interval(numbers)
    d = np.asarray(numbers, dtype=np.float64)
    sides = [(seen.most, seen.least, ceiling, d - ceiling)] if ceiling is not None else []
    sides += [(-seen.least, -seen.most, -floor, floor - d)] if floor is not None else []
    passes = all(most < bound for most, _, bound, _ in sides)
    fails = any(least > bound for _, least, bound, _ in sides)
    judgement: Judgement = "pass" if passes else "fail" if fails else "inconclusive"
    return Decision(
        judgement,
        max(_t_below_zero(beyond) for _, _, _, beyond in sides),
        None if judgement != "inconclusive" else _needed(seen, floor=floor, ceiling=ceiling),
    )


def exact(numbers: Sequence[float], *, floor: float | None, ceiling: float | None) -> float | None:
    """Flip the signs of the pairs in every way: how often is their mean as far on the good side as it was?

    The worse p of the bounds given; None where there are too few pairs to tell anything.
    """
    d = np.asarray(numbers, dtype=np.float64)
    if 2.0 ** -len(d) >= ALPHA:
        return None
    sides = [d - ceiling] if ceiling is not None else []
    sides += [floor - d] if floor is not None else []
    tests = [
        stats.permutation_test(
            (beyond,),
            lambda one, axis: one.mean(axis=axis),
            permutation_type="samples",
            alternative="less",
            vectorized=True,
            n_resamples=math.inf if len(d) <= _EXACT else _RANDOM,
            random_state=0,
        ).pvalue
        for beyond in sides
    ]
    return float(max(tests))


def power(*, spread: float, distance: float, pairs: int, alpha: float = ALPHA) -> float:
    """How likely *pairs* pairs show a true value *distance* away from its bound to be so."""
    if pairs < 2:
        return 0.0
    return _power(error=spread / math.sqrt(pairs), distance=distance, freedom=pairs - 1, alpha=alpha)


def pairs_for(*, spread: float, distance: float, alpha: float = ALPHA, chance: float = POWER) -> int | None:
    """The fewest pairs with that *chance*; None where MOST_PAIRS do not suffice."""
    if power(spread=spread, distance=distance, pairs=MOST_PAIRS, alpha=alpha) < chance:
        return None
    low, high = 2, MOST_PAIRS
    while low < high:
        middle = (low + high) // 2
        if power(spread=spread, distance=distance, pairs=middle, alpha=alpha) >= chance:
            high = middle
        else:
            low = middle + 1
    return low


def detectable(*, error: float, freedom: int, chance: float = POWER) -> float:
    """The smallest true distance that an estimate with that standard error shows with that *chance*."""
    low, high = 0.0, 1000 * error
    for _ in range(60):
        middle = (low + high) / 2
        if _power(error=error, distance=middle, freedom=freedom, alpha=ALPHA) >= chance:
            high = middle
        else:
            low = middle
    return high


def differs(numbers: Sequence[float]) -> float:
    """The two-sided p of no difference at all, for what nobody set a margin for."""
    d = np.asarray(numbers, dtype=np.float64)
    if len(d) < 2:
        return 1.0
    if d.std() == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(_t(d)), len(d) - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust for having looked at all of them (Holm 1979). Guardrails that must all pass need no such thing."""
    adjusted, worst = [1.0] * len(ps), 0.0
    for rank, place in enumerate(np.argsort(ps)):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = worst
    return adjusted


def shares(
    bad: tuple[Sequence[int], Sequence[int]], total: tuple[Sequence[int], Sequence[int]]
) -> tuple[float, float, float, float] | None:
    """What counting alone leaves unknown of a difference of shares, trials pooled: low, high, least, most.

    Newcombe's hybrid score interval (1998): it has a width without any event too. Counts are divided by how much more
    they vary from trial to trial than chance makes them. None where nothing was counted.
    """
    n = [sum(one) for one in total]
    if not all(n):
        return None
    share = [sum(one) / size for one, size in zip(bad, n, strict=True)]
    excess = _dispersion(bad, total)
    wide, half = (
        _newcombe(share, [size / excess for size in n], float(stats.norm.ppf(q)))
        for q in (1 - ALPHA / 2, 1 - ALPHA)
    )
    return (*wide, *half)


def _dispersion(
    bad: tuple[Sequence[int], Sequence[int]], total: tuple[Sequence[int], Sequence[int]]
) -> float:
    """Pearson's chi-square over its degrees of freedom, over both arms; never below 1."""
    chi, freedom = 0.0, 0
    for events, sizes in zip(bad, total, strict=True):
        share = sum(events) / sum(sizes)
        if not 0 < share < 1 or len(events) < 2:
            continue
        expected = np.asarray(sizes, dtype=np.float64) * share
        chi += float(((np.asarray(events) - expected) ** 2 / (expected * (1 - share))).sum())
        freedom += len(events) - 1
    return max(1.0, chi / freedom) if freedom else 1.0


def _newcombe(share: list[float], n: list[float], z: float) -> tuple[float, float]:
    (low_b, high_b), (low_v, high_v) = (_wilson(p, size, z) for p, size in zip(share, n, strict=True))
    base, variant = share
    difference = variant - base
    low = difference - math.hypot(variant - low_v, high_b - base)
    return low, difference + math.hypot(high_v - variant, base - low_b)


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _t_below_zero(beyond: Real) -> float:
    if len(beyond) < 2:
        return 1.0
    if beyond.std() == 0:
        return 0.0 if beyond.mean() < 0 else 1.0
    return float(stats.t.cdf(_t(beyond), len(beyond) - 1))


def _t(d: Real) -> float:
    return float(d.mean() / d.std(ddof=1) * math.sqrt(len(d)))


def _power(*, error: float, distance: float, freedom: int, alpha: float) -> float:
    """Of the one-sided t test, by the noncentral t distribution."""
    if distance <= 0:
        return 0.0
    if error == 0:
        return 1.0
    critical = stats.t.ppf(1 - alpha, freedom)
    return float(stats.nct.sf(critical, freedom, distance / error))


def _needed(seen: Interval, *, floor: float | None, ceiling: float | None) -> int | None:
    if math.isnan(seen.spread):
        return None
    rooms = [bound - seen.estimate for bound in (ceiling,) if bound is not None]
    rooms += [seen.estimate - bound for bound in (floor,) if bound is not None]
    distance = abs(min(rooms))
    found = pairs_for(spread=seen.spread, distance=distance)
    if found is None:
        return None
    by_width = seen.pairs * ((seen.most - seen.least) / 2 / distance) ** 2  # where counting widened it
    return max(1, max(found, math.ceil(by_width)) - seen.pairs)
