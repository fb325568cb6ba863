"""Pairs against margins: what the intervals, tests and counts come to, checked against scipy, by hand and by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from runner.statistics import balance, paired

TEN_PERCENT = math.log(1.1)


def test_the_interval_is_students_over_the_pairs():
    d = [0.02, -0.01, 0.05, 0.03, 0.00, 0.04]
    seen = paired.interval(d)
    scipys = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (seen.low, seen.high) == pytest.approx((scipys.low, scipys.high))
    one_sided = stats.ttest_1samp(d, 0, alternative="less").confidence_interval(0.95)
    assert seen.most == pytest.approx(one_sided.high)


def test_one_pair_proves_nothing():
    found = paired.decide([0.0], floor=None, ceiling=TEN_PERCENT)
    assert found.judgement == "inconclusive"
    assert found.needed is None


@pytest.mark.parametrize(
    ("numbers", "judgement"),
    [
        ([0.01, 0.00, 0.02, -0.01], "pass"),
        ([0.20, 0.22, 0.19, 0.21], "fail"),
        ([0.02, 0.15, -0.05, 0.12], "inconclusive"),
    ],
)
def test_non_inferiority_passes_fails_or_cannot_tell(numbers, judgement):
    found = paired.decide(numbers, floor=None, ceiling=TEN_PERCENT)
    assert found.judgement == judgement
    if judgement == "pass":
        assert found.p == pytest.approx(stats.ttest_1samp(numbers, TEN_PERCENT, alternative="less").pvalue)


def test_equivalence_needs_both_sides():
    faster = [-0.30, -0.31, -0.29, -0.30]
    assert paired.decide(faster, floor=None, ceiling=TEN_PERCENT).judgement == "pass"
    assert paired.decide(faster, floor=math.log(0.9), ceiling=TEN_PERCENT).judgement == "fail"
    assert (
        paired.decide([0.0, 0.01, -0.01, 0.0], floor=math.log(0.9), ceiling=TEN_PERCENT).judgement == "pass"
    )


def test_the_permutation_test_is_exact():
    numbers = [0.02, 0.15, -0.05, 0.12, 0.01, 0.09]
    beyond = np.array(numbers) - TEN_PERCENT
    flips = [np.mean(beyond * signs) for signs in itertools.product([1, -1], repeat=6)]
    by_hand = np.mean([flip <= beyond.mean() + 1e-12 for flip in flips])
    assert paired.exact(numbers, floor=None, ceiling=TEN_PERCENT) == pytest.approx(by_hand)
    assert paired.exact(numbers[:4], floor=None, ceiling=TEN_PERCENT) is None, "four pairs cannot reach 5 %"


@pytest.mark.parametrize(
    ("spread", "margin", "pairs"), [(0.02, 1.05, 4), (0.05, 1.05, 15), (0.05, 1.1, 6), (0.1, 1.1, 16)]
)
def test_pairs_needed_are_those_of_the_noncentral_t(spread, margin, pairs):
    found = paired.pairs_for(spread=spread * math.sqrt(2), distance=math.log(margin))
    assert found == pairs
    assert paired.power(spread=spread * math.sqrt(2), distance=math.log(margin), pairs=found - 1) < 0.8


def test_power_is_what_simulated_pairs_show():
    rng = np.random.default_rng(5)
    spread, runs = 0.09, 2000
    passed = sum(
        paired.decide(rng.normal(0, spread, 8), floor=None, ceiling=TEN_PERCENT).judgement == "pass"
        for _ in range(runs)
    )
    promised = paired.power(spread=spread, distance=TEN_PERCENT, pairs=8)
    assert stats.binomtest(passed, runs, promised).pvalue > 1e-3
    assert paired.detectable(error=spread / math.sqrt(8), freedom=7) == pytest.approx(
        next(d for d in np.arange(0, 1, 1e-4) if paired.power(spread=spread, distance=d, pairs=8) >= 0.8),
        abs=2e-4,
    )


def test_what_is_still_needed_gets_less_as_pairs_come():
    few = paired.decide([0.02, 0.15, -0.05, 0.12], floor=None, ceiling=TEN_PERCENT)
    more = paired.decide([0.02, 0.15, -0.05, 0.12] * 5, floor=None, ceiling=TEN_PERCENT)
    assert few.needed > (more.needed or 0)


def test_holm_steps_down():
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([]) == []


def test_no_error_at_all_leaves_what_so_many_requests_cannot_rule_out():
    low, high, _, most = paired.shares(([0] * 6, [0] * 6), ([500] * 6, [500] * 6))
    assert high == pytest.approx(1.96**2 / (3000 + 1.96**2), rel=0.01)
    assert low == -high
    assert 0 < most < high
    assert paired.shares(([], []), ([], [])) is None


def test_the_interval_of_a_difference_of_shares_is_newcombes():
    """Newcombe 1998, table II, method 10, example a: 56/70 - 48/80."""
    low, high, _, _ = paired.shares(([48], [56]), ([80], [70]))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_errors_that_come_in_clusters_tell_less():
    even = paired.shares(([5] * 6, [5] * 6), ([500] * 6, [500] * 6))
    bursts = paired.shares(([0, 30, 0, 0, 0, 0], [0, 0, 0, 30, 0, 0]), ([500] * 6, [500] * 6))
    assert bursts[1] - bursts[0] > 2 * (even[1] - even[0])


def test_a_split_that_was_not_planned_is_seen_and_a_planned_one_is_not():
    assert balance.split([9000, 1000], [0.9, 0.1]) > 0.9
    assert balance.split([9000, 1200], [0.9, 0.1]) < balance.MISMATCH
    assert balance.split([0, 0], [1, 1]) == 1.0


def test_other_mixes_of_requests_are_seen():
    same = {"GET /": 300, "GET /item": 600, "POST /order": 100}
    assert balance.mixes(same, {"GET /": 310, "GET /item": 590, "POST /order": 105}) > 0.05
    assert balance.mixes(same, {"GET /": 600, "GET /item": 300}) < balance.MISMATCH
    assert balance.mixes({"GET /": 5}, {"GET /": 9}) == 1.0


def test_a_baseline_that_moves_is_seen_and_noise_is_not():
    found = balance.drift(range(10), [1.0 + 0.05 * n for n in range(10)])
    assert found.p < 0.001
    assert found.moved == pytest.approx(0.45)
    assert balance.drift(range(8), [1.0, 1.2, 0.9, 1.1, 1.0, 1.2, 0.9, 1.1]).p > 0.1
    assert balance.drift(range(4), [1, 2, 3, 4]) is None
    assert balance.drift(range(6), [1.0] * 6).p == 1.0
