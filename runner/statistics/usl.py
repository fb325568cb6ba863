"""The Universal Scalability Law (Gunther): how throughput grows with concurrency, and where it stops growing.

X(N) = unit N / (1 + contention (N - 1) + coherency N (N - 1)); its peak is at N* = sqrt((1 - contention) / coherency).
Fitted to the logarithm of the throughput on the logarithms of the parameters; the interval of log N* by the delta method
with Student's t of n - 3 degrees of freedom.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from runner.statistics.edge import CONFIDENCE

Real = npt.NDArray[np.float64]

LEAST_POINTS = 5  # three parameters, and enough left to know the noise by
_LEAST_REACH = 3.0  # the greatest concurrency over the least
_NONE = 1e-9  # parameters below this are none at all


@dataclass(frozen=True, slots=True)
class Law:
    """The fitted law. *knee* None, with *why*: the data do not show where throughput stops growing.

    *high* is endless where the interval ends beyond what was tested.
    """

    unit: float  # throughput of one request under way, alone
    contention: float
    coherency: float
    reach: float  # the greatest concurrency that was tested
    knee: float | None = None  # N*, requests under way
    low: float = 0.0
    high: float = math.inf
    peak: float | None = None  # throughput at the knee
    why: str = ""

    def throughput(self, concurrency: Real) -> Real:
        """X(N)."""
        return _law(concurrency, self.unit, self.contention, self.coherency)


def fit(concurrency: Sequence[float], throughput: Sequence[float]) -> Law | str:
    """Fit the law, or say why that cannot be done."""
    at, found = np.asarray(concurrency, dtype=float), np.asarray(throughput, dtype=float)
    usable = (at > 0) & (found > 0)
    at, found = at[usable], found[usable]
    if len(at) < LEAST_POINTS:
        return (
            f"{len(at)} trials with load are too few for a law of three parameters; it takes {LEAST_POINTS}"
        )
    if at.max() < _LEAST_REACH * at.min():
        return f"the trials had {at.min():.3g} to {at.max():.3g} requests under way: too little between them to fit a law to"
    fitted = _fitted(at, found)
    if fitted is None:
        return "the law does not fit these trials"
    best, covariance = fitted
    unit, contention, coherency = np.exp(best)
    law = Law(float(unit), float(contention), float(coherency), float(at.max()))
    return _with_knee(law, covariance, degrees=len(at) - 3)


def _fitted(at: Real, found: Real) -> tuple[Real, Real] | None:
    from scipy.optimize import OptimizeWarning, curve_fit  # noqa: PLC0415 - scipy costs 0.7 s at start

    start = [math.log(float((found / at).max())), math.log(0.05), math.log(1 / float(at.max()) ** 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # an endless covariance is looked at below
        try:
            best, covariance = curve_fit(
                lambda n, unit, contention, coherency: np.log(
                    _law(n, *np.exp((unit, contention, coherency)))
                ),
                at,
                np.log(found),
                p0=start,
                bounds=([-np.inf, math.log(_NONE / 10), math.log(_NONE / 10)], [np.inf, 0.0, 0.0]),
                maxfev=20000,
            )
        except RuntimeError:
            return None
    return best, covariance


def _with_knee(law: Law, covariance: Real, *, degrees: int) -> Law:
    """Add N*, unless it lies beyond what was tested or the data leave it open."""
    from scipy.stats import t  # noqa: PLC0415 - scipy costs 0.7 s at start

    if law.coherency <= _NONE or law.contention >= 1:
        return replace(law, why="throughput only levels off; nothing in these trials makes it fall again")
    knee = math.sqrt((1 - law.contention) / law.coherency)
    if knee > law.reach:
        return replace(
            law, why=f"the knee would lie beyond the {law.reach:.3g} requests under way that were tested"
        )
    slope = np.array([0.0, -law.contention / (2 * (1 - law.contention)), -0.5])
    error = math.sqrt(max(0.0, float(slope @ covariance @ slope)))
    width = float(t.ppf((1 + CONFIDENCE) / 2, degrees)) * error
    if not math.isfinite(width) or width > math.log(10):
        return replace(law, why="these trials leave open by more than ten times where the knee is")
    peak, high = float(law.throughput(np.array([knee]))[0]), knee * math.exp(width)
    return replace(
        law, knee=knee, low=knee * math.exp(-width), high=high if high <= law.reach else math.inf, peak=peak
    )


def _law(concurrency: Real, unit: float, contention: float, coherency: float) -> Real:
    found: Real = (
        unit
        * concurrency
        / (1 + contention * (concurrency - 1) + coherency * concurrency * (concurrency - 1))
    )
    return found
