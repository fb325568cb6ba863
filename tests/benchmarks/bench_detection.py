"""How soon a halt with a confidence sees a fault five times its limit, and what plain rules of peers take for it.

    .venv/bin/python tests/benchmarks/bench_detection.py [RUNS]

Simulated requests, independent, 0.1 % of them bad for 300 s before t = 0 and for 300 s after it, then 5 %; the limit is 1 %.
They go through the product's own live window and halt rules, ten looks a second around the fault, with the design effect measured before.
`edge`: the fault is one of Squall's own, whose edge is a restart; `unannounced`: it comes by itself, 2.5 s after a restart of the grid.
"""

import math
import statistics
import sys
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from runner.halts import HaltRules
from runner.live import LiveWindow
from runner.load.frames import ROW, Chunk
from runner.load.histogram import bucket
from runner.plan_record import Window
from runner.record import Record
from runner.timeline import ActChanged
from tests.made import BAD, NOWHERE, OK, assertion, fault, load, phases, plan

BEFORE, FAULT, END = 300.0, 602.5, 800.0  # seconds since the load began; t = 0 is at the first
PLACE = bucket(0.05)


def chunks(rng, rate):
    """What one worker sends: ten times a second from 2.5 s before the fault on, once a second until then."""
    slots = round(END * 10)
    total = rng.poisson(rate / 10, slots)
    bad = rng.binomial(total, np.where(np.arange(slots) < FAULT * 10, 0.001, 0.05))
    rows, keys = b"", [OK, BAD]
    for slot, (count, wrong) in enumerate(zip(total.tolist(), bad.tolist(), strict=True)):
        rows += b"".join(
            ROW.pack(slot, slot, key, PLACE, n) for key, n in ((0, count - wrong), (1, wrong)) if n
        )
        if slot < FAULT * 10 - 25 and slot % 10 < 9:
            continue
        at = round((slot + 1) / 10, 6)
        yield Chunk(load="shoppers", worker=0, sequence=slot, at=at, watermark=slot + 1, keys=keys, rows=rows)
        rows, keys = b"", []


def halted(rng, rate, *, confidence, edge):
    """Seconds from the fault to the halt."""
    window = Window(
        fault="cut", occurrence=0, start=FAULT - BEFORE, end=END - BEFORE, instances=(), place=NOWHERE
    )
    rule = assertion("error_rate > 0.01", confidence=confidence)
    made = plan(
        loads=(load(level=float(rate)),),
        halt=(rule,),
        ends=END - BEFORE,
        before=BEFORE,
        faults=(fault("cut"),),
        harms=(),
    )
    made = msgspec.structs.replace(made, windows=(window,) if edge else ())
    live, rules, early = LiveWindow(made), HaltRules(made), []
    live.expect(0.0)
    for chunk in chunks(rng, rate):
        live.add_chunk(chunk)
        early.append(chunk)
        if chunk.at == BEFORE:
            rules.know_baseline(made, Record.of(phases(zero=BEFORE), early))
        if edge and chunk.at == FAULT:
            rules.follow(
                ActChanged(at=FAULT, act="a", fault="cut", kind="kill", instance="s", state="injecting")
            )
        if halt := rules.judge(live, chunk.at):
            assert halt.cause == "rule", halt.reason
            return halt.at - FAULT
    return math.inf


def peers(rng, rate):
    """Seconds to a cumulative share over the limit, and to one of a window of a minute, looked at each minute."""
    told = [(chunk.at, sum(row[4] for row in ROW.iter_unpack(chunk.rows)),
             sum(row[4] for row in ROW.iter_unpack(chunk.rows) if row[2])) for chunk in chunks(rng, rate) if chunk.at > BEFORE]  # fmt: skip
    at, total, bad = np.array(told).T
    cumulative = bad.cumsum() > 0.01 * total.cumsum()
    minutes = [(at > end - 60) & (at <= end + 1e-6) for end in np.arange(BEFORE + 60, END + 1, 60)]
    over = [float(at[one][-1]) for one in minutes if one.any() and bad[one].sum() > 0.01 * total[one].sum()]
    late = [end - FAULT for end in over if end > FAULT]
    late_cumulative = at[cumulative & (at > FAULT)] - FAULT
    return min(late_cumulative, default=math.inf), min(late, default=math.inf)


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    for rate, promised in ((50, 5.0), (5, 35.0)):
        for confidence in (0.95, 0.99):
            for edge in (True, False):
                rng = np.random.default_rng(17)
                found = sorted(halted(rng, rate, confidence=confidence, edge=edge) for _ in range(runs))
                kept = statistics.median(found) <= promised
                print(
                    f"{rate:3}/s {confidence:.0%} {'edge' if edge else 'unannounced':12} median {statistics.median(found):5.1f} s, "
                    f"p90 {found[int(0.9 * runs)]:5.1f} s, before the fault {sum(one <= 0 for one in found)}; "
                    f"promised {promised:g} s{'' if kept else ', not kept'}",
                    flush=True,
                )
        rng = np.random.default_rng(17)
        cumulative, window = zip(*(peers(rng, rate) for _ in range(runs)), strict=True)
        print(
            f"{rate:3}/s peers: cumulative share median {statistics.median(cumulative):.0f} s, "
            f"window of a minute {statistics.median(window):.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
