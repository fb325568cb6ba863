"""How often an interval holds the truth, and how often a change is seen where none is. `python tests/benchmarks/bench_coverage.py [RUNS]`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.load.frames import SLOT, Key
from runner.load.histogram import GROWTH, SMALLEST
from runner.statistics.changes import CLEAR, steps_of_rate, steps_of_share
from runner.statistics.comparison import Measured
from runner.statistics.cutting import Cut, Stretch
from runner.statistics.doubt import Doubt
from runner.statistics.intervals import of_ratio
from runner.statistics.measures import measure_cut
from runner.statistics.recovery import Line, between
from runner.statistics.sureness import sure
from tests.made import term

SIGMA, RATE, ERRORS = 0.6, 50.0, 0.02  # of log latency; requests per second; share of errors
SWING, LASTING, RUN = 0.10, 20.0, 0.05  # AR(1): deviation of log latency, seconds; deviation from run to run
DOUBT = Doubt(0.95)
TERMS = ("p50", "p95", "p99", "mean", "error_rate")
KEY = Key("GET /item", 200)


@dataclasses.dataclass(frozen=True)
class World:
    """How a run's requests come about. *swing* and *errors_swing* go by an AR(1) process of *lasting* seconds."""

    name: str
    swing: float = 0.0
    run: float = 0.0
    lasting: float = LASTING

    @property
    def spread(self) -> float:
        return float(np.hypot(SIGMA, np.hypot(self.swing, self.run)))

    def truth(self, name: str) -> float:
        if name == "error_rate":
            return ERRORS
        if name == "mean":
            return 0.1 * float(np.exp(self.spread**2 / 2))
        return 0.1 * float(np.exp(self.spread * ndtri(float(name[1:]) / 100)))


WORLDS = (
    World("iid"),
    World("AR(1) 10 %, 20 s", SWING),
    World("AR(1) 10 %, 5 s", SWING, lasting=5.0),
    World("AR(1) and run effect 5 %", SWING, RUN),
)


def run(world: World, seconds: int, rng: np.random.Generator) -> Cut:
    """One run of Poisson arrivals; latency and the chance of an error go up and down together."""
    slots = round(seconds / SLOT)
    levels = _levels(world, seconds, rng) + world.run * rng.normal()
    counts = rng.poisson(RATE * SLOT, slots)
    slot = np.repeat(np.arange(slots), counts)
    level = np.repeat(np.repeat(levels, round(1 / SLOT)), counts)
    latency = 0.1 * np.exp(level + SIGMA * rng.normal(size=len(slot)))
    odds = ndtr((level - world.spread * ndtri(1 - ERRORS)) / SIGMA)
    spread = np.hypot(world.swing, world.run)
    odds = odds if spread else np.full(len(slot), ERRORS)
    bucket = np.maximum(0, np.ceil(np.log(latency / SMALLEST) / np.log(GROWTH))).astype(np.int64)
    none = np.zeros(0, dtype=np.int64)
    return Cut(slot, bucket, np.ones(len(slot), dtype=np.int64), rng.random(len(slot)) < odds, none, none.astype(float),
               none, Stretch(0, slots), (0,), (slots,))  # fmt: skip


def _levels(world: World, seconds: int, rng: np.random.Generator) -> np.ndarray:
    if not world.swing:
        return np.zeros(seconds)
    keep = np.exp(-1 / world.lasting)
    push = rng.normal(size=seconds) * world.swing * np.sqrt(1 - keep**2)
    level, found = rng.normal() * world.swing, np.empty(seconds)
    for number in range(seconds):
        found[number] = level
        level = keep * level + push[number]
    return found


def measured(one: Cut, name: str, seconds: int) -> Measured:
    found = measure_cut(one, term(name), seconds=seconds)
    return sure(one, term(name), found, DOUBT, seconds=seconds)


def coverage(world: World, seconds: int, runs: int, seed: int = 1) -> dict[str, tuple[float, float]]:
    """Share of runs whose interval holds the truth, and the median width over the truth, by term."""
    rng = np.random.default_rng(seed)
    held: dict[str, list[bool]] = {name: [] for name in (*TERMS, "ratio of p95")}
    width: dict[str, list[float]] = {name: [] for name in held}
    earlier = None
    for _ in range(runs):
        one = run(world, seconds, rng)
        for name in TERMS:
            found, true = measured(one, name, seconds), world.truth(name)
            held[name].append(found.low <= true <= found.high)
            width[name].append((found.high - found.low) / true)
        now = measured(one, "p95", seconds)
        if earlier is not None:
            low, high = of_ratio(
                now.value or 0.0, (now.low, now.high), earlier.value or 0.0, (earlier.low, earlier.high)
            )
            held["ratio of p95"].append(low <= 1 <= high)
            width["ratio of p95"].append(high - low)
        earlier = now if earlier is None else None
    return {name: (float(np.mean(each)), float(np.median(width[name]))) for name, each in held.items()}


def recovery(rate: float, runs: int, *, seed: int = 2) -> tuple[float, float, float]:
    """Errors fall from 20 % with 20 s; the truth is when they cross 1 %. Share held, median of both ends."""
    rng = np.random.default_rng(seed)
    at, share = np.arange(300), 0.002 + 0.198 * np.exp(-np.arange(300) / 20)
    true = float(-20 * np.log((0.01 - 0.002) / 0.198))
    held, lows, highs = [], [], []
    for _ in range(runs):
        tries = rng.poisson(rate, len(at)).astype(float)
        hits = rng.binomial(tries.astype(int), share).astype(float)
        bad = tuple(bool(hit > 0.01 * one) if one else None for hit, one in zip(hits, tries, strict=True))
        found = between([Line(bad, hits, tries, 0.01)], confidence=0.95)
        high = np.inf if found.high is None else found.high
        held.append(found.low <= np.ceil(true) and high >= np.floor(true))
        lows.append(found.low)
        highs.append(high)
    return float(np.mean(held)), float(np.median(lows)), float(np.median(highs))


def false_changes(world: World, seconds: int, runs: int, seed: int = 3) -> tuple[float, float, float]:
    """Share of runs without any change in which one is seen: of errors, latency, rate."""
    rng, found = np.random.default_rng(seed), []
    per = round(1 / SLOT)
    for _ in range(runs):
        one = run(world, seconds, rng)
        total = np.bincount(one.slot // per, minlength=seconds).astype(float)
        edge = np.quantile(one.bucket, 0.9)
        bad, slow = (
            np.bincount(one.slot // per, weights=mask, minlength=seconds)
            for mask in (one.bad, one.bucket > edge)
        )
        steps = steps_of_share(bad, total), steps_of_share(slow, total), steps_of_rate(total)
        found.append([any(step.size >= CLEAR for step in each) for each in steps])
    errors, latency, rate = np.mean(found, axis=0).tolist()
    return errors, latency, rate


def main(runs: int) -> None:
    print(f"share of {runs} runs whose 95 % interval holds the truth, in % (median width over the truth)")
    for seconds in (60, 600, 3600):
        many = runs if seconds < 3600 else max(100, runs // 4)
        for world in WORLDS:
            found = coverage(world, seconds, many)
            cells = "  ".join(f"{name} {100 * held:.1f} ({wide:.3f})" for name, (held, wide) in found.items())
            print(f"{seconds:>5} s, {world.name}: {cells}", flush=True)
    for rate in (2.0, 10.0, 50.0):
        held, low, high = recovery(rate, runs)
        print(
            f"recovery at {rate:g}/s, true 64 s: {100 * held:.1f} %, median {low:.0f} to {high:.0f} s",
            flush=True,
        )
    for seconds in (60, 600):
        for world in WORLDS[:3]:
            errors, latency, rate = false_changes(world, seconds, runs // 2)
            print(f"false changes in {seconds} s, {world.name}: errors {100 * errors:.1f} %, latency {100 * latency:.1f} %, "
                  f"rate {100 * rate:.1f} %", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
