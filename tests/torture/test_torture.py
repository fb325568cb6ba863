"""The short form of the torture chamber; the long one is `python -m tests.torture --tries 300 --lines`."""

from __future__ import annotations

import random

import pytest

from tests.torture import strikes

pytestmark = pytest.mark.torture

TRIES = 2  # of each random strike
MORE = 6  # at most, until one shows what the machine can do
MOST = 15  # at most, until harm has landed in one
WITHIN = (
    0.25  # seconds from a SIGKILL of the runner to a victim that is well, where the machine has time for us
)
BUSY = 7  # times as long on a machine that has not, and still sooner than by the lease
SOME = 2  # lines of each role and scene


@pytest.mark.parametrize("strike", strikes.RANDOM, ids=lambda strike: strike.__name__)
def test_whoever_is_struck_whenever_all_is_as_before(strike):
    chance = random.Random(7)
    timed = strike in (strikes.kill_runner, strikes.kill_runner_while_it_undoes)
    tries = [strike(chance) for _ in range(TRIES)]
    while timed and min(each.seconds for each in tries) > WITHIN and len(tries) < MORE:
        tries.append(strike(chance))
    while not any(each.landed for each in tries) and len(tries) < MOST:
        tries.append(strike(chance))
    assert all(each.clean for each in tries), tries
    assert any(each.landed for each in tries), "no harm landed: nothing was shown"
    if timed:
        assert min(each.seconds for each in tries) <= WITHIN
        assert max(each.seconds for each in tries) <= WITHIN * BUSY


@pytest.mark.parametrize(
    ("role", "scene"),
    [("guardian", "life"), ("hand", "life"), ("guardian", "takeover"), ("guardian", "rollback")],
)
def test_death_before_any_line_is_healed(role, scene):
    reached = strikes.points(role, scene)
    assert len(reached) > 50, "the lines were not traced"
    for point in random.Random(7).sample(reached, SOME):
        result = strikes.kill_at(point, scene)
        assert result.clean, result
        assert result.landed, result
