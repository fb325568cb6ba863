"""How much less than independent requests tell: the design effect of counts that come in clusters.

Requests that follow one another share their fate, so n of them tell what n / effect independent ones would. The
effect is the variance of the sum of bad ones over the variance that independent requests would have (Kish 1965).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from runner.statistics.frames import Real

FEWEST = 6  # blocks that a variance is taken from
_DOUBLINGS = 8  # 6, 12, …, 768 blocks
_STRICT = 0.75  # how many standard errors a longer block must show more, before a shorter one is given up
CHANCE = 0.1  # that the variance is larger than its upper end, unless asked otherwise
_SHARED = 0.05  # correlation of requests within one second, assumed where no bad one shows how they come
_VISIBLE = 1.25  # a smaller excess of long blocks over short ones is mostly chance
_HALF = 1.594  # an exponential correlation has half of its effect in blocks that many correlation times long


@dataclass(frozen=True, slots=True)
class DesignEffect:
    """*value*: 1 where requests are as good as independent. *upper*: exceeded by the truth as seldom as was asked.

    *correlation*: seconds over which fates stay alike (integrated autocorrelation of the part that is no chance); 0 where
    none shows. *blocks*: how many the value rests on; 0 where nothing could be measured.
    """

    value: float = 1.0
    upper: float = 1.0
    correlation: float = 0.0
    blocks: int = 0

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance; without end where it is assumed."""
        return self.blocks - 1 if self.blocks else math.inf


def design_effect(
    bad: Real, total: Real, *, slot: float, levels: Sequence[int] = (), chance: float = CHANCE
) -> DesignEffect:
    """Estimate from counts per slot of *slot* seconds, by the variance of block sums.

    A run shorter than about ten correlation times shows too small an effect, whatever is done; *value* is never below
    1. With no bad request (or no good one) there is nothing to measure: *value* is 1, the least that can be, and
    *upper* assumes a correlation of 5 % within a second. *levels* are slots at which the share of bad ones changed for
    a known cause: a step between them is no noise. *chance*: of a truth above *upper*.
    """
    bad, total = np.asarray(bad, dtype=np.float64), np.asarray(total, dtype=np.float64)
    requests, events = float(total.sum()), float(min(bad.sum(), total.sum() - bad.sum()))
    if len(total) < FEWEST or events <= 0:
        return DesignEffect(upper=_assumed(requests, len(total) * slot))
    excess, within = np.array(bad), 0.0
    edges = [0, *sorted({level for level in levels if 0 < level < len(total)}), len(total)]
    for first, last in itertools.pairwise(edges):
        size = max(float(total[first:last].sum()), 1e-12)
        share = float(bad[first:last].sum()) / size
        excess[first:last] -= share * total[first:last]
        within += size * share * (1 - share)
    alone = requests * (events / requests) * (1 - events / requests)
    if within <= 0:
        return DesignEffect(upper=_assumed(requests, len(total) * slot))
    found = clustering(excess, within, events=events, slot=slot, levels=len(edges) - 1, chance=chance)
    scale = within / alone
    return DesignEffect(
        max(1.0, found.value * scale), max(1.0, found.upper * scale), found.correlation, found.blocks
    )


def clustering(
    excess: Real, variance: float, *, events: float, slot: float, levels: int = 1, chance: float = CHANCE
) -> DesignEffect:
    """Compare the variance of the sum of *excess* (per slot, around its *levels*) with *variance*, of independent ones.

    Blocks are halved for as long as longer ones do not show a clearly larger variance; what is missing to endless blocks
    is extrapolated from twice as many (lugsail: Vats and Flegal 2022).
    """
    possible = [FEWEST << step for step in range(_DOUBLINGS)]
    counts = [count for count in possible if 3 * levels <= count <= len(excess)]
    if not counts:
        return DesignEffect()
    effects = [max(1.0, _of_blocks(excess, count, levels) / variance) for count in counts]
    place = _finest(effects, counts)
    finer = effects[min(place + 1, len(effects) - 1)]
    value = max(effects[place], 2 * effects[place] - finer)
    # Few events tell less than their blocks seem to, and the blocks were chosen by what they showed.
    freedom = 1 / (2 / (counts[place] - 1) + 1 / (2 * events))
    return DesignEffect(
        value=value,
        upper=value / _share_of_chi_square(max(1.0, freedom), chance),
        correlation=_correlation(effects, counts, effects[place], seconds=len(excess) * slot),
        blocks=counts[place],
    )


def effective(requests: float, effect: DesignEffect) -> float:
    """How many independent requests would tell as much."""
    return requests / effect.value


def _of_blocks(excess: Real, blocks: int, levels: int) -> float:
    sums = np.add.reduceat(excess, (np.arange(blocks) * len(excess)) // blocks)
    return float((sums**2).sum()) * blocks / (blocks - levels)


def _finest(effects: list[float], counts: list[int]) -> int:
    """The shortest blocks whose effect no longer ones clearly exceed."""
    for place in range(len(counts) - 1, 0, -1):
        slack = [1 + _STRICT * math.sqrt(2 / (count - 1)) for count in counts[:place]]
        if all(longer <= effects[place] * more for longer, more in zip(effects[:place], slack, strict=True)):
            return place
    return 0


def _correlation(effects: list[float], counts: list[int], value: float, *, seconds: float) -> float:
    """Where half of the excess over the shortest blocks has come together."""
    half = (effects[-1] + value) / 2
    if value <= effects[-1] * _VISIBLE:
        return 0.0
    for place in range(len(counts) - 2, -1, -1):
        if effects[place] >= half:
            low, high = effects[place + 1], effects[place]
            part = (half - low) / (high - low) if high > low else 0.0
            return seconds / counts[place + 1] * 2**part / _HALF
    return seconds / counts[0] / _HALF


def _share_of_chi_square(freedom: float, chance: float) -> float:
    """A quantile of chi-square over its degrees of freedom (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return max(0.05, 1 - spread + NormalDist().inv_cdf(chance) * math.sqrt(spread)) ** 3


def _assumed(requests: float, seconds: float) -> float:
    return 1 + _SHARED * max(0.0, requests / max(1.0, seconds) - 1)
