"""What counts in clusters tell: the design effect."""

import numpy as np
import pytest

from runner.statistics.design_effect import FEWEST, DesignEffect, design_effect, effective
from runner.verdict.calibration import effect_of


def independent(seconds, *, rate=50, share=0.05, seed=1):
    rng = np.random.default_rng(seed)
    total = rng.poisson(rate, seconds)
    return rng.binomial(total, share), total


def clustered(seconds, *, rate=50, share=0.05, correlation=0.05, seed=1):
    """Beta-binomial: the requests of one second share their luck."""
    rng = np.random.default_rng(seed)
    spread = 1 / correlation - 1
    total = rng.poisson(rate, seconds)
    return rng.binomial(total, rng.beta(share * spread, (1 - share) * spread, seconds)), total


def drifting(seconds, *, rate=50, share=0.05, lasting=20.0, swing=0.35, seed=1):
    """The share goes up and down with a correlation of *lasting* seconds."""
    rng = np.random.default_rng(seed)
    keep, level, levels = np.exp(-1 / lasting), 0.0, []
    for push in rng.normal(size=seconds):
        level = keep * level + np.sqrt(1 - keep**2) * push
        levels.append(level)
    total = rng.poisson(rate, seconds)
    return rng.binomial(total, np.clip(share * np.exp(swing * np.array(levels)), 0, 1)), total


def median_effect(make, seconds, **more):
    return float(
        np.median([design_effect(*make(seconds, seed=seed), slot=1.0, **more).value for seed in range(40)])
    )


def test_independent_requests_have_none():
    assert 1.0 <= median_effect(independent, 600) < 1.25


def test_requests_that_share_a_second_count_for_less():
    assert 2.8 < median_effect(clustered, 600) < 4.6  # 1 + 0.05 x 49 = 3.45


def test_slow_swings_are_seen_beyond_the_second():
    assert 9.0 < median_effect(drifting, 1800) < 24.0  # about 1 + 50 x 0.05 x 0.147 x 40 / 0.95 = 16


def test_the_correlation_time_of_slow_swings_is_found():
    found = [design_effect(*drifting(3600, swing=0.6, seed=seed), slot=1.0).correlation for seed in range(40)]
    assert 8.0 < float(np.median(found)) < 45.0
    assert design_effect(*independent(600), slot=1.0).correlation == 0.0


@pytest.mark.parametrize(("chance", "least"), [(0.1, 50), (0.02, 58)])
def test_the_cautious_estimate_is_as_seldom_too_small_as_was_asked(chance, least):
    uppers = [design_effect(*clustered(600, seed=seed), slot=1.0, chance=chance).upper for seed in range(60)]
    assert sum(upper >= 3.45 for upper in uppers) >= least


def test_a_decision_that_may_go_wrong_less_often_takes_a_greater_effect():
    bad, total = clustered(600)
    assert effect_of(bad, total, 0.01) > effect_of(bad, total, 0.05) == effect_of(bad, total, 0.2)


def test_one_burst_is_one_event():
    bad = np.zeros(100)
    bad[30] = 12
    found = design_effect(bad, np.full(100, 6.0) + bad, slot=0.1)
    assert found.value == pytest.approx(12, rel=0.3)


@pytest.mark.parametrize("bad", [0.0, 6.0])
def test_where_nothing_varies_the_least_is_taken_and_the_cautious_says_more(bad):
    found = design_effect(np.full(100, bad), np.full(100, 6.0), slot=0.1)
    assert found.value == 1.0
    assert found.upper == pytest.approx(1 + 0.05 * 59)


def test_too_little_to_cut_into_blocks_is_no_defect():
    for slots in range(FEWEST):
        assert design_effect(np.ones(slots), np.full(slots, 3.0), slot=1.0).value == 1.0


def test_it_does_not_matter_which_ones_are_called_bad():
    bad, total = clustered(300)
    one, other = design_effect(bad, total, slot=1.0), design_effect(total - bad, total, slot=1.0)
    assert one.value == pytest.approx(other.value)


def test_effective_requests():
    assert effective(600, DesignEffect(value=4.0, upper=5.0)) == 150
