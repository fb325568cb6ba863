"""How often a run that ends as soon as all is decided decides wrongly, and how much sooner it ends.

    .venv/bin/python tests/benchmarks/bench_early.py [RUNS]

Each simulated run has 10 s before (1 % of requests bad where the limit is 5 %) and a fault of 60 s. Once a second the product's own
evidence, with the design effects of the time before and of the fault so far, is asked about all but the newest half second; where it
decides, the fault ends and that is the verdict; where it never does, the verdict is the product's interval of the whole fault.

At the limit itself neither answer is right: held in at most alpha of all runs, broken in at most alpha. Models as in bench_false_halts.py:
independent requests; those of one second sharing their fate (correlation 0.05), also in the time before.
"""

import sys

import numpy as np
from scipy import stats

from runner.load.frames import SLOT
from runner.planning.endings import LEAST
from runner.running.decider import ANSWERED
from runner.statistics.design_effect import design_effect
from runner.statistics.intervals import of_share
from runner.statistics.sequential import evidence, needed
from runner.verdict.calibration import effect_of
from runner.verdict.early import MARGIN

LIMIT, CONFIDENCE, USUAL = 0.05, 0.95, 0.01
BEFORE, FAULT = 10, 60  # seconds
SLOTS = round(1 / SLOT)
NEWEST = round(ANSWERED / SLOT)


def counts(rng, rate, seconds, share, icc):
    total = np.diff(np.floor(np.arange(seconds * SLOTS + 1) * rate * SLOT + 1e-9)).astype(np.int64)
    if not icc:
        return rng.binomial(total, share).astype(float), total.astype(float)
    size = 1 / icc - 1
    chance = np.repeat(rng.beta(share * size, (1 - share) * size, seconds), SLOTS)
    return rng.binomial(total, chance).astype(float), total.astype(float)


def told(bad, total, calm):
    effect = max(calm, effect_of(bad, total, 1 - CONFIDENCE))
    wanted, skip = needed(CONFIDENCE), round(LEAST / SLOT) - 1
    return evidence(
        bad, bad, total, limit=LIMIT, effect=effect, needed_under=wanted, needed_over=wanted, skip=skip
    )


def verdict(bad, total, calm):
    """held, broken or inconclusive, and after how many seconds."""
    for second in range(round(LEAST), FAULT):
        until = second * SLOTS - NEWEST
        found = told(bad[:until], total[:until], calm)
        if found.decides(margin=MARGIN):
            return "held" if found.is_under() else "broken", float(second)
    low, high = of_share(bad.sum(), total.sum(), design_effect(bad, total, slot=SLOT), CONFIDENCE)
    return "held" if high < LIMIT else "broken" if low > LIMIT else "inconclusive", float(FAULT)


def simulate(rng, runs, *, rate, share, icc):
    found = []
    for _ in range(runs):
        calm = effect_of(*counts(rng, rate, BEFORE, USUAL, icc), 1 - CONFIDENCE)
        found.append(verdict(*counts(rng, rate, FAULT, share, icc), calm))
    outcomes = [outcome for outcome, _ in found]
    seconds = np.array([took for _, took in found])
    return {name: outcomes.count(name) for name in ("held", "broken", "inconclusive")}, seconds


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rng, failed = np.random.default_rng(7), False
    print(f"{runs} runs each, error_rate < 5 %, confidence 95 %; p of 'at most alpha' (pass: >= 0.001)")
    for rate in (60, 20):
        for icc in (0.0, 0.05):
            for share in (LIMIT, LIMIT / 5, LIMIT / 2, 2 * LIMIT, 5 * LIMIT):
                found, seconds = simulate(
                    rng, runs if share == LIMIT else runs // 5, rate=rate, share=share, icc=icc
                )
                every = sum(found.values())
                text = "  ".join(f"{name} {number / every:6.1%}" for name, number in found.items())
                line = f"{rate:3}/s  correlation {icc:4}  true {share:5.1%}  {text}  ended after {np.median(seconds):4.1f} s (median)"
                if share == LIMIT:
                    values = [
                        stats.binomtest(found[name], every, 1 - CONFIDENCE, alternative="greater").pvalue
                        for name in ("held", "broken")
                    ]
                    failed |= min(values) < 1e-3
                    line += (
                        f"  cut {np.mean(seconds < FAULT):.1%}  p held {values[0]:.3f} broken {values[1]:.3f}"
                    )
                print(line, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
