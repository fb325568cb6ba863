"""What so many requests will be able to tell, before a single one is made: the verdict's own intervals, read forward.

A share of bad requests is held under a limit when the whole interval about what was seen lies under it. So for n requests
there is a greatest number of bad ones with which it is still held, a least one from which it is broken, and, by the binomial
distribution of n / design effect requests, the true shares that come out so in four of five runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special

from runner.load.frames import SLOT
from runner.statistics.design_effect import FEWEST, DesignEffect
from runner.statistics.intervals import of_share, ranks_from_top

POWER = 0.8  # of the runs
MOST = 1 << 30  # requests: more is said to be out of reach
_BLOCKS = (768, 384, 192, 96, 48, 24, 12, FEWEST)
_APART = 3.0  # correlation times in a block that hardly depends on the next


@dataclass(frozen=True, slots=True)
class Noise:
    """How requests cluster: the design *effect*, and for how many seconds fates stay alike (*correlation*)."""

    effect: float = 1.0
    correlation: float = 0.0

    def within(self, seconds: float) -> DesignEffect:
        """The design effect as a verdict will know it after so long: it rests on that many blocks."""
        shortest = max(SLOT, _APART * self.correlation)
        blocks = next((count for count in _BLOCKS if seconds / count >= shortest), FEWEST)
        return DesignEffect(self.effect, self.effect, self.correlation, blocks)


@dataclass(frozen=True, slots=True)
class Asked:
    """A share of bad requests that is compared with *limit*. *ranked*: as the order statistic of a quantile."""

    limit: float
    ranked: bool
    confidence: float
    noise: Noise = Noise()


@dataclass(frozen=True, slots=True)
class Reach:
    """What *requests* can tell. None: nothing that could be seen would suffice.

    *under*, *over*: the greatest number of bad ones that shows the share under its limit, the least that shows it over.
    *shows*, *finds*: the true shares up to which, and from which, that is seen in four of five runs.
    """

    requests: int
    under: int | None = None
    over: int | None = None
    shows: float | None = None
    finds: float | None = None


def reach(asked: Asked, requests: float, seconds: float) -> Reach:
    """Read the interval of a share, or of a quantile, forward."""
    whole = math.floor(requests + 1e-9)
    if whole < 1:
        return Reach(0)
    effect = asked.noise.within(seconds)
    under, over = (_by_rank if asked.ranked else _by_share)(asked, whole, effect)
    return Reach(
        whole,
        under,
        over,
        None if under is None else _shown(under, whole, asked.noise.effect),
        None if over is None else _found(over, whole, asked.noise.effect),
    )


@functools.cache
def least(asked: Asked, rate: float) -> int | None:
    """The fewest requests that can show a share under its limit at all: none of them is bad."""
    return _fewest(lambda one: one.under is not None, asked, rate)


@functools.cache
def needed(asked: Asked, rate: float) -> int | None:
    """The fewest requests that tell half of the limit from twice of it, each in four of five runs."""
    half, double = asked.limit / 2, min(2 * asked.limit, (1 + asked.limit) / 2)
    return _fewest(
        lambda one: (one.shows or 0.0) >= half and one.finds is not None and one.finds <= double, asked, rate
    )


def ratio_found(
    q: float, requests: tuple[float, float], *, noise: Noise, confidence: float, spread: float
) -> float | None:
    """The relative change of a quantile between two times that is found in four of five runs.

    The standard error of log q is c sqrt(effect / n), c = spread sqrt(q (1 - q)) / phi(z_q), for latencies of a lognormal
    distribution whose logarithm has the standard deviation *spread*.
    """
    if min(requests) < 1:
        return None
    z = float(special.ndtri(q))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    error = (
        spread
        * math.sqrt(q * (1 - q))
        / density
        * math.sqrt(noise.effect * sum(1 / each for each in requests))
    )
    return math.expm1((float(special.ndtri((1 + confidence) / 2)) + float(special.ndtri(POWER))) * error)


def _by_share(asked: Asked, requests: int, effect: DesignEffect) -> tuple[int | None, int | None]:
    def interval(bad: int) -> tuple[float, float]:
        none_to_measure = bad in {0, requests}
        return of_share(bad, requests, DesignEffect() if none_to_measure else effect, asked.confidence)

    not_under = _first(requests, lambda bad: interval(bad)[1] >= asked.limit)
    over = _first(requests, lambda bad: interval(bad)[0] > asked.limit)
    return (not_under - 1 if not_under else None), (over if over <= requests else None)


def _by_rank(asked: Asked, requests: int, effect: DesignEffect) -> tuple[int | None, int | None]:
    low, high = ranks_from_top(1 - asked.limit, requests, effect, asked.confidence)
    return (None if high is None else high - 1), (low if low <= requests else None)


def _shown(under: int, requests: int, effect: float) -> float:
    """The share p with which at most *under* are bad with 80 %: P(X <= k) = 1 - I_p(k + 1, n - k)."""
    bad, total = under / effect, requests / effect
    return float(special.betaincinv(bad + 1, max(total - bad, 1e-9), 1 - POWER))


def _found(over: int, requests: int, effect: float) -> float:
    """The share p with which at least *over* are bad with 80 %: P(X >= k) = I_p(k, n - k + 1)."""
    bad, total = over / effect, requests / effect
    return float(special.betaincinv(bad, total - bad + 1, POWER))


def _fewest(suffices: Callable[[Reach], bool], asked: Asked, rate: float) -> int | None:
    def enough(requests: int) -> bool:
        return suffices(reach(asked, requests, requests / rate))

    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    return high // 2 + 1 + _first(high - high // 2 - 1, lambda more: enough(high // 2 + 1 + more))


def _first(most: int, is_true: Callable[[int], bool]) -> int:
    """The least number of 0 to *most* for which it is true, most + 1 where there is none; once true, it stays so."""
    low, high = 0, most + 1
    while low < high:
        middle = (low + high) // 2
        if is_true(middle):
            high = middle
        else:
            low = middle + 1
    return low
