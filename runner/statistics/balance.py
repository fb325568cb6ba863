"""Whether two arms of a comparison had the same to bear: as many requests, of the same kinds, on ground that held still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MISMATCH = (
    0.0005  # a smaller p is a mismatch: it is looked for in every comparison, and a false one wastes it
)


@dataclass(frozen=True, slots=True)
class Drift:
    """How the baseline's own values moved: Kendall's tau with its p, Theil's and Sen's slope over the whole time."""

    tau: float
    p: float
    moved: float  # from first to last, in the values' own unit


def split(counts: Sequence[int], shares: Sequence[float]) -> float:
    """The p of as uneven a split of requests, were they sent by the planned *shares* (sample-ratio mismatch)."""
    observed = np.asarray(counts, dtype=np.float64)
    if not observed.sum():
        return 1.0
    expected = observed.sum() * np.asarray(shares) / sum(shares)
    return float(stats.chisquare(observed, expected).pvalue)


def mixes(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """The p of request mixes as unlike as these, were they the same."""
    names = [name for name in sorted({*one, *other}) if one.get(name, 0) + other.get(name, 0)]
    rows = np.array([[one.get(name, 0) for name in names], [other.get(name, 0) for name in names]])
    if len(names) < 2 or not rows.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(rows).pvalue)


def drift(at: Sequence[float], values: Sequence[float]) -> Drift | None:
    """How *values* moved with time; None where fewer than five say nothing."""
    if len(values) < 5:
        return None
    order = np.argsort(at)
    when, what = np.asarray(at)[order], np.asarray(values)[order]
    tau = stats.kendalltau(when, what)
    if np.isnan(tau.statistic):  # all the same
        return Drift(0.0, 1.0, 0.0)
    slope = stats.theilslopes(what, when).slope
    return Drift(float(tau.statistic), float(tau.pvalue), float(slope * (when[-1] - when[0])))
