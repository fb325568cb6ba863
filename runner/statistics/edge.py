"""Where a system breaks: the level that half of the trials bear, by Bayesian bisection that allows for noise.

A trial at a level breaks with probability ODD + (1 - 2 ODD) * Phi(log(level / edge) / spread). The edge and the spread
are unknown: a flat prior on the logarithm of both, kept on a grid. The next level is the one whose outcome is expected
to tell most about the edge (the psi method of Kontsevich and Tyler, Vision Research 39, 1999); with a small spread that
is plain geometric bisection, with a large one it repeats near the edge until that is decided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

ODD = 0.01  # share of the trials that come out either way whatever the level: one odd trial must not mislead a search
SPREADS = np.geomspace(0.004, 0.25, 9)  # run-to-run variation of the edge, as a share of it
CONFIDENCE = 0.95
_BEYOND = math.log(2.0)  # the edge may lie outside of the levels that may be tried, this far
_STEPS = 12.0  # grid steps to a resolution
_MOST_POINTS = 1000
_CANDIDATES = 40
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True, slots=True)
class Range:
    """The levels that may be tried. *resolution*: the half width of the interval asked for, as a share."""

    least: float
    most: float
    resolution: float = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial showed."""

    level: float
    broke: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """The edge with its interval. None: that end lies beyond every level that could be tried."""

    value: float
    low: float | None
    high: float | None
    spread: float  # run-to-run variation, as a share of the level
    settled: bool  # the interval is as narrow as was asked for, or no further trial could change what it says


class Belief:
    """What the trials so far say about the edge: a distribution over its logarithm and the spread."""

    def __init__(self, levels: Range) -> None:
        self.levels = levels
        low, high = math.log(levels.least) - _BEYOND, math.log(levels.most) + _BEYOND
        step = max(math.log1p(levels.resolution) / _STEPS, (high - low) / _MOST_POINTS)
        self.points: Real = np.arange(low, high + step, step)
        self._likelihood: Real = np.zeros((len(self.points), len(SPREADS)))
        distances: Real = np.arange(len(self.points) - 1.0, -len(self.points), -1.0)[:, None] * step
        self._table = _breaks(distances)
        self._weigh()

    def _weigh(self) -> None:
        raised: Real = np.exp(self._likelihood - self._likelihood.max())
        self.weights: Real = raised / raised.sum()  # how probable each point and spread is
        self.edges: Real = self.weights.sum(axis=1)  # how probable each point is as the edge

    def lower_ceiling(self, level: float) -> None:
        """Try nothing above *level* any more."""
        most = max(min(level, self.levels.most), self.levels.least)
        self.levels = replace(self.levels, most=most)

    def learn(self, trial: Trial) -> None:
        """Take one trial in."""
        breaks = _breaks(math.log(trial.level) - self.points[:, None])
        self._likelihood += np.log(breaks if trial.broke else 1 - breaks)
        self._weigh()

    def quantile(self, share: float) -> float:
        """The point below which the edge lies with that probability."""
        return _quantile(self.points, self.edges, share)

    def edge(self) -> Edge:
        """The edge as it is known now."""
        tail = (1 - CONFIDENCE) / 2
        low, middle, high = (self.quantile(share) for share in (tail, 0.5, 1 - tail))
        least, most = math.log(self.levels.least), math.log(self.levels.most)
        spread = math.exp(float(self.weights.sum(axis=0) @ np.log(SPREADS)))
        narrow = high - low <= 2 * math.log1p(self.levels.resolution)
        outside = self.quantile(1 - CONFIDENCE) >= most or self.quantile(CONFIDENCE) <= least
        return Edge(
            value=math.exp(min(max(middle, least), most)),
            low=math.exp(low) if low >= least else None,
            high=math.exp(high) if high <= most else None,
            spread=spread,
            settled=narrow or outside,
        )

    def next_level(self) -> float:
        """The level whose outcome is expected to tell most about the edge."""
        least, most = math.log(self.levels.least), math.log(self.levels.most)
        shares = (np.arange(_CANDIDATES) + 0.5) / _CANDIDATES
        weights, edges = self.weights, self.edges
        first, last = np.searchsorted(self.points, (least, most + 1e-9))
        wanted = np.searchsorted(np.cumsum(edges), shares)
        places = np.unique(np.clip(wanted, first, last - 1))
        heavy = np.flatnonzero(edges > _NEGLIGIBLE * edges.max())
        inside = slice(int(heavy[0]), int(heavy[-1]) + 1)
        told = [_information(weights[inside], edges[inside], self._at(int(one))[inside]) for one in places]
        return math.exp(float(self.points[places[int(np.argmax(told))]]))

    def _at(self, place: int) -> Real:
        """Probability that a trial at one of the points breaks, for every edge and spread."""
        size = len(self.points)
        return self._table[size - 1 - place : 2 * size - 1 - place]


def ratio(variant: Belief, baseline: Belief) -> tuple[float, float, float]:
    """How many times the baseline's edge the variant's is: median, and the ends of the interval.

    Both beliefs are over the same levels.
    """
    chances = np.convolve(variant.edges, baseline.edges[::-1])
    size = len(baseline.points)
    differences = (np.arange(len(chances)) - (size - 1)) * (baseline.points[1] - baseline.points[0])
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = (math.exp(_quantile(differences, chances, share)) for share in (tail, 0.5, 1 - tail))
    return middle, low, high


def _quantile(points: Real, chances: Real, share: float) -> float:
    return float(np.interp(share, np.cumsum(chances), points))


def _breaks(above: Real) -> Real:
    """Probability that a trial breaks that lies so far (in logarithms) above the edge, for every spread."""
    from scipy.special import ndtr  # noqa: PLC0415 - scipy costs 0.7 s at start

    chance: Real = ODD + (1 - 2 * ODD) * ndtr(above / SPREADS)
    return chance


def _information(weights: Real, edges: Real, breaks: Real) -> float:
    """What an outcome is expected to tell about the edge: the mutual information of both, in nats."""
    joint = (weights * breaks).sum(axis=1)  # edge and break
    chance = float(joint.sum())
    given = joint / np.maximum(edges, 1e-300)
    return _entropy(chance) - float(edges @ _entropies(given))


def _entropies(chance: Real) -> Real:
    inside = np.clip(chance, 1e-12, 1 - 1e-12)
    found: Real = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside))
    return found


def _entropy(chance: float) -> float:
    return float(_entropies(np.array([chance]))[0])
