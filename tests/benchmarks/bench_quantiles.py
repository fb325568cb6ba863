"""Ten million values of several shapes: the worst error of p50 to p99.9, ours and Locust's; at most 0.1 % is promised.

    python tests/benchmarks/bench_quantiles.py

Every value goes through the product's own `bucket`, one by one, as in a worker; the exact side sorts them all.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.load.histogram import bucket, quantile

MANY = 10_000_000
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


def shapes(chance: np.random.Generator) -> dict[str, np.ndarray]:
    fifth = MANY // 5
    return {
        "uniform 10 us to 100 s": chance.uniform(1e-5, 100.0, fifth),
        "log-uniform 10 us to 100 s": np.exp(chance.uniform(math.log(1e-5), math.log(100.0), fifth)),
        "lognormal around 20 ms": chance.lognormal(math.log(0.02), 1.0, fifth).clip(1e-5, 100.0),
        "normal at 105 ms": chance.normal(0.105, 0.001, fifth),
        "5 ms, 4 % at 2 to 3 s": np.where(chance.random(fifth) < 0.96, 0.005, 2.0 + chance.random(fifth)),
    }


def locusts(seconds: float) -> float:
    """Locust's rounding: whole milliseconds, two significant digits from 100 ms on."""
    milliseconds = seconds * 1000
    digits = 0 if milliseconds < 100 else -1 if milliseconds < 1000 else -2 if milliseconds < 10_000 else -3
    return round(milliseconds, digits) / 1000


def main() -> int:
    worst, spent = 0.0, 0.0
    for shape, values in shapes(np.random.default_rng(7)).items():
        plain = values.tolist()
        begun = time.process_time()
        counts = Counter(map(bucket, plain))
        spent += time.process_time() - begun
        ordered = np.sort(values)
        exact = [float(ordered[max(1, math.ceil(q * values.size - 1e-9)) - 1]) for q in QUANTILES]
        ours = [
            abs((quantile(counts, q) or 0.0) / true - 1) for q, true in zip(QUANTILES, exact, strict=True)
        ]
        theirs = [abs(locusts(true) / true - 1) for true in exact]
        worst = max(worst, *ours)
        print(f"{shape}: squall {max(ours):.4%}, locust {max(theirs):.2%}, {len(counts)} buckets")
    print(f"worst {worst:.4%} of {MANY:,} values; {spent / MANY * 1e9:.0f} ns a value")
    return 0 if worst <= 0.001 else 1


if __name__ == "__main__":
    sys.exit(main())
