"""How long a long run takes to read and judge, and a halt judgement on a busy one. `python tests/benchmarks/bench_judge.py`."""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.halts import HaltRules
from runner.live import LiveWindow
from runner.load.frames import ROW, SLOT, Chunk, Key, pack
from runner.load.histogram import bucket
from runner.record import Record
from runner.verdict.judge import judge
from tests import made

CLOCK = time.thread_time  # of this thread: other work on the machine is not its cost
CHUNKS, ROWS = 1_000_000, 8.6  # ten workers for 10,000 seconds; rows per chunk
WORKERS = 10
NAMES = ("GET /item", "GET /", "POST /order", "GET /cart", *(f"GET /item/{number}" for number in range(95)))


def chunk(worker, number, rng, *, requests):
    """100 ms of one worker: lognormal latencies, one error in a thousand."""
    keys = [Key(name, 200) for name in NAMES] + [Key("GET /item", 503, "HTTP 503")]  # 100 keys
    rows = []
    for _ in range(requests):
        took = rng.lognormvariate(-3.5, 0.5)
        key = len(NAMES) if rng.random() < 0.001 else rng.randrange(len(NAMES))
        rows.append(ROW.pack(max(0, number - int(took / SLOT)), number, key, bucket(took), 1))
    return Chunk(
        load="shoppers", worker=worker, sequence=number, at=(number + 1) * SLOT, watermark=number + 1,
        keys=keys if number == 0 else [], rows=b"".join(rows), offered=[(number, requests)],
        started=[(number, requests)], lag=(requests, 0.001, 0.001), cpu=0.3, users=10,
    )  # fmt: skip


def write(folder, chunks):
    """A record of that many chunks; a thousand different ones, repeated with their slots moved on."""
    rng = random.Random(1)
    length = chunks // WORKERS
    total = 0
    with (folder / "frames.bin").open("wb") as frames:
        for number in range(length):
            for worker in range(WORKERS):
                requests = 8 + (rng.random() < ROWS - 8)
                one = chunk(worker, number, rng, requests=requests) if number < 100 else None
                if one is None:
                    one = KEPT[number % 100][worker]
                    shift = number - one.sequence
                    rows = b"".join(
                        ROW.pack(start + shift, end + shift, key, place, count)
                        for start, end, key, place, count in ROW.iter_unpack(one.rows)
                    )
                    one = msgspec.structs.replace(
                        one, sequence=number, at=(number + 1) * SLOT, watermark=number + 1, rows=rows, keys=[],
                        offered=[(number, 8)], started=[(number, 8)],
                    )  # fmt: skip
                else:
                    KEPT.setdefault(number, []).append(one)
                total += len(one.rows) // 16
                frames.write(pack(one))
    end = length * SLOT
    events = [
        *made.phases(before=10, zero=100, after=end / 2, end=end),
        *made.act(start=110, end=end / 2 - 10),
    ]
    (folder / "timeline.jsonl").write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    return total, end


KEPT: dict[int, list[Chunk]] = {}


def bench_record(chunks):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        total, end = write(folder, chunks)
        size = (folder / "frames.bin").stat().st_size
        began = CLOCK()
        record = Record.load(folder)
        read = CLOCK() - began
    during = {"when": "during", "name": "kill-one"}
    plan = made.plan(
        faults=(made.fault(),),
        loads=(made.load(level=860.0, workers=WORKERS),),
        confidence=0.95,
        ends=end,
        steady_state=(made.assertion("p95 < 0.15"), made.assertion("error_rate < 0.01")),
        expect=(
            made.assertion("error_rate < 0.02", **during),
            made.assertion("p99 < 0.25", over=5.0, **during),
            made.assertion("error_rate < 0.03", over=5.0, **during, selector={"request": "GET /item"}),
            made.assertion("p95 < 0.15", **during, selector={"request": "GET *", "each": True}),
            made.assertion("recovery < 10", when="after_name", name="kill-one"),
            made.assertion("p95 < 1.2x", when="after"),
        ),
    )
    began = CLOCK()
    verdict = judge(plan, record)
    took = CLOCK() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{chunks:,} chunks, {total:,} rows, {size / 1e6:.0f} MB: read in {read:.2f} s, judged in {took:.2f} s"
    )
    print(
        f"  {len(verdict.findings)} findings, {verdict.outcome.value}: {verdict.reason}; at most {peak:.0f} MiB"
    )


def bench_halts(rate, seconds=60.0, *, hung=0):
    plan = made.plan(
        loads=(made.load(level=rate),),
        halt=(
            made.assertion("error_rate > 0.995"),
            made.assertion("p99 > 200", lasting=5.0),
            made.assertion("p95 > 400", selector={"request": "GET *", "each": True}),
            made.assertion("error_rate > 0.995", over=30.0),
            made.assertion("rps < 10"),
        ),
    )
    window, rules, rng = LiveWindow(plan), HaltRules(plan), random.Random(2)
    window.expect(0.0)
    judged, taken, drawn = [], [], []
    for number in range(int(seconds / SLOT)):
        one = chunk(0, number, rng, requests=int(rate * SLOT))
        one.pending = [(max(0, number - turn // 4), NAMES[turn % 4], 1) for turn in range(hung)]
        began = CLOCK()
        window.add_chunk(one)
        taken.append(CLOCK() - began)
        for tick in (0.0, 0.05):
            began = CLOCK()
            halt = rules.judge(window, one.at + tick)
            judged.append(CLOCK() - began)
            assert halt is None, halt
        if number % 3 == 0:
            began = CLOCK()
            window.snapshot(one.at)
            drawn.append(CLOCK() - began)
    for name, found in (("judging 5 rules", judged), ("taking a chunk", taken), ("a snapshot", drawn)):
        found.sort()
        middle, high = found[len(found) // 2], found[int(len(found) * 0.99)]
        print(f"{rate:,.0f} requests/s, {hung:,} hung, {name}: median {middle * 1e3:.2f} ms, p99 {high * 1e3:.2f} ms, "
              f"max {found[-1] * 1e3:.2f} ms")  # fmt: skip


if __name__ == "__main__":
    bench_halts(1000.0)
    bench_halts(1000.0, hung=2000)
    bench_record(int(sys.argv[1]) if len(sys.argv) > 1 else CHUNKS)
