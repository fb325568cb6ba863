"""How often `squall compare` is wrong: by simulation, and by real runs of the shop.

Run: python tests/benchmarks/bench_swap.py            simulation, a minute
     python tests/benchmarks/bench_swap.py --live     the shop against itself, and against a version 15 % slower
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from runner.statistics.paired import decide, exact, power  # noqa: E402
from tests.runs import ENVIRONMENT, free_port  # noqa: E402

RATE, SIGMA, PAIRS, SECONDS, MARGIN = 50, 0.6, 12, 50, 0.10
PAGE = 0.4  # seconds that the shop takes for a page: what comes on top is little beside it
RUN_CV, AR_SD, AR_SECONDS = 0.05, 0.10, 20.0
SCENARIO = """
title: A page of 400 ms
load:
  locustfile: {root}/scenarios/shoppers.py
  classes: [Shopper]
  target: front
  stages: [{{name: steady, rate: 40/s}}]
warmup: 1s
before: 1s
after: 1s
faults:
  lost: {{kind: kill, target: shop, pick: 1, at: 1s, for: {seconds}s}}
compare: {{pairs: {pairs}, when: during lost, margins: {{p50: ±10%, error_rate: 2%}}}}
"""


def latencies(rng: np.random.Generator, shift: float) -> np.ndarray:
    """One run: lognormal requests whose level wanders (AR 1), and which as a whole is off by the run's own share."""
    phi = math.exp(-1 / AR_SECONDS)
    level = np.empty(SECONDS)
    level[0] = rng.normal() * AR_SD
    steps = rng.normal(size=SECONDS) * AR_SD * math.sqrt(1 - phi**2)
    for second in range(1, SECONDS):
        level[second] = phi * level[second - 1] + steps[second]
    requests = rng.poisson(RATE, SECONDS)
    centre = math.log(0.1) + RUN_CV * rng.normal() + shift + np.repeat(level, requests)
    return np.exp(centre + SIGMA * rng.normal(size=requests.sum()))


def numbers(rng: np.random.Generator, shift: float, q: float) -> list[float]:
    """The logarithms of the ratios of PAIRS pairs of runs."""
    found = []
    for _ in range(PAIRS):
        base, variant = (np.quantile(latencies(rng, by), q) for by in (0.0, shift))
        found.append(math.log(variant / base))
    return found


def simulate(campaigns: int, q: float) -> None:
    rng = np.random.default_rng(2026)
    ceiling = math.log1p(MARGIN)
    at_margin = [numbers(rng, ceiling, q) for _ in range(campaigns)]
    alike = [numbers(rng, 0.0, q) for _ in range(campaigns)]
    wrong = sum(decide(d, floor=None, ceiling=ceiling).judgement == "pass" for d in at_margin)
    right = sum(decide(d, floor=None, ceiling=ceiling).judgement == "pass" for d in alike)
    same = sum(
        (decide(d, floor=None, ceiling=ceiling).judgement == "pass")
        == (exact(d, floor=None, ceiling=ceiling) < 0.05)
        for d in at_margin[:200]
    )
    spread = float(np.std([number for d in alike for number in d], ddof=1))
    print(
        f"p{q * 100:g}, {PAIRS} pairs x {SECONDS} s, margin {MARGIN:.0%}, {campaigns} campaigns:"
        f" type I at the margin {wrong / campaigns:.1%} (promised 7 %);"
        f" power {right / campaigns:.1%} (promised 75 %; by the noncentral t"
        f" {power(spread=spread, distance=ceiling, pairs=PAIRS):.1%});"
        f" the permutation test agrees in {same} of {min(200, campaigns)}"
    )


def live(delays: list[float], pairs: int, seconds: int) -> None:
    for delay in delays:
        name = (
            "the shop against itself"
            if delay == PAGE
            else f"a version of which a page takes {delay / PAGE:.2f}x as long"
        )
        with tempfile.TemporaryDirectory(prefix="swap-") as folder:
            print(f"{name}: {_compare(Path(folder), delay, pairs, seconds)}", flush=True)


def _compare(folder: Path, delay: float, pairs: int, seconds: int) -> str:
    base = ENVIRONMENT.format(root=ROOT, front=free_port())
    for name, much in (("before", PAGE), ("after", delay)):
        slower = base.replace("--port, $port, --store", f"--port, $port, --delay, '{much}', --store")
        (folder / f"{name}.yaml").write_text(slower)
    (folder / "swap.yaml").write_text(SCENARIO.format(root=ROOT, pairs=pairs, seconds=seconds))
    command = [sys.executable, "-m", "runner.cli", "compare", "swap.yaml"]
    command += ["--baseline", "before.yaml", "--variant", "after.yaml"]
    begun = time.monotonic()
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    found = list(folder.glob("reports/swap/compare-*/comparison.json"))
    if not found:
        return f"exit {ended.returncode}: {ended.stdout}{ended.stderr}"
    rails = json.loads(found[0].read_text())["guardrails"]
    told = "; ".join(f"{rail['judgement']}: {rail['reason']}" for rail in rails)
    return f"exit {ended.returncode} in {time.monotonic() - begun:.0f} s: {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=1000)
    parser.add_argument("--live", action="store_true")
    parser.add_argument(
        "--page", type=float, help="seconds that the variant takes for a page, instead of both 0.4 and 0.46"
    )
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.live:
        live([chosen.page] if chosen.page else [PAGE, 1.15 * PAGE], chosen.pairs, chosen.seconds)
    else:
        for q in (0.5, 0.95):
            simulate(chosen.campaigns, q)


if __name__ == "__main__":
    main()
