"""A/A: real runs of the shop in which nothing is injected, under halts of 99 % confidence: none may halt.

    .venv/bin/python tests/benchmarks/bench_aa_live.py [RUNS]

Each is a whole `squall run` of some 17 s at 40 requests/s: 6 s of baseline, from which the rules learn what they compare
with and how clustered the bad ones come, then 8 s in which they are judged at each news. Prints how strong the evidence grew.
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runs import Workplace

RULES = '["error_rate > 1% (confidence 99%)", "p90 > 2x before (confidence 99%)"]'


def attempt(folder):
    """The outcome, the halt if there was one, and log10 of the strongest evidence against each rule."""
    place = Workplace(folder)
    scenario = place.scenario("", halt=RULES, after="8s")
    text = scenario.read_text().replace("faults:\n", "").replace("before: 2s", "before: 6s")
    scenario.write_text(
        text.replace("steady_state: [p95 < 1s, error_rate < 5%]", "steady_state: [error_rate < 5%]")
    )
    place.run(scenario)
    halts = [event for event in place.events() if event["event"] == "halt"]
    verdict = place.verdict()
    return verdict["outcome"], halts, {one["rule"]: one["log10"] for one in verdict["watched"]}


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    halted, outcomes, strongest = 0, [], {}
    for number in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            outcome, halts, seen = attempt(Path(folder))
        outcomes.append(outcome)
        halted += bool(halts)
        for rule, log10 in seen.items():
            strongest.setdefault(rule, []).append(log10)
        told = f"{halts[0]['cause']}: {halts[0]['reason']}" if halts else outcome
        print(f"run {number + 1}: {told}", flush=True)
    counts = ", ".join(f"{outcomes.count(one)} {one}" for one in dict.fromkeys(outcomes))
    print(f"{runs} runs ({counts}): {halted} halted")
    for rule, logs in strongest.items():
        print(
            f"  {rule}: armed in {len(logs)}; E at most {10 ** max(logs):.3g}, median {10 ** statistics.median(logs):.3g}"
        )
    sys.exit(1 if halted else 0)


if __name__ == "__main__":
    main()
