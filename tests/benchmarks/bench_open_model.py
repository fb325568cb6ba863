"""A stall of 2 s at 200 requests/s: the p95 that Squall's open model tells, that stock Locust tells, and the true one.

    python tests/benchmarks/bench_open_model.py

True: what nginx itself logged as the time of its answers, in order, less the times at which arrivals were due.
Promised: within 10 % of the true one.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.load import histogram
from runner.load.client import TimedStage
from runner.load.schedule import due_times
from tests.benchmarks.nginx import Nginx, nginx
from tests.benchmarks.performance import Performance

RATE, SECONDS, STALL_AT, STALL, USERS = 200, 20, 8.0, 2.0, 40
LOCUSTFILE = f"""
from locust import FastHttpUser, constant_throughput, task

class Visitor(FastHttpUser):
    wait_time = constant_throughput({RATE / USERS})

    @task
    def home(self):
        self.client.get("/")
"""


def true_p95(answers: Path, begun: float) -> float:
    """The 95th percentile of answer times less due times; *begun* on the wall clock."""
    due = (begun + at for at in due_times([TimedStage(0, SECONDS, RATE, RATE)]))
    answered = sorted(float(line) for line in answers.read_text().split())
    waits = sorted(answer - intended for answer, intended in zip(answered, due, strict=True))
    return waits[int(0.95 * len(waits)) - 1]


def squall(locustfile: Path, server: Nginx, answers: Path) -> tuple[float, float, float]:
    """p95 as told and as it was, and the worst lag behind the schedule, in seconds."""
    performance = Performance(locustfile, server.url, "rate")
    begun = performance.begin([TimedStage(0, SECONDS, RATE, RATE)])
    time.sleep(STALL_AT)
    server.stall(STALL)
    time.sleep(SECONDS - STALL_AT - STALL + 1)
    performance.crowd.stop(5)
    counts = performance.latencies()
    assert sum(counts.values()) == RATE * SECONDS, f"{sum(counts.values())} of {RATE * SECONDS} counted"
    told = histogram.quantile(counts, 0.95)
    assert told is not None
    true = true_p95(answers, performance.anchor.wall + begun)
    return told, true, max(chunk.lag[2] for chunk in performance.chunks)


def stock(locustfile: Path, server: Nginx) -> float:
    """p95 in seconds as `locust --headless` reports it."""
    prefix = str(locustfile.with_suffix(""))
    command = (
        f"{sys.executable} -m locust -f {locustfile} --headless --host {server.url} -u {USERS} -r {USERS}"
    )
    stalled = threading.Timer(STALL_AT + 1.5, server.stall, (STALL,))  # Locust needs about that long to begin
    stalled.start()
    subprocess.run([*command.split(), "-t", f"{SECONDS}s", "--csv", prefix], capture_output=True, check=True)
    stalled.join()
    with Path(f"{prefix}_stats.csv").open() as file:
        return next(float(row["95%"]) / 1000 for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        locustfile, answers = Path(folder) / "locustfile.py", Path(folder) / "answers"
        locustfile.write_text(LOCUSTFILE)
        with nginx(core=0, answers=answers) as server:
            ours, true, lag = squall(locustfile, server, answers)
        with nginx(core=0) as server:
            theirs = stock(locustfile, server)
    print(
        f"true p95 {true * 1000:.0f} ms; squall {ours * 1000:.0f} ms ({ours / true - 1:+.1%}), worst lag {lag * 1000:.1f} ms"
    )
    print(f"stock locust (constant_throughput) {theirs * 1000:.0f} ms ({theirs / true - 1:+.1%})")
    return 0 if abs(ours / true - 1) <= 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
