"""Whether a plan's harm before each halt is what happens: the product's own rules, live, on made streams of requests.

    .venv/bin/python tests/benchmarks/bench_foresight.py [RUNS]

Each run feeds ten seconds of healthy requests (60/s, as evenly as the open model begins them), then a fault of up to
sixty seconds in which a share of them is bad, chunk by chunk, through the live window and HaltRules as a run does,
calibration at t = 0 included. Printed: what the plan said, what happened on average, and the ratio.
"""

import random
import statistics
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))
from runner.errors import Place
from runner.halts import HaltRules
from runner.live import LiveWindow
from runner.load.frames import ROW, SLOT, Chunk, Key
from runner.load.histogram import bucket
from runner.plan_record import StageWindow, Window
from runner.planning.earlier import Earlier
from runner.planning.foresight import with_foresight
from runner.record import Record
from runner.timeline import ActChanged
from tests.made import assertion, fault, phases, plan

RATE, CALM, FAULT = 60, 10.0, 60.0
OK, BAD = Key("GET /item", 200), Key("GET /item", 503, "HTTPError(503)")
RULES = {
    "error_rate > 5%": assertion("error_rate > 0.05"),
    "error_rate > 5% over 2s for 2s": assertion("error_rate > 0.05", over=2.0, lasting=2.0),
    "error_rate > 5% (confidence 99%)": assertion("error_rate > 0.05", confidence=0.99),
    "error_rate > 1% (confidence 95%)": assertion("error_rate > 0.01", confidence=0.95),
    "p95 > 300ms": assertion("p95 > 0.3"),
    "p95 > 300ms (confidence 99%)": assertion("p95 > 0.3", confidence=0.99),
}


def laid_out(rule):
    made = plan(halt=(rule,), faults=(fault(),), ends=FAULT + 10.0, before=CALM)
    place = Place(file="x.yaml", line=1)
    window = Window(fault="kill-one", occurrence=0, start=0.0, end=FAULT, instances=("shop.1",), place=place)
    stage = StageWindow(load="shoppers", stage="steady", start=-CALM, end=FAULT + 10.0)
    return msgspec.structs.replace(made, windows=(window,), stages=(stage,), faults_end=FAULT)


def stream(seed, share, slow):
    """One chunk a slot; *share* of what starts from t = 0 on (at 10 s) is bad: an error, or slow."""
    chance, owed, coming = random.Random(seed), 0.0, []
    for slot in range(round((CALM + FAULT) / SLOT)):
        owed += RATE * SLOT
        count, owed = int(owed + 1e-9), owed - int(owed + 1e-9)
        for _ in range(count):
            faulty = slot * SLOT >= CALM
            hit = chance.random() < (share if faulty else 0.05 if slow else 0.0)
            took = 0.04 * chance.lognormvariate(0, 0.2)
            if hit and slow:
                took = 0.4 if faulty else 0.1  # healthy, a few are slower, within the limit
            coming.append(
                (slot + int(took / SLOT), slot, bucket(took), 1 if hit and not slow else 0, hit and faulty)
            )
        ended = [one for one in coming if one[0] <= slot]
        coming = [one for one in coming if one[0] > slot]
        rows = b"".join(ROW.pack(start, end, key, place, 1) for end, start, place, key, _ in ended)
        waiting = {}
        for _, start, _, _, _ in coming:
            waiting[start] = waiting.get(start, 0) + 1
        chunk = Chunk(
            load="shoppers", worker=0, sequence=slot, at=(slot + 1) * SLOT, watermark=slot + 1,
            keys=[OK, BAD] if slot == 0 else [], rows=rows, users=4, offered=[(slot, count)],
            pending=[(start, OK.request, number) for start, number in waiting.items()],
        )  # fmt: skip
        yield chunk, sum(1 for one in [*ended, *coming] if one[4] and one[1] == slot)


def halted(rule, share, seed):
    """Seconds, requests and bad ones from t = 0 to the halt; None where the fault ended first."""
    made = laid_out(rule)
    rules, window = HaltRules(made), LiveWindow(made)
    rules.prepare()
    window.expect(0.0)
    past, bad = [], 0
    for chunk, hits in stream(seed, share, rule.term.name == "quantile"):
        window.add_chunk(chunk)
        bad += hits
        if chunk.at <= CALM + 1e-9:
            past.append(chunk)
            rules.judge(window, chunk.at)
            if abs(chunk.at - CALM) < 1e-6:
                rules.know_baseline(made, Record.of(phases(zero=CALM), past))
                act = {"act": "kill-one/0/shop.1", "fault": "kill-one", "kind": "kill", "instance": "shop.1"}
                rules.follow(ActChanged(at=CALM, state="injecting", **act))
        elif rules.judge(window, chunk.at) is not None:
            seconds = chunk.at - CALM
            return seconds, seconds * RATE, bad
    return None


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"{runs} faults each; the plan's mean harm, what the rules let happen (mean), and plan / happened")
    ratios = []
    for name, rule in RULES.items():
        for foreseen in with_foresight(laid_out(rule), Earlier()).harmful:
            found = [halted(rule, foreseen.share, seed) for seed in range(runs)]
            stopped = [one for one in found if one is not None]
            told = f"{name:34} {f'{foreseen.times:g}x' if foreseen.times else 'all':>4} {foreseen.share:5.0%}"
            if not stopped or foreseen.requests is None:
                print(
                    f"{told}  stopped {len(stopped) / runs:.0%}, foreseen {foreseen.stopped:.0%}", flush=True
                )
                continue
            seconds, requests, bad = (statistics.fmean(column) for column in zip(*stopped, strict=True))
            ratio = foreseen.requests / requests
            ratios.append(ratio)
            print(
                f"{told}  plan {foreseen.seconds:6.2f} s {foreseen.bad:6.1f} bad   happened {seconds:6.2f} s {bad:6.1f} bad"
                f"   ratio {ratio:.2f}   stopped {len(stopped) / runs:.0%}, foreseen {foreseen.stopped:.0%}",
                flush=True,
            )
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
