"""What samples of an indicator say in a stretch of time: a value, a ratio or a distribution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.assertions import Operator, Term
from runner.statistics.comparison import Measured, exactly, looks_up, nothing
from runner.statistics.doubt import CERTAIN, Doubt
from runner.statistics.trend import trend
from runner.timeline import Sample

if TYPE_CHECKING:  # numpy costs 0.1 s at start; only intervals need it
    from runner.statistics.design_effect import DesignEffect

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
        return sample.total > 0 and (sample.bad is not None or sample.valid is not None)
    return sample.value is not None and math.isfinite(sample.value)


def of_term(term: Term, samples: Sequence[Sample]) -> list[Sample]:
    """The good samples of the instances that a term looks at."""
    wanted = term.selector.instance
    return [sample for sample in samples if wanted in ("", sample.instance) and is_good(sample)]


def measure_samples(
    term: Term, good: Sequence[Sample], operator: Operator | None = None, *, doubt: Doubt = CERTAIN
) -> Measured:
    """Measure over all good samples: a ratio's and histogram's sum; of values what the term says of each instance, the
    worst instance for *operator* (their mean without one), or their worst value (mean) where it says nothing.

    Values that were read are facts; the shares and quantiles of what was counted are sampled.
    """
    if not good:
        return nothing("the indicator gave no sample in this window")
    if good[0].buckets is not None:
        return _distribution(term, good, doubt)
    if good[0].total is not None:
        return _ratio(good, doubt)
    instances = by_instance(good)
    if not instances:
        return nothing("the indicator gave samples of different kinds")
    if not term.of:
        return _worst([exactly(one.value) for one in good if one.value is not None], operator)
    return _worst([_of_instance(term, name, found) for name, found in instances.items()], operator)


def by_instance(good: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The samples of values, each instance's by itself."""
    found: dict[str, list[Sample]] = {}
    for sample in good:
        if sample.value is not None:
            found.setdefault(sample.instance, []).append(sample)
    return found


def _of_instance(term: Term, instance: str, found: Sequence[Sample]) -> Measured:
    """The mean, quantile or trend of one instance's samples."""
    if term.name == "trend":
        return trend(instance, found)
    values = sorted(one.value for one in found if one.value is not None)
    if term.name == "mean":
        return exactly(math.fsum(values) / len(values))
    q = term.quantile if term.quantile is not None else 0.5
    if len(values) < (least := math.ceil(1 / min(q, 1 - q) - 1e-9)):
        whose = f" of {instance}" if instance else ""
        return nothing(
            f"{term.text or 'the quantile'} needs {least} samples{whose}, there were {len(values)}"
        )
    return exactly(values[max(1, math.ceil(q * len(values) - 1e-9)) - 1])


def _worst(found: Sequence[Measured], operator: Operator | None) -> Measured:
    """The largest of several, and the interval that it is in (smallest, for an *operator* that limits from below), or
    their mean. One that is not known may be anything: it hides no worse one, and no good ones speak for it.
    """
    there = [one for one in found if one.value is not None]
    if not there or (operator is None and len(there) < len(found)):
        return next(one for one in found if one.value is None)
    if operator is None:
        return exactly(math.fsum(one.value or 0.0 for one in there) / len(there))
    pick = max if looks_up(operator) else min
    return Measured(
        pick(one.value or 0.0 for one in there),
        pick(one.low for one in found),
        pick(one.high for one in found),
    )


def ended(term: Term, samples: Sequence[Sample]) -> str:
    """What the last sample of an instance that the term looks at says, where that is an error."""
    wanted = term.selector.instance
    last = {one.instance: one.error for one in samples if wanted in ("", one.instance)}
    return next(filter(None, last.values()), "")


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
    term: Term,
    samples: Sequence[Sample],
    *,
    start: float,
    end: float,
    width: float,
    doubt: Doubt = CERTAIN,
) -> list[tuple[float, Measured]]:
    """Every window of *width* seconds that ends with a good sample, and its measure: of values, their mean."""
    good = [one for one in of_term(term, samples) if start <= one.at <= end]
    found = []
    for one in good:
        if one.at - width < start - 1e-9:
            continue
        inside = [other for other in good if one.at - width <= other.at <= one.at]
        found.append((one.at - width, measure_samples(term, inside, doubt=doubt)))
    return found


def worst_window(
    term: Term,
    samples: Sequence[Sample],
    *,
    start: float,
    end: float,
    width: float,
    operator: Operator,
    doubt: Doubt = CERTAIN,
) -> tuple[Measured, float | None]:
    """The worst of those windows and where it starts; with a confidence in *doubt*, for all that do not overlap."""
    doubt = doubt.shared((end - start) / width)
    found = [
        (at, measured)
        for at, measured in by_window(term, samples, start=start, end=end, width=width, doubt=doubt)
        if measured.value is not None
    ]
    if not found:
        return nothing("the indicator gave no sample in any window that long"), None
    pick = max if looks_up(operator) else min
    at, measured = pick(found, key=lambda pair: pair[1].value or 0.0)
    return measured, at


def _ratio(good: Sequence[Sample], doubt: Doubt) -> Measured:
    part = [(one.valid if one.bad is None else one.bad) or 0.0 for one in good]
    total = [one.total or 0.0 for one in good]
    hits, size = math.fsum(part), math.fsum(total)
    share = hits / size
    if not doubt.confidence or not 0 <= share <= 1:
        return exactly(share)
    from runner.statistics.intervals import of_share  # noqa: PLC0415 - scipy, and only intervals need it

    effect = _clustered(part, total, good)
    low, high = of_share(hits, size, effect, doubt.confidence)
    return doubt.told(
        exactly(share, requests=round(size)), low, high, effect, seconds=_every(good) * len(good)
    )


def _distribution(term: Term, good: Sequence[Sample], doubt: Doubt) -> Measured:
    """The quantile of summed cumulative buckets: known to lie in one bucket, placed in it by interpolation."""
    sums: dict[float, float] = {}
    for sample in good:
        for edge, count in (sample.buckets or {}).items():
            sums[float(edge)] = sums.get(float(edge), 0.0) + count
    edges = sorted(sums)
    total, q = sums[edges[-1]], term.quantile if term.quantile is not None else 0.5
    low, high = _bucket(sums, edges, q * total)
    below = sums.get(low, 0.0)
    share = (q * total - below) / (sums[high] - below) if sums[high] > below else 1.0
    value = low if math.isinf(high) else low + share * (high - low)
    measured = Measured(value, low, high, requests=round(total))
    if not doubt.confidence or round(total) < 1:
        return measured
    from runner.statistics.intervals import ranks_from_top  # noqa: PLC0415 - scipy, and only intervals need it

    counts = [_count(one.buckets or {}) for one in good]
    above = [
        count - next((n for edge, n in (one.buckets or {}).items() if float(edge) == low), 0.0)
        for count, one in zip(counts, good, strict=True)
    ]
    effect = _clustered(above, counts, good)
    last, first = ranks_from_top(q, round(total), effect, doubt.confidence)
    least = _bucket(sums, edges, max(0.0, total - last + 0.5))[0]
    most = math.inf if first is None else _bucket(sums, edges, total - first + 0.5)[1]
    return doubt.told(measured, least, most, effect, seconds=_every(good) * len(good))


def _clustered(bad: list[float], total: list[float], good: Sequence[Sample]) -> DesignEffect:
    import numpy as np  # noqa: PLC0415 - only intervals need it

    from runner.statistics.design_effect import design_effect  # noqa: PLC0415 - the same

    return design_effect(np.array(bad), np.array(total), slot=_every(good))


def _bucket(sums: dict[float, float], edges: list[float], rank: float) -> tuple[float, float]:
    """The edges of the bucket that holds a rank."""
    place = next((number for number, edge in enumerate(edges) if sums[edge] >= rank), len(edges) - 1)
    return (edges[place - 1] if place else 0.0), edges[place]


def _every(good: Sequence[Sample]) -> float:
    """Seconds from sample to sample."""
    return (good[-1].at - good[0].at) / (len(good) - 1) if len(good) > 1 else 1.0


def _count(buckets: dict[str, float]) -> float:
    return max(buckets.values(), default=0.0)
