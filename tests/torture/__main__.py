"""The long form: `python -m tests.torture --tries 300` prints the table; --lines strikes before every line too."""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterable, Iterator

from tests.torture import strikes
from tests.torture.world import Try

SCENES = (
    ("guardian", "life"),
    ("hand", "life"),
    ("guardian", "takeover"),
    ("guardian", "rollback"),
    ("hand", "rollback"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--tries", type=int, default=300, help="of each random strike")
    parser.add_argument("--only", default="", help="strikes whose name contains this")
    parser.add_argument("--lines", action="store_true", help="also kill before every line that is reached")
    parser.add_argument("--every", type=int, default=1, help="of those, every so many")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(
        f"{'strike':42} {'tries':>6} {'landed':>6} {'clean':>6} {'p99 ms':>8} {'worst ms':>8}   seed {asked.seed}"
    )
    bad = 0
    for strike in strikes.RANDOM:
        if asked.only in strike.__name__ and asked.tries:
            chance = random.Random(asked.seed)
            bad += row(strike.__name__, (strike(chance) for _ in range(asked.tries)))
    for role, scene in SCENES if asked.lines else ():
        if asked.only in f"lines of {role}: {scene}":
            bad += row(f"lines of {role}: {scene}", at_lines(role, scene, asked.every))
    return 1 if bad else 0


def at_lines(role: str, scene: str, every: int) -> Iterator[Try]:
    for point in strikes.points(role, scene)[::every]:
        yield strikes.kill_at(point, scene)


def row(name: str, tries: Iterable[Try]) -> int:
    """Print one line of the table, and every try that did not end clean; return how many."""
    results: list[Try] = []
    try:
        for each in tries:
            results.append(each)
            if not each.clean:
                print(f"  NOT CLEAN {name} #{len(results)} at {each.phase}: {each.why}", flush=True)
    except KeyboardInterrupt:
        print("  cut short", flush=True)
    times = sorted(each.seconds * 1000 for each in results if each.landed)
    p99 = times[math.ceil(0.99 * len(times)) - 1] if times else 0.0
    landed, clean = sum(each.landed for each in results), sum(each.clean for each in results)
    print(
        f"{name:42} {len(results):6} {landed:6} {clean:6} {p99:8.0f} {max(times, default=0.0):8.0f}",
        flush=True,
    )
    missed = [each.phase for each in results if not each.landed]
    if missed:
        print(f"  no harm landed in {len(missed)}: {', '.join(sorted(set(missed)))[:300]}", flush=True)
    return len(results) - clean


if __name__ == "__main__":
    sys.exit(main())
