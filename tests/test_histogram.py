"""The histogram's promise: within 0.1 % of the exact value, whatever the values, however they are merged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.load.histogram import ACCURACY, GROWTH, LARGEST_BUCKET, SMALLEST, bucket, quantile, value

SECONDS = st.floats(min_value=1e-5, max_value=100.0)
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
MANY = 10_000_000


def buckets(values: np.ndarray) -> np.ndarray:
    """Number many values at once: the twin of `bucket`."""
    numbers = np.ceil(np.log(values) / math.log(GROWTH) - math.log(SMALLEST) / math.log(GROWTH))
    return np.where(values <= SMALLEST, 0, np.minimum(numbers, LARGEST_BUCKET)).astype(np.uint16)


@given(SECONDS)
def test_a_bucket_stands_for_its_values_within_a_thousandth(seconds):
    assert abs(value(bucket(seconds)) / seconds - 1) <= 0.001


@given(SECONDS, SECONDS)
def test_a_longer_time_is_never_in_an_earlier_bucket(one, other):
    assert (bucket(one) <= bucket(other)) == (one <= other) or bucket(one) == bucket(other)


@given(st.lists(SECONDS, min_size=1, max_size=200), st.sampled_from((0.001, *QUANTILES, 1.0)))
def test_a_quantile_is_within_a_thousandth_of_the_order_statistic(values, q):
    counts: dict[int, int] = {}
    for seconds in values:
        counts[bucket(seconds)] = counts.get(bucket(seconds), 0) + 1
    exact = sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]
    assert quantile(counts, q) == pytest.approx(exact, rel=0.001)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, SMALLEST])
def test_next_to_nothing_is_the_first_bucket(seconds):
    assert bucket(seconds) == 0
    assert value(0) == SMALLEST


def test_a_day_still_has_a_bucket_of_sixteen_bits():
    assert bucket(86_400) < LARGEST_BUCKET
    assert value(bucket(86_400)) == pytest.approx(86_400, rel=ACCURACY * 1.01)


def test_of_nothing_there_is_no_quantile():
    assert quantile({}, 0.5) is None


def two_humps(chance: np.random.Generator) -> np.ndarray:
    fast, slow = chance.normal(0.005, 0.0005, MANY).clip(1e-5), 2.0 + chance.random(MANY)
    return np.where(chance.random(MANY) < 0.96, fast, slow)


SHAPES = {
    "uniform": lambda chance: chance.uniform(1e-5, 100.0, MANY),
    "log-uniform": lambda chance: np.exp(chance.uniform(math.log(1e-5), math.log(100.0), MANY)),
    "lognormal": lambda chance: chance.lognormal(math.log(0.02), 1.0, MANY).clip(1e-5, 100.0),
    "two humps": two_humps,
    "steps": lambda chance: chance.choice(np.array([1e-5, 0.001, 0.0100001, 0.25, 1.0, 99.9]), MANY),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_million_values_keep_every_quantile_within_a_thousandth(shape):
    values = SHAPES[shape](np.random.default_rng(7))
    numbers = np.bincount(buckets(values))
    counts = {int(number): int(numbers[number]) for number in np.nonzero(numbers)[0]}
    ranks = [max(1, math.ceil(q * values.size - 1e-9)) - 1 for q in QUANTILES]
    exact = np.partition(values, ranks)[ranks]
    for q, true in zip(QUANTILES, exact, strict=True):
        assert quantile(counts, q) == pytest.approx(true, rel=0.001)
    some = values[: MANY // 10_000]
    assert all(
        abs(int(twin) - bucket(float(seconds))) <= 1
        for twin, seconds in zip(buckets(some), some, strict=True)
    )
