"""The evidence that more than a share of requests is bad: an e-process, valid however often one looks.

For a prior q ~ Beta(a, b) on the shares above p0, E(s, n) = mean over q of the likelihood ratio of q to p0. While each
request is bad with a chance of at most p0, given all before, E is a nonnegative supermartingale that starts at 1, so by
Ville's inequality it ever reaches 1 / alpha with a chance of at most alpha. A weighted mean of such E that begin to count
at different moments is one too, and does not drown a late fault in the good requests before it. Counts are divided by the
design effect: clustered requests say less than independent ones, and this part is as good as its measurement.
(Ville 1939; Robbins 1970; restarts: the e-detector of Shin, Ramdas and Rinaldo 2022; two arms: Lindon and Malek 2022.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Numbers = npt.NDArray[np.float64]
Judging = Callable[
    [Numbers], Numbers
]  # counts since each restart, one column each -> the logarithm of each E

YOUNG = 16  # restarts that are looked at each time: where a late fault shows first
TURN = 16  # and of the older ones, each in its turn: a value from the last turn is as valid, only older
SPACING = 5.0  # seconds between restarts of the grid
MOST = 2000  # restarts of a grid: in a longer run they stand further apart
_STARTS, _ENDS = 0.5, 0.25  # weight of all starts of faults, of all their ends; the grid has the rest
_TRAFFIC = 100.0  # requests: a share of the traffic over fewer leans on that of the whole run


@dataclass(frozen=True, slots=True)
class Weights:
    """What each restart weighs: one at the start of a fault, at its end, and of the grid every *spacing* seconds."""

    start: float
    end: float
    grid: float
    spacing: float


def weights(*, faults: int, seconds: float) -> Weights:
    """Share one among the restarts of a run of *seconds* with so many windows of *faults*; known before any data."""
    spacing = max(SPACING, seconds / MOST)
    grid = max(1, math.ceil(seconds / spacing))
    if not faults:
        return Weights(0.0, 0.0, 1.0 / grid, spacing)
    return Weights(_STARTS / faults, _ENDS / faults, (1 - _STARTS - _ENDS) / grid, spacing)


def log_e(bad: Numbers, total: Numbers, limit: Numbers | float) -> Numbers:
    """The logarithm of E for *bad* of *total* requests against the share *limit*; counts may be fractions.

    Where the share seen is below *limit* E is below 1, and a bound from below stands for it (a geometric series below
    that of P(Beta > limit); exact where nothing is bad): it needs no incomplete beta function, nor leaves a float's range.
    """
    share = np.broadcast_to(np.asarray(limit, dtype=np.float64), total.shape)
    a, b = (
        1.0,
        1.0 / (3.0 * share),
    )  # a prior mean of about three times the limit; then P(Beta > limit) = (1 - limit) ** b
    prior = -np.log(b) + b * np.log1p(-share)
    found = np.asarray(-np.log(b + total - bad) + b * np.log1p(-share) - prior)
    over = bad > share * total
    if over.any():
        wrong, good, p0, b = bad[over], total[over] - bad[over], share[over], b[over]
        above = special.betaincc(a + wrong, b + good, p0)
        likelihood = wrong * np.log(p0) + good * np.log1p(-p0)
        found[over] = special.betaln(a + wrong, b + good) + np.log(above) - prior[over] - likelihood
    return found


def against(limit: float, effect: float) -> Judging:
    """Judge counts (bad, total) against the share *limit*."""

    def judged(since: Numbers) -> Numbers:
        total = np.maximum(since[1], 0.0)  # an overdue request that was answered after all takes its bad back
        return log_e(np.clip(since[0], 0.0, total) / effect, total / effect, limit)

    return judged


def compared(ratio: float, effect: float) -> Judging:
    """Judge counts (bad, total, bad of the other arm, its total): whether one arm fails more than *ratio* times as often.

    Given that a request is bad, it is the one arm's with the chance share * ratio / (1 - share + share * ratio) at most,
    whatever the rate of errors is by the hour; *share* of the traffic is what was seen since the restart.
    """

    def judged(since: Numbers) -> Numbers:
        mine, total = np.maximum(since[1], 0.0), np.maximum(since[1] + since[3], 0.0)
        usual = mine[0] / total[0] if total[0] else 0.5
        share = (mine + _TRAFFIC * usual) / (total + _TRAFFIC)
        limit = np.clip(share * ratio / (1 - share + share * ratio), 1e-9, 1 - 1e-9)
        bad = np.maximum(since[0], 0.0)
        return log_e(bad / effect, (bad + np.maximum(since[2], 0.0)) / effect, limit)

    return judged


class Restarts:
    """E of one population as the weighted mean over the moments from which it began to count.

    Weights sum to at most 1; what no restart has yet counts as E = 1. A look costs some microseconds for each of
    YOUNG + TURN restarts, however many there are.
    """

    def __init__(self, judging: Judging, columns: int) -> None:
        self._judging = judging
        self._reserve = 1.0
        self._size = 0
        self._starts = np.zeros((columns, 64))  # counts at each restart
        self._held = np.zeros((3, 64))  # its weight, the logarithm of its E, its moment
        self._cursor = 0
        self._counts: tuple[float, ...] = ()
        self.log_e = 0.0

    def restart(self, at: float, counts: tuple[float, ...], weight: float) -> None:
        """Begin to count anew from *counts*, with *weight* of the whole."""
        weight = min(weight, self._reserve)
        if weight <= 0:
            return
        if self._size == self._held.shape[1]:
            self._starts = np.concatenate([self._starts, np.zeros_like(self._starts)], axis=1)
            self._held = np.concatenate([self._held, np.zeros_like(self._held)], axis=1)
        self._starts[:, self._size] = counts
        self._held[:, self._size] = (weight, 0.0, at)
        self._size += 1
        self._reserve = max(0.0, self._reserve - weight)
        self._counts = ()

    def look(self, counts: tuple[float, ...]) -> float:
        """The logarithm of E at these counts."""
        if self._size and self._counts != counts:
            self._counts = counts
            chosen = self._chosen()
            since = np.array(counts)[:, np.newaxis] - self._starts[:, chosen]
            self._held[1, chosen] = self._judging(since)
            self.log_e = self._mean()
        return self.log_e

    def loudest(self) -> tuple[float, tuple[float, ...]]:
        """The moment of the restart that makes up most of E, and the counts since then."""
        if not self._size:
            return 0.0, ()
        place = int(np.argmax(self._held[1, : self._size] + np.log(self._held[0, : self._size])))
        since = np.array(self._counts or self._starts[:, place]) - self._starts[:, place]
        return float(self._held[2, place]), tuple(np.maximum(since, 0.0).tolist())

    def _chosen(self) -> npt.NDArray[np.intp]:
        """The first restart and the young ones, and the next of those between."""
        old = max(1, self._size - YOUNG)
        young = np.arange(old, self._size)
        turn = (self._cursor + np.arange(min(TURN, old - 1))) % max(1, old - 1) + 1
        self._cursor = int(turn[-1]) if len(turn) else 0
        return np.concatenate([[0], turn, young])

    def _mean(self) -> float:
        logs = self._held[1, : self._size]
        most = max(0.0, float(logs.max()))
        parts = float(np.dot(self._held[0, : self._size], np.exp(logs - most)))
        return most + math.log(max(parts + self._reserve * math.exp(-most), 1e-300))
