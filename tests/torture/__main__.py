"""The long form: `python -m tests.torture --tries 300` prints the table; --lines strikes before every line too.

As root in a kernel that has netem also with netem; where all of that is emulated, TORTURE_SLOWER=6 gives it six times as long.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator

from tests.torture import strikes
from tests.torture.table import HEAD, Row, complaint
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
    print(f"{HEAD}   seed {asked.seed}")
    bad = 0
    for strike in strikes.RANDOM:
        if asked.only in strike.__name__ and asked.tries:
            chance = random.Random(asked.seed)
            bad += show(strike.__name__, (strike(chance) for _ in range(asked.tries)))
    for role, scene in SCENES if asked.lines else ():
        if asked.only in f"lines of {role}: {scene}":
            bad += show(f"lines of {role}: {scene}", at_lines(role, scene, asked.every))
    return 1 if bad else 0


def at_lines(role: str, scene: str, every: int) -> Iterator[Try]:
    for point in strikes.points(role, scene)[::every]:
        yield strikes.kill_at(point, scene)


def show(name: str, tries: Iterable[Try]) -> int:
    """Print one line of the table, and every try that did not end clean; return how many."""
    row = Row(name)
    try:
        for each in tries:
            row.tries.append(each)
            if not each.clean:
                print(f"  {complaint(name, each)}", flush=True)
    except KeyboardInterrupt:
        print("  cut short", flush=True)
    print(row.text() + (f"\n  {missed}" if (missed := row.missed()) else ""), flush=True)
    return len(row.dirty)


if __name__ == "__main__":
    sys.exit(main())
