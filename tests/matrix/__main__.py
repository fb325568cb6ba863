"""The long form: `python -m tests.matrix --tries 20` prints the table; it needs root, an engine, and for pods a cluster.

Several tries run at a time, each in a scene of its own; what others would feel (a node's state, an engine that does not
answer) runs alone. `--report FILE` is written anew after every scene, so that a run that is cut short leaves its evidence.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from tests.cluster_api import reachable_from_pods
from tests.cluster_parts import reached
from tests.helper_image import build
from tests.matrix.jobs import ALONE, SCENES, Job
from tests.matrix.kinds import Kind
from tests.matrix.strikes import STRIKES
from tests.torture.table import HEAD, Row, complaint, markdown
from tests.torture.world import Try


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--tries", type=int, default=20, help="of each cell")
    parser.add_argument("--only", action="append", default=[], help="cells whose name contains each of these")
    parser.add_argument(
        "--but", action="append", default=[], help="not cells whose name contains one of these"
    )
    parser.add_argument(
        "--netem", action="store_true", help="this kernel has netem: with the kinds that need it"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3, help="scenes at a time")
    parser.add_argument("--batch", type=int, default=3, help="tries of a strike in one scene")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no scene after so many")
    parser.add_argument("--report", type=Path, help="write the table there as Markdown, as it grows")
    asked = parser.parse_args()
    build()
    table = Table(asked.report, f"`python -m tests.matrix {' '.join(sys.argv[1:])}`")
    until = time.monotonic() + asked.minutes * 60
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        if any(job.platform == "kubernetes" for job in jobs(asked)):
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
            stack.enter_context(reachable_from_pods(reached().core))
        for alone, part in itertools.groupby(jobs(asked), key=lambda job: job.alone):
            carry_out(part, 1 if alone else asked.at_once, table, until)
    table.show()
    return 1 if table.dirty else 0


def jobs(asked: argparse.Namespace) -> Iterator[Job]:
    """All jobs, every cell some tries before any gets more; of each round those last that run alone."""
    for first in range(0, asked.tries, asked.batch):
        tries = min(asked.batch, asked.tries - first)
        every = [job for kind in kinds(asked) for job in of_kind(*kind, asked, tries, first)]
        yield from sorted(every, key=lambda job: job.alone)


def kinds(asked: argparse.Namespace) -> Iterator[tuple[str, Kind]]:
    """Kinds in turn of both platforms: the one waits while the other works."""
    docker, kubernetes = ([(platform, kind) for kind in SCENES[platform][1]] for platform in SCENES)
    for pair in itertools.zip_longest(docker, kubernetes):
        yield from (one for one in pair if one and (asked.netem or not one[1].needs))


def of_kind(platform: str, kind: Kind, asked: argparse.Namespace, tries: int, first: int) -> Iterator[Job]:
    """The jobs of one kind: all its strikes in one scene, but those that must be alone."""

    def is_asked(name: str) -> bool:
        cell = f"{platform} {kind.name}: {name}"
        return all(word in cell for word in asked.only) and not any(word in cell for word in asked.but)

    names = tuple(name for name in STRIKES if is_asked(name))
    together = tuple(name for name in names if name != ALONE)
    for part in (together, tuple(name for name in names if name == ALONE)):
        if part:
            yield Job(platform, kind, part, tries, seed=f"{asked.seed} {platform} {kind.name} {part} {first}")


def carry_out(part: Iterable[Job], at_once: int, table: Table, until: float) -> None:
    """Run jobs, so many at a time, until there are no more or it is late."""
    waiting, running = iter(part), set[Future[list[tuple[str, Try]]]]()
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        while True:
            while len(running) < at_once and (job := next(waiting, None)) and time.monotonic() < until:
                running.add(pool.submit(job.run))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                table.take(future.result())


class Table:
    """What came of all tries so far."""

    def __init__(self, file: Path | None, command: str) -> None:
        self._file, self._command, self._rows = file, command, dict[str, Row]()
        self._began = time.monotonic()

    @property
    def dirty(self) -> int:
        return sum(len(row.dirty) for row in self._rows.values())

    def take(self, tries: list[tuple[str, Try]]) -> None:
        for cell, one in tries:
            self._rows.setdefault(cell, Row(cell)).tries.append(one)
            if not one.clean:
                print(complaint(cell, one), flush=True)
        if self._file:
            minutes = (time.monotonic() - self._began) / 60
            title = f"# The rollback matrix\n\n{self._command}, {time.strftime('%Y-%m-%d %H:%M')}, {minutes:.0f} min"
            self._file.write_text(markdown(title, sorted(self._rows.values(), key=lambda row: row.name)))

    def show(self) -> None:
        print(HEAD)
        for row in self._rows.values():
            print(row.text() + (f"\n  {missed}" if (missed := row.missed()) else ""))


if __name__ == "__main__":
    sys.exit(main())
