"""A target that accepts and never answers, 30 users: when `p95 > 1s` can be seen in the chunks; at most 1.5 s is promised.

    python tests/benchmarks/bench_hang.py

Counted from the first request's send to the arrival of the chunk in which more than 5 % of all requests are pending
for longer than 1 s. Stock Locust is asked the same: it reports 0 requests and 0 failures.
"""

from __future__ import annotations

import csv
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.clock import now
from runner.load.client import TimedStage
from runner.load.frames import SLOT, Chunk
from tests.benchmarks.performance import Performance

USERS, LIMIT, ROUNDS = 30, 1.0, 5
LOCUSTFILE = """
from locust import {kind}, task

class Visitor({kind}):
    @task
    def home(self):
        self.client.get("/")
"""


class Watch:
    """See the moment at which the quantile cannot be under the limit any more."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.seen_at: float | None = None
        self.seen = threading.Event()

    def __call__(self, chunk: Chunk) -> None:
        if chunk.pending and self.first is None:
            self.first = chunk.pending[0][0] * SLOT
        waiting = sum(count for _, _, count in chunk.pending)
        late = sum(count for slot, _, count in chunk.pending if chunk.at - (slot + 1) * SLOT > LIMIT)
        if waiting and late > 0.05 * waiting and not self.seen.is_set():
            self.seen_at = now()
            self.seen.set()


def squall(locustfile: Path, url: str) -> float:
    """Seconds from the first send (its slot's start) to the chunk that shows it."""
    watch = Watch()
    performance = Performance(locustfile, url, "users", heard=watch)
    performance.begin([TimedStage(0, None, USERS, USERS)])
    assert watch.seen.wait(10), "never seen"
    performance.crowd.stop(0)
    assert watch.seen_at is not None
    assert watch.first is not None
    return watch.seen_at - performance.anchor.monotonic - watch.first


def stock(locustfile: Path, url: str) -> str:
    prefix = str(locustfile.with_suffix(""))
    command = (
        f"{sys.executable} -m locust -f {locustfile} --headless --host {url} -u {USERS} -r {USERS} -t 5s"
    )
    done = subprocess.run([*command.split(), "--csv", prefix], capture_output=True, check=False)
    with Path(f"{prefix}_stats.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    return (
        f"{row['Request Count']} requests, {row['Failure Count']} failures, exit {done.returncode} after 5 s"
    )


def main() -> int:
    worst = 0.0
    with socket.create_server(("127.0.0.1", 0), backlog=512) as hung, tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{hung.getsockname()[1]}"
        locustfile = Path(folder) / "locustfile.py"
        for kind in ("FastHttpUser", "HttpUser"):
            locustfile.write_text(LOCUSTFILE.format(kind=kind))
            times = [squall(locustfile, url) for _ in range(ROUNDS)]
            worst = max(worst, *times)
            print(f"{kind}: p95 > 1s is visible after {', '.join(f'{seconds:.2f}' for seconds in times)} s")
        print(f"stock locust: {stock(locustfile, url)}")
    return 0 if worst <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
