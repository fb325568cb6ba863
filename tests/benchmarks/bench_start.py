"""How quickly Squall starts: `squall --version` beside a bare interpreter, and `squall run` to its first arrival.

.venv/bin/python tests/benchmarks/bench_start.py
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runs import ROOT, Workplace, free_port

SQUALL = Path(sys.executable).with_name("squall")


def median_of(argv, rounds=15):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


ENVIRONMENT = """
targets:
  front: {{url: 'http://127.0.0.1:{port}', processes: {{port: {port}}}}}
"""
SCENARIO = """
title: Nothing but load
load: {{locustfile: {root}/scenarios/shoppers.py, classes: [Shopper], target: front, stages: [{{rate: 20/s, for: 2s}}]}}
warmup: 0s
before: 1s
after: 1s
"""


def first_arrival(folder, rounds=5):
    """Seconds from exec of `squall run` to its first request, against a front that already runs."""
    place = Workplace(folder)
    port = free_port()
    place.environment.write_text(ENVIRONMENT.format(port=port))
    scenario = folder / "load.yaml"
    scenario.write_text(SCENARIO.format(root=ROOT))
    front = subprocess.Popen(
        [sys.executable, "-m", "scenarios.shop.web", "--port", str(port), "--store", "127.0.0.1:1"], cwd=ROOT
    )
    times = []
    try:
        for _ in range(rounds):
            began = time.monotonic()
            code, output = place.run(scenario)
            assert code in (0, 3), output
            events = place.events()
            anchor = next(event for event in events if event["event"] == "started")["anchor"]["monotonic"]
            warmup = next(
                event for event in events if event["event"] == "phase" and event["name"] == "warmup"
            )
            times.append(anchor + warmup["at"] - began)
    finally:
        front.terminate()
        front.wait()
    return statistics.median(times)


def main():
    bare = median_of([sys.executable, "-c", "pass"])
    version = median_of([SQUALL, "--version"])
    helped = median_of([SQUALL, "--help"])
    print(f"bare interpreter {bare * 1e3:.0f} ms")
    print(f"squall --version {version * 1e3:.0f} ms, {version / bare:.1f} x bare (promised: under 150 ms)")
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"squall run to its first arrival, targets running: {first_arrival(Path(folder)):.2f} s (promised: within 2 s)"
        )
    print(f"squall --help    {helped * 1e3:.0f} ms, {helped / bare:.1f} x bare")


if __name__ == "__main__":
    main()
