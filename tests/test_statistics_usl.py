"""The Universal Scalability Law: a knee with its interval, and none that the data do not show."""

import math

import numpy as np
import pytest

from runner.statistics.usl import Law, fit

TRUE = Law(unit=100.0, contention=0.03, coherency=2e-4, reach=96.0)
KNEE = math.sqrt((1 - 0.03) / 2e-4)


def made(levels, noise=0.0, seed=1):
    at = np.asarray(levels, dtype=float)
    return at, TRUE.throughput(at) * np.exp(np.random.default_rng(seed).normal(size=at.size) * noise)


def test_the_law_is_found_again_in_what_it_made():
    law = fit(*made([1, 4, 8, 16, 32, 64, 96]))
    assert law.knee == pytest.approx(KNEE, rel=1e-3)
    assert law.peak == pytest.approx(float(TRUE.throughput(np.array([KNEE]))[0]), rel=1e-3)


def test_the_interval_of_the_knee_holds_it_as_often_as_it_says():
    laws = [fit(*made(np.repeat([1, 8, 16, 32, 64, 96], 3), 0.02, seed)) for seed in range(100)]
    assert sum(law.low <= KNEE <= law.high for law in laws) >= 88


@pytest.mark.parametrize("seed", range(5))
def test_no_knee_is_claimed_beyond_what_was_tested(seed):
    law = fit(*made([1, 2, 4, 8, 16, 24], 0.02, seed))
    assert law.knee is None
    assert law.why


def test_an_interval_that_ends_beyond_what_was_tested_has_no_end():
    laws = [fit(*made([1, 8, 16, 32, 64, 72], 0.05, seed)) for seed in range(20)]
    claimed = [law for law in laws if law.knee is not None]
    assert claimed
    assert all(law.high == math.inf or law.high <= 72 for law in claimed)


def test_throughput_that_only_grows_has_no_knee():
    at = np.array([1.0, 2, 4, 8, 16, 32])
    law = fit(at, 50 * at)
    assert law.knee is None


@pytest.mark.parametrize(
    ("at", "why"),
    [([1, 2, 4], "too few"), ([10, 11, 12, 13, 14, 15], "too little between"), ([0, 0, 0, 1, 9], "too few")],
)
def test_what_cannot_be_fitted_says_why(at, why):
    assert why in fit(at, [10.0 * (1 + n) for n in at])
