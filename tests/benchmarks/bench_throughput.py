"""Requests/s through Squall's worker against the same locustfile under bare `locust --headless`; at least 0.97 is promised.

    python tests/benchmarks/bench_throughput.py [--rounds 5] [--seconds 8] [--users 20]

nginx is pinned to core 0 and the load generator to core 1; the two sides take turns, which one is first alternates.
Both rates are counted by what they recorded, in the middle of the round where all users run. On a machine that others
use too, requests per second of the generator's own CPU time are the steadier measure: both are printed.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.load.client import TimedStage
from runner.load.frames import ROW, SLOT
from tests.benchmarks.nginx import nginx
from tests.benchmarks.performance import Performance

LOCUSTFILE = """
import os, time
from pathlib import Path
from locust import {kind}, constant, events, task

@events.test_start.add_listener
def begin(**_):
    global begun
    begun = time.process_time()

@events.test_stop.add_listener
def end(**_):
    Path(os.environ["BENCH_CPU"]).write_text(str(time.process_time() - begun))

class Visitor({kind}):
    wait_time = constant(0)

    @task
    def home(self):
        self.client.get("/")
"""
SETTLE = 1.5  # seconds at both ends of a round that do not count


class Rate(NamedTuple):
    """Requests per second of the clock, and of CPU time."""

    wall: float
    cpu: float


def squall(locustfile: Path, url: str, users: int, seconds: float) -> Rate:
    """Load by a Squall worker, counted from its chunks."""
    cpu = locustfile.with_name("cpu")
    performance = Performance(locustfile, url, "users", variables={"BENCH_CPU": str(cpu)})
    os.sched_setaffinity(performance.crowd.pid, {1})
    begun = performance.begin([TimedStage(0, None, users, users)])
    time.sleep(seconds)
    performance.crowd.stop(2)
    chunks = performance.chunks
    first, last = (begun + SETTLE) / SLOT, (begun + seconds - SETTLE) / SLOT
    ended = sum(
        n for chunk in chunks for _, end, _, _, n in ROW.iter_unpack(chunk.rows) if first <= end < last
    )
    total = sum(n for chunk in chunks for *_, n in ROW.iter_unpack(chunk.rows))
    return Rate(ended / (seconds - 2 * SETTLE), total / float(cpu.read_text()))


def bare(locustfile: Path, url: str, users: int, seconds: float) -> Rate:
    """Load by Locust alone, counted from its own history by the second."""
    cpu = locustfile.with_name("cpu")
    prefix = str(locustfile.with_suffix("")) + "-bare"
    command = f"taskset -c 1 {sys.executable} -m locust -f {locustfile} --headless --host {url} -u {users} -r {users}"
    subprocess.run(
        [*command.split(), "-t", f"{seconds:.0f}s", "--csv", prefix, "--csv-full-history", "--only-summary"],
        capture_output=True,
        check=True,
        env={**os.environ, "BENCH_CPU": str(cpu)},
    )
    with Path(f"{prefix}_stats_history.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    points = [
        (int(row["Timestamp"]), int(row["Total Request Count"]))
        for row in rows
        if row["User Count"] == str(users)
    ]
    (t1, n1), (t2, n2) = points[1], points[-1]
    with Path(f"{prefix}_stats.csv").open() as file:
        total = next(int(row["Request Count"]) for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    return Rate((n2 - n1) / (t2 - t1), total / float(cpu.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--users", type=int, default=20)
    options = parser.parse_args()
    worst = 1.0
    for kind in ("FastHttpUser", "HttpUser"):
        ratios = []
        with nginx(core=0) as server, tempfile.TemporaryDirectory() as folder:
            locustfile = Path(folder) / "locustfile.py"
            locustfile.write_text(LOCUSTFILE.format(kind=kind))
            for number in range(options.rounds):
                sides = [squall, bare] if number % 2 else [bare, squall]
                rates = {side: side(locustfile, server.url, options.users, options.seconds) for side in sides}
                ours, theirs = rates[squall], rates[bare]
                ratios.append(Rate(ours.wall / theirs.wall, ours.cpu / theirs.cpu))
                print(
                    f"{kind}: squall {ours.wall:.0f}/s, locust {theirs.wall:.0f}/s, ratio {ratios[-1].wall:.3f}; "
                    f"by CPU {ours.cpu:.0f}/s, {theirs.cpu:.0f}/s, ratio {ratios[-1].cpu:.3f}",
                    flush=True,
                )
        wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"{kind}: median ratio {wall:.3f}, by CPU {cpu:.3f}, of {options.rounds} rounds")
        worst = min(worst, wall)
    return 0 if worst >= 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
