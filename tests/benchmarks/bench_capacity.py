"""The search for the edge on simulated systems: coverage of its interval, trials beside plain bisection; the knee's too.

    python tests/benchmarks/bench_capacity.py [SEARCHES]

The edge of each simulated system is where half of its trials break; it lies anywhere between 30/s and 300/s, and the
search may go from 20/s to 400/s, to 5 %. `queue` is a real queue (uniform arrivals, four slots, service times of CV 1)
whose p95 of a 30 s trial is judged, its edge found beforehand by 4,000 trials. Plain bisection halves the range until it is
as narrow, with 5 trials a level, most of which decide; its interval is the last step.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import ndtr

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.statistics.edge import Belief, Edge, Range, Trial, ratio
from runner.statistics.usl import Law, fit

LEVELS = Range(20.0, 400.0, resolution=0.05)
MOST = 60
REPEATS = 5
Chance = np.random.Generator
System = Callable[[float, Chance], bool]  # whether a trial at a level breaks


def systems(edge: float) -> dict[str, System]:
    """Systems with that edge."""
    found: dict[str, System] = {"sharp": lambda level, _: level > edge}
    for spread in (0.02, 0.05, 0.1):
        found[f"spread {spread:.0%}"] = lambda level, rng, s=spread: (
            rng.random() < ndtr(math.log(level / edge) / s)
        )
    found["spread 5 %, skewed (Gumbel)"] = lambda level, rng: rng.random() < 1 - 0.5 ** ((level / edge) ** 25)
    found["spread 3 %, 3 % of trials break by accident"] = lambda level, rng: (
        rng.random() < 0.03 or rng.random() < ndtr(math.log(level / edge) / 0.03)
    )
    return found


def search(system: System, rng: Chance) -> tuple[Belief, int]:
    """Search as the product does."""
    belief, trials = Belief(LEVELS), 0
    while trials < MOST and not belief.edge().settled:
        level = belief.next_level()
        belief.learn(Trial(level, bool(system(level, rng))))
        trials += 1
    return belief, trials


def bisect(system: System, rng: Chance) -> tuple[float, float, int]:
    """Halve the range on a logarithmic scale; most of REPEATS trials decide."""
    low, high, trials = LEVELS.least, LEVELS.most, 0
    while high / low > (1 + LEVELS.resolution) ** 2:
        middle = math.sqrt(low * high)
        broken = sum(bool(system(middle, rng)) for _ in range(REPEATS))
        trials += REPEATS
        low, high = (low, middle) if broken > REPEATS / 2 else (middle, high)
    return low, high, trials


def holds(edge: Edge, true: float) -> bool:
    return (edge.low or 0.0) <= true <= (edge.high or math.inf)


def edges(searches: int) -> None:
    names = list(systems(100.0))
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        held, spent, plain_held, plain_spent, wide = [], [], [], [], []
        for _ in range(searches):
            true = math.exp(rng.uniform(math.log(30), math.log(300)))
            system = systems(true)[name]
            belief, trials = search(system, rng)
            found = belief.edge()
            held.append(holds(found, true))
            spent.append(trials)
            wide.append(math.log((found.high or 400.0) / (found.low or 20.0)) / 2)
            low, high, trials = bisect(system, rng)
            plain_held.append(low <= true <= high)
            plain_spent.append(trials)
        print(
            f"{name}: holds the edge {np.mean(held):.1%}, trials {np.median(spent):.0f} (90 %: {np.quantile(spent, 0.9):.0f}),"
            f" half width {np.median(wide):.1%}; bisection holds it {np.mean(plain_held):.1%}, trials {np.median(plain_spent):.0f}",
            flush=True,
        )


def p95_over(level: float, rng: Chance, *, seconds: float = 30.0, limit: float = 0.15) -> bool:
    """One trial of a queue: four slots, gamma service times of mean 40 ms and CV 1, evenly spaced arrivals."""
    count = int(level * seconds)
    service = rng.exponential(0.04, count)
    free, late = [0.0] * 4, 0
    for number in range(count):
        at = number / level
        done = max(at, free[0]) + service[number]
        heapq.heapreplace(free, done)
        late += done - at > limit
    return late > 0.05 * count


def queue(searches: int) -> None:
    rng = np.random.default_rng(100)
    levels = np.repeat(np.geomspace(70.0, 100.0, 40), 100)
    broke = np.array([p95_over(level, rng) for level in levels])
    true = _half(levels, broke)
    found = [search(p95_over, rng) for _ in range(searches // 4)]
    held = np.mean([holds(belief.edge(), true) for belief, _ in found])
    print(
        f"queue of 100/s with p95 < 150 ms, true edge {true:.1f}/s: holds the edge {held:.1%} of {len(found)},"
        f" trials {np.median([trials for _, trials in found]):.0f}",
        flush=True,
    )


def _half(levels: np.ndarray, broke: np.ndarray) -> float:
    """The level at which half break, by a fit of the whole curve."""
    from scipy.optimize import curve_fit

    shape, _ = curve_fit(
        lambda x, middle, spread: ndtr((x - middle) / spread),
        np.log(levels),
        broke.astype(float),
        p0=[math.log(85), 0.05],
    )
    return math.exp(shape[0])


def ratios(searches: int) -> None:
    rng = np.random.default_rng(200)
    held = []
    for _ in range(searches):
        true = math.exp(rng.uniform(math.log(30), math.log(250)))
        old, new = (search(systems(edge)["spread 5%"], rng)[0] for edge in (true, 1.12 * true))
        _, low, high = ratio(new, old)
        held.append(low <= 1.12 <= high)
    print(f"ratio of two edges, spread 5 %: holds 1.12 {np.mean(held):.1%}", flush=True)


def knees(searches: int) -> None:
    true = Law(unit=100.0, contention=0.03, coherency=2e-4, reach=0.0)
    knee = math.sqrt((1 - true.contention) / true.coherency)
    rng = np.random.default_rng(300)
    for upto, repeats, noise in (
        (24, 1, 0.02), (48, 1, 0.05), (96, 1, 0.02), (96, 1, 0.05), (96, 3, 0.02), (96, 3, 0.05),
    ):  # fmt: skip
        at = np.repeat(np.array([1, 8, 16, 32, 64, 96]) * upto / 96, repeats)
        laws = [
            fit(at, true.throughput(at) * np.exp(rng.normal(size=at.size) * noise)) for _ in range(searches)
        ]
        claimed = [law for law in laws if isinstance(law, Law) and law.knee is not None]
        held = f"{np.mean([law.low <= knee <= law.high for law in claimed]):.1%}" if claimed else "never"
        print(
            f"knee at {knee:.0f}, tested to {upto}, {repeats} each, noise {noise:.0%}: claimed {len(claimed)} of {searches}, holds it {held}",
            flush=True,
        )


if __name__ == "__main__":
    MANY = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    knees(MANY)
    queue(MANY)
    edges(MANY)
    ratios(MANY)
