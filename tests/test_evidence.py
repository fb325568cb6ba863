"""The evidence of halts: what it is by definition, what it must never exceed, and what each of its parts is there for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from runner.statistics.evidence import Restarts, against, compared, log_e, weights


def one(bad, total, limit):
    return float(log_e(np.array([float(bad)]), np.array([float(total)]), limit)[0])


@pytest.mark.parametrize(
    ("bad", "total", "limit"), [(3, 60, 0.01), (12, 80, 0.05), (1, 1, 0.01), (0, 40, 0.01)]
)
def test_it_is_the_mean_likelihood_ratio_over_a_prior_above_the_limit(bad, total, limit):
    prior = stats.beta(1.0, 1 / (3 * limit))

    def part(q):
        ratio = (q / limit) ** bad * ((1 - q) / (1 - limit)) ** (total - bad)
        return ratio * prior.pdf(q) / prior.sf(limit)

    mean, _ = integrate.quad(part, limit, 1.0, limit=500, points=[limit * 2, limit * 8])
    assert one(bad, total, limit) == pytest.approx(math.log(mean), abs=1e-6)


@given(st.integers(0, 400), st.integers(0, 20_000), st.sampled_from([0.001, 0.01, 0.05, 0.5]))
@settings(deadline=None, max_examples=300)
def test_where_no_more_is_bad_than_allowed_it_says_no_more_than_the_exact_one(bad, total, limit):
    total = max(bad, total)
    a, b = 1.0, 1 / (3 * limit)
    exact = (
        stats.betabinom.logpmf(bad, total, a, b) - stats.binom.logpmf(bad, total, limit)
        + stats.beta.logsf(limit, a + bad, b + total - bad) - stats.beta.logsf(limit, a, b)
    )  # fmt: skip
    told = one(bad, total, limit)
    assert math.isfinite(told)
    assert told <= exact + 1e-6 or exact == -math.inf
    if bad > limit * total or bad == 0:
        assert told == pytest.approx(exact, abs=1e-6) or exact == -math.inf


def test_the_weights_of_all_restarts_of_a_run_come_to_one():
    for faults, seconds in ((0, 30.0), (3, 900.0), (40, 86_400.0)):
        planned = weights(faults=faults, seconds=seconds)
        grid = max(1, math.ceil(seconds / planned.spacing))
        assert faults * (planned.start + planned.end) + grid * planned.grid == pytest.approx(1.0)
        assert grid <= 2000


def test_e_is_the_weighted_mean_and_what_has_no_restart_yet_counts_as_one():
    restarts = Restarts(against(0.01, 1.0), 2)
    restarts.restart(0.0, (0.0, 0.0), 0.25)
    restarts.restart(5.0, (0.0, 100.0), 0.25)
    expected = 0.25 * math.exp(one(9, 200, 0.01)) + 0.25 * math.exp(one(9, 100, 0.01)) + 0.5
    assert restarts.look((9.0, 200.0)) == pytest.approx(math.log(expected))
    assert restarts.loudest() == (5.0, (9.0, 100.0))


def test_however_many_restarts_there_are_each_is_looked_at_in_its_turn():
    seen = []

    def judged(since):
        seen.extend(since[0].tolist())
        return np.zeros(since.shape[1])

    restarts = Restarts(judged, 1)
    for number in range(300):
        restarts.restart(float(number), (float(number),), 1 / 300)
    for look in range(40):
        restarts.look((1000.0 + look,))
    assert len({round(1000 + look - value) for look in range(40) for value in seen}) >= 300
    assert len(seen) <= 40 * 33


@pytest.mark.parametrize(("share", "total"), [(0.05, 400), (0.05, 40), (0.03, 400), (0.001, 2000)])
def test_the_mean_of_e_over_all_healthy_outcomes_is_at_most_one(share, total):
    """So that by Markov's inequality it reaches 1 / alpha in at most alpha of all runs."""
    bad = np.arange(total + 1.0)
    chances = stats.binom.logpmf(bad, total, share)
    mean = float(np.exp(chances + log_e(bad, np.full(total + 1, float(total)), 0.05)).sum())
    assert 0.0 < mean <= 1.0


def test_two_arms_that_fail_alike_are_told_apart_only_as_often_as_promised():
    """Traffic and errors that double and halve, a tenth of the traffic on the one arm: nothing of it is evidence."""
    rng, halted = np.random.default_rng(5), 0
    for _ in range(120):
        restarts = Restarts(compared(1.0, 1.0), 4)
        planned, counts = weights(faults=0, seconds=200.0), np.zeros(4)
        for second in range(200):
            if second % 5 == 0:
                restarts.restart(float(second), tuple(counts.tolist()), planned.grid)
            swing = 1 + 0.8 * math.sin(second / 15)
            totals = rng.poisson([6 * swing, 54 * swing])
            errors = rng.binomial(totals, 0.03 * (2 - swing))
            counts += [errors[0], totals[0], errors[1], totals[1]]
            if restarts.look(tuple(counts.tolist())) >= math.log(20):
                halted += 1
                break
    assert halted <= 12  # 6 of 120 are allowed; 13 and more come once in 200 times


def test_the_arm_that_fails_three_times_as_often_is_told():
    rng = np.random.default_rng(6)
    restarts, counts = Restarts(compared(1.2, 1.0), 4), np.zeros(4)
    restarts.restart(0.0, (0.0,) * 4, 1.0)
    for _ in range(90):
        counts += [rng.binomial(25, 0.06), 25, rng.binomial(25, 0.02), 25]
        restarts.look(tuple(counts.tolist()))
    assert restarts.log_e >= math.log(100)
