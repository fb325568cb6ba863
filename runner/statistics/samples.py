"""What samples of an indicator say in a stretch of time: a value, a ratio or a distribution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.assertions import Operator, Term
from runner.statistics.comparison import Measured, exactly, looks_up, nothing
from runner.timeline import Sample

PATIENCE = 5.0  # seconds without a good sample, at least, before an indicator counts as one without data


def patience(every: float) -> float:
    """How long an indicator may be silent before that counts as no data."""
    return max(PATIENCE, 3 * every)


def is_good(sample: Sample) -> bool:
    """Whether a sample holds anything to judge by. A ratio of nothing and an empty histogram hold nothing."""
    if sample.error:
        return False
    if sample.buckets is not None:
        return _count(sample.buckets) > 0
    if sample.total is not None:
        return sample.total > 0 and sample.bad is not None
    return sample.value is not None and math.isfinite(sample.value)


def of_term(term: Term, samples: Sequence[Sample]) -> list[Sample]:
    """The good samples of the instances that a term looks at."""
    wanted = term.selector.instance
    return [sample for sample in samples if wanted in ("", sample.instance) and is_good(sample)]


def measure_samples(term: Term, good: Sequence[Sample], operator: Operator | None = None) -> Measured:
    """Measure over all good samples: a value's worst for *operator* (its mean without one), a ratio's and histogram's sum."""
    if not good:
        return nothing("the indicator gave no sample in this window")
    if good[0].buckets is not None:
        return _distribution(term, good)
    if good[0].total is not None:
        bad, total = sum(one.bad or 0.0 for one in good), sum(one.total or 0.0 for one in good)
        return exactly(bad / total)
    values = [one.value for one in good if one.value is not None]
    if not values:
        return nothing("the indicator gave samples of different kinds")
    if operator is None:
        return exactly(math.fsum(values) / len(values))
    return exactly(max(values) if looks_up(operator) else min(values))


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest time without a good sample, and what the probe said then."""

    seconds: float
    said: str


def longest_silence(samples: Sequence[Sample], *, start: float, end: float) -> Silence:
    """Find the longest gap between good samples in [start, end], its edges included."""
    good = [start, *(one.at for one in samples if is_good(one) and start <= one.at <= end), end]
    gaps = [later - earlier for earlier, later in itertools.pairwise(good)]
    errors = [one.error for one in samples if one.error and start <= one.at <= end]
    return Silence(max(gaps), errors[-1] if errors else "")


def by_window(
    term: Term, samples: Sequence[Sample], *, start: float, end: float, width: float
) -> list[tuple[float, Measured]]:
    """Every window of *width* seconds that ends with a good sample, and its measure: of values, their mean."""
    good = [one for one in of_term(term, samples) if start <= one.at <= end]
    found = []
    for one in good:
        if one.at - width < start - 1e-9:
            continue
        inside = [other for other in good if one.at - width <= other.at <= one.at]
        found.append((one.at - width, measure_samples(term, inside)))
    return found


def worst_window(
    term: Term, samples: Sequence[Sample], *, start: float, end: float, width: float, operator: Operator
) -> tuple[Measured, float | None]:
    """The worst of those windows and where it starts."""
    found = [
        (at, measured)
        for at, measured in by_window(term, samples, start=start, end=end, width=width)
        if measured.value is not None
    ]
    if not found:
        return nothing("the indicator gave no sample in any window that long"), None
    pick = max if looks_up(operator) else min
    at, measured = pick(found, key=lambda pair: pair[1].value or 0.0)
    return measured, at


def _distribution(term: Term, good: Sequence[Sample]) -> Measured:
    """The quantile of summed cumulative buckets: known to lie in one bucket, placed in it by interpolation."""
    sums: dict[float, float] = {}
    for sample in good:
        for edge, count in (sample.buckets or {}).items():
            sums[float(edge)] = sums.get(float(edge), 0.0) + count
    edges = sorted(sums)
    total, q = sums[edges[-1]], term.quantile if term.quantile is not None else 0.5
    place = next(number for number, edge in enumerate(edges) if sums[edge] >= q * total)
    low, high = (edges[place - 1] if place else 0.0), edges[place]
    below = sums[edges[place - 1]] if place else 0.0
    share = (q * total - below) / (sums[high] - below) if sums[high] > below else 1.0
    value = low if math.isinf(high) else low + share * (high - low)
    return Measured(value, low, high, requests=round(total))


def _count(buckets: dict[str, float]) -> float:
    return max(buckets.values(), default=0.0)
