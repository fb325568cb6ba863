"""How often a healthy system is halted, judged at the very limit: at most alpha of all runs may be.

    .venv/bin/python tests/benchmarks/bench_false_halts.py [RUNS]

Each simulated run has 300 s of baseline, from which the design effect is measured, and 600 s that are judged ten times a
second by the product's own evidence (restarts every 5 s and at both edges of a fault of 300 s that does nothing).
Seconds in which E cannot come to 20, by a bound on all restarts together, are left out. Models of the requests, all with the mean at the limit:

- iid: 1 % of requests fail, independently.
- ICC 0.05: those of one second share a beta-distributed chance; their fates correlate by 0.05.
- AR(1): log-latency is normal (sigma 0.6) around a level with sd 10 % that forgets with a time constant of 20 s; judged is
  p95, at the p95 of that mixture. So while the level is up the limit IS exceeded, by up to a half for some seconds:
  the bound alpha then rests on the design effect, no longer on the supermartingale alone.

Beside it, what peers do: a cumulative share against the limit (after 30 s), and a window of a minute.
"""

import math
import sys

import numpy as np
from scipy import signal, special, stats

from runner.statistics.evidence import Restarts, against, weights
from runner.verdict.calibration import effect_of

BASELINE, JUDGED = 300, 600  # seconds
ALPHAS = 0.05, 0.01
SLOTS = 10  # of a second
SIGMA, LEVEL, MEMORY = 0.6, 0.1, 20.0
MIXED = stats.norm.ppf(0.95) * math.hypot(SIGMA, LEVEL)  # p95 of the log-latency, level included


def iid(rng, rate, seconds):
    total = rng.poisson(rate / SLOTS, seconds * SLOTS)
    return rng.binomial(total, 0.01), total


def clustered(rng, rate, seconds, icc=0.05):
    total = rng.poisson(rate / SLOTS, seconds * SLOTS)
    size = 1 / icc - 1
    chance = np.repeat(rng.beta(0.01 * size, 0.99 * size, seconds), SLOTS)
    return rng.binomial(total, chance), total


def wandering(rng, rate, seconds):
    total = rng.poisson(rate / SLOTS, seconds * SLOTS)
    keep = math.exp(-1 / (MEMORY * SLOTS))
    steps = rng.normal(0, LEVEL * math.sqrt(1 - keep**2), seconds * SLOTS)
    levels, _ = signal.lfilter([1.0], [1.0, -keep], steps, zi=[keep * rng.normal(0, LEVEL)])
    return rng.binomial(total, stats.norm.sf((MIXED - levels) / SIGMA)), total


MODELS = {"iid": (iid, 0.01), "ICC 0.05": (clustered, 0.01), "AR(1)": (wandering, 0.05)}


def highest(bad, total, *, limit, effect):
    """The highest log E of a run looked at ten times a second; 0 where it cannot come to log 20."""
    wrong, requests = (np.concatenate([[0.0], column.cumsum()]) for column in (bad, total))
    planned = weights(faults=1, seconds=JUDGED)
    moments = dict.fromkeys(range(0, JUDGED, round(planned.spacing)), planned.grid)
    moments[0] += planned.start
    moments[300] += planned.end
    starts, shares = np.array(list(moments)), np.array(list(moments.values()))
    seconds = possible(wrong[::SLOTS], requests[::SLOTS], starts, shares, limit=limit, effect=effect)
    restarts, most = Restarts(against(limit, effect), 2), 0.0
    for second in range(JUDGED) if len(seconds) else ():
        if second in moments:
            counts = (wrong[second * SLOTS], requests[second * SLOTS])
            restarts.restart(float(second), counts, moments[second])
        if second in seconds:
            for slot in range(second * SLOTS + 1, (second + 1) * SLOTS + 1):
                most = max(most, restarts.look((wrong[slot], requests[slot])))
    return most


def possible(wrong, requests, starts, shares, *, limit, effect):
    """The seconds in which E might come to 20: no E exceeds the likelihood ratio of the share seen to the limit."""
    rows = np.nonzero(np.diff(wrong))[0]  # E rises by bad requests only
    bad = (
        wrong[rows + 1, np.newaxis] - wrong[starts]
    )  # as many as at the second's end, of as many as at its start
    total = np.maximum(requests[rows, np.newaxis] - requests[starts], bad)
    row, column = np.nonzero((rows[:, np.newaxis] >= starts) & (bad > limit * total))
    bad, total = bad[row, column], total[row, column]
    ratio = special.xlogy(bad, bad / (limit * total)) + special.xlogy(
        total - bad, (1 - bad / total) / (1 - limit)
    )
    most = np.bincount(
        row, weights=shares[column] * np.exp(np.minimum(ratio / effect, 600.0)), minlength=len(rows)
    )
    return set(rows[most + 1.0 >= 20].tolist())


def by_second(column):
    return column.reshape(-1, SLOTS).sum(axis=1).astype(float)


def peers(bad, total, limit):
    """Whether a cumulative share (after 30 s), and one of a window of a minute (each minute), ever exceed the limit."""
    share = bad.cumsum() / np.maximum(total.cumsum(), 1)
    minutes = bad.reshape(-1, 60).sum(axis=1) / np.maximum(total.reshape(-1, 60).sum(axis=1), 1)
    return bool((share[30:] > limit).any()), bool((minutes > limit).any())


def simulate(model, rate, runs, seed):
    """Of each run, for each alpha the design effect that is taken and the highest log E, and what peers would have done."""
    make, limit = MODELS[model]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        bad, total = make(rng, rate, BASELINE + JUDGED)
        early = BASELINE * SLOTS
        bad, total = bad.astype(float), total.astype(float)
        row = []
        for alpha in ALPHAS:
            effect = effect_of(bad[:early], total[:early], alpha)
            row += [effect, highest(bad[early:], total[early:], limit=limit, effect=effect)]
        found.append((*row, *peers(by_second(bad[early:]), by_second(total[early:]), limit)))
    return np.array(found)


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print(
        f"{runs} healthy runs at the limit; halted, with the 95 % interval; p of 'at most alpha' (pass: >= 0.001)"
    )
    failed = False
    for number, model in enumerate(MODELS):
        for rate in (5, 50):
            *columns, cumulative, window = simulate(model, rate, runs, seed=number * 100 + rate).T
            told = []
            for alpha, effects, logs in zip(ALPHAS, columns[::2], columns[1::2], strict=True):
                result = stats.binomtest(
                    int((logs >= -math.log(alpha)).sum()), runs, alpha, alternative="greater"
                )
                low, high = stats.binomtest(result.k, runs).proportion_ci(method="exact")
                failed |= result.pvalue < 1e-3
                told.append(
                    f"{1 - alpha:.0%}: effect {np.median(effects):5.2f}, {result.k / runs:6.2%} "
                    f"({low:.2%} to {high:.2%}) p {result.pvalue:.3f}"
                )
            print(
                f"{model:9} {rate:3}/s  {'   '.join(told)}   "
                f"peers: cumulative {cumulative.mean():.1%}, window of 1 min {window.mean():.1%}",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
