"""The long form: `python -m tests.matrix --tries 20` prints the table; it needs root, an engine, and for pods a cluster."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.helper_image import build
from tests.matrix.scenes import DOCKER, KUBERNETES, OnDocker, OnKubernetes
from tests.matrix.strikes import STRIKES, strike
from tests.torture.__main__ import row

SCENES = [(OnDocker, kind) for kind in DOCKER] + [(OnKubernetes, kind) for kind in KUBERNETES]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--tries", type=int, default=20, help="of each cell")
    parser.add_argument("--only", action="append", default=[], help="cells whose name contains each of these")
    parser.add_argument(
        "--netem", action="store_true", help="this kernel has netem: with the kinds that need it"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    build()
    print(
        f"{'cell':42} {'tries':>6} {'landed':>6} {'clean':>6} {'p99 ms':>8} {'worst ms':>8}   seed {asked.seed}"
    )
    bad = 0
    for scene_of, kind in SCENES:
        wanted = [
            strike_name
            for strike_name in STRIKES
            if all(word in cell_name(scene_of, kind, strike_name) for word in asked.only)
        ]
        if not wanted or (kind.needs and not asked.netem):
            continue
        with tempfile.TemporaryDirectory(prefix="squall-matrix-") as folder:
            bad += rows(scene_of, kind, Path(folder), wanted, asked.tries, random.Random(asked.seed))
    return 1 if bad else 0


def rows(scene_of, kind, folder: Path, wanted: list[str], tries: int, chance: random.Random) -> int:
    bad = 0
    for name in wanted:
        with scene_of(kind, folder) as scene:
            bad += row(
                cell_name(scene_of, kind, name),
                (strike(scene, name, chance) for _ in range(tries)),
            )
    return bad


def cell_name(scene_of, kind, strike_name: str) -> str:
    return f"{scene_of.platform} {kind.name}: {strike_name}"


if __name__ == "__main__":
    sys.exit(main())
