"""The edge: found with few trials, with an interval that holds it, however noisy the trials are."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from runner.statistics.edge import Belief, Range, Trial, ratio

LEVELS = Range(20.0, 400.0, resolution=0.05)


def searched(breaks, *, levels=LEVELS, most=60):
    """Search with trials that break by themselves; return the belief and the number of trials."""
    belief, trials = Belief(levels), 0
    while trials < most and not belief.edge().settled:
        level = belief.next_level()
        belief.learn(Trial(level, bool(breaks(level))))
        trials += 1
    return belief, trials


def noisy(edge, spread, rng):
    return lambda level: rng.random() < ndtr(math.log(level / edge) / spread)


@pytest.mark.parametrize("edge", [25.0, 77.0, 150.0, 390.0])
def test_a_sharp_edge_is_found_to_the_resolution_asked_for(edge):
    belief, trials = searched(lambda level: level > edge)
    found = belief.edge()
    assert found.low is not None
    assert found.low <= edge
    assert found.high is None or edge <= found.high
    assert found.value == pytest.approx(edge, rel=0.05)
    assert trials <= 20


def test_a_finer_resolution_costs_more_trials_and_gives_a_narrower_interval():
    coarse, few = searched(lambda level: level > 100, levels=Range(20.0, 400.0, resolution=0.2))
    fine, many = searched(lambda level: level > 100, levels=Range(20.0, 400.0, resolution=0.01))
    assert few < many
    assert coarse.edge().high / coarse.edge().low > 1.2
    assert fine.edge().high / fine.edge().low < 1.021


def test_the_interval_holds_the_edge_of_noisy_trials_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = []
    for _ in range(40):
        edge = math.exp(rng.uniform(math.log(30), math.log(300)))
        found = searched(noisy(edge, 0.05, rng))[0].edge()
        held.append(found.low <= edge <= found.high)
    assert sum(held) >= 33  # of 40 at 95 %: fewer come once in 1,000 times


def test_one_odd_trial_does_not_mislead_the_search():
    trials = iter([True])  # the first one breaks, at a level far below the edge
    found = searched(lambda level: next(trials, level > 250.0))[0].edge()
    assert found.low <= 250.0 <= found.high


def test_a_system_that_bears_everything_gives_a_lower_bound_only():
    belief, trials = searched(lambda _level: False)
    found = belief.edge()
    assert (found.settled, found.high) == (True, None)
    assert 200 < found.low <= 400
    assert trials < 15


def test_a_system_that_bears_nothing_gives_an_upper_bound_only():
    found = searched(lambda _level: True)[0].edge()
    assert (found.settled, found.low) == (True, None)
    assert 20 <= found.high < 40


def test_nothing_is_tried_above_a_ceiling():
    belief = Belief(LEVELS)
    belief.lower_ceiling(100.0)
    for _ in range(12):
        level = belief.next_level()
        assert level <= 100.0
        belief.learn(Trial(level, broke=False))
    assert belief.edge().high is None


def test_nothing_is_tried_outside_of_the_range():
    belief = Belief(LEVELS)
    for number in range(30):
        level = belief.next_level()
        assert 20.0 <= level <= 400.0
        belief.learn(Trial(level, broke=number % 2 == 0))


def test_the_ratio_of_two_edges_has_an_interval_that_holds_it():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(15):
        baseline = searched(noisy(90.0, 0.03, rng))[0]
        variant = searched(noisy(108.0, 0.03, rng))[0]
        middle, low, high = ratio(variant, baseline)
        assert low < middle < high
        held.append(low <= 1.2 <= high)
    assert sum(held) >= 12


def test_the_same_trials_ask_for_the_same_next_level():
    def asked():
        belief = Belief(LEVELS)
        for _ in range(5):
            belief.learn(Trial(belief.next_level(), broke=belief.next_level() > 90))
        return belief.next_level()

    assert asked() == asked()
