"""The long form: `python -m tests.matrix --tries 20` prints the table; it needs root, an engine, and for pods a cluster.

Only tries in which harm had landed count; of a cell in which it seldom does, twice as many are made at most.

Several tries run at a time, each in a scene of its own; what others would feel (a node's state, an engine that does not
answer) runs apart. What a scene has shown is kept in the file `--tries-in` as soon as it ends, so that a run that is cut
short is gone on with by the same command; `--report` is the table of all tries in that file.
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

import msgspec

from tests.cluster_api import reachable_from_pods
from tests.cluster_parts import reached
from tests.helper_image import build
from tests.matrix.jobs import ALONE, SCENES, Job, cell_of
from tests.matrix.kinds import Kind
from tests.matrix.strikes import STRIKES
from tests.torture.table import HEAD, Row, complaint, markdown
from tests.torture.world import Try

TOGETHER = 5  # kinds that one engine that does not answer hits at the same time


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--tries", type=int, default=20, help="of each cell, in which harm landed")
    parser.add_argument("--only", action="append", default=[], help="cells whose name contains each of these")
    parser.add_argument(
        "--but", action="append", default=[], help="not cells whose name contains one of these"
    )
    parser.add_argument(
        "--netem", action="store_true", help="this kernel has netem: with the kinds that need it"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3, help="scenes at a time")
    parser.add_argument("--batch", type=int, default=5, help="tries of a strike in one scene")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no scene after so many")
    parser.add_argument("--report", type=Path, help="write the table there as Markdown, as it grows")
    parser.add_argument("--tries-in", type=Path, help="the file of all tries, which this run adds to")
    asked = parser.parse_args()
    build()
    table = Table(asked.report, asked.tries_in)
    until = time.monotonic() + asked.minutes * 60
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        if any(job.platform == "kubernetes" for job in jobs(asked, asked.tries, table)):
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
            stack.enter_context(reachable_from_pods(reached().core))
        for upto in range(asked.batch, asked.tries + asked.batch, asked.batch):
            every = sorted(jobs(asked, min(upto, asked.tries), table), key=lambda job: job.alone)
            for alone, part in itertools.groupby(every, key=lambda job: job.alone):
                carry_out(part, 1 if alone else asked.at_once, table, until)
    table.show()
    return 1 if table.dirty else 0


def jobs(asked: argparse.Namespace, upto: int, table: Table) -> Iterator[Job]:
    """What is to be done until harm has landed in so many tries of every cell; those last that run apart."""

    def missing(platform: str, kind: Kind, name: str) -> int:
        cell = cell_of(platform, kind, name)
        is_asked = all(word in cell for word in asked.only) and not any(word in cell for word in asked.but)
        return table.missing(cell, upto) if is_asked else 0

    def job(platform: str, kinds: tuple[Kind, ...], names: tuple[str, ...]) -> Iterator[Job]:
        if names:
            cells = "".join(kind.name for kind in kinds)
            yield Job(platform, kinds, names, seed=f"{asked.seed} {platform} {cells} {names[0]} {upto}")

    for platform, kind in kinds(asked):
        each = (name for name in STRIKES if name != ALONE for _ in range(missing(platform, kind, name)))
        yield from job(platform, (kind,), tuple(each))
    for platform in SCENES:
        of_platform = [kind for there, kind in kinds(asked) if there == platform]
        for group in together([kind for kind in of_platform if missing(platform, kind, ALONE)]):
            yield from job(platform, group, (ALONE,) * max(missing(platform, kind, ALONE) for kind in group))


def kinds(asked: argparse.Namespace) -> Iterator[tuple[str, Kind]]:
    """Kinds in turn of both platforms: the one waits while the other works."""
    docker, kubernetes = ([(platform, kind) for kind in SCENES[platform][1]] for platform in SCENES)
    for pair in itertools.zip_longest(docker, kubernetes):
        yield from (one for one in pair if one and (asked.netem or not one[1].needs))


def together(kinds: list[Kind]) -> Iterator[tuple[Kind, ...]]:
    """Group kinds whose scenes do not see each other: those of a node are each by itself."""
    yield from ((kind,) for kind in kinds if kind.target == "node")
    apart = [kind for kind in kinds if kind.target != "node"]
    yield from (tuple(apart[first : first + TOGETHER]) for first in range(0, len(apart), TOGETHER))


def carry_out(part: Iterable[Job], at_once: int, table: Table, until: float) -> None:
    """Run jobs, so many at a time, until there are no more or it is late."""
    waiting, running = iter(part), set[Future[list[tuple[str, Try]]]]()
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        while True:
            while len(running) < at_once and time.monotonic() < until and (job := next(waiting, None)):
                running.add(pool.submit(job.run))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                table.take(future.result())


class Kept(msgspec.Struct, frozen=True):
    """One try, as a line of the file."""

    cell: str
    at: str
    one: Try


class Table:
    """What came of all tries so far, those of earlier runs in the same file among them."""

    def __init__(self, report: Path | None, tries: Path | None) -> None:
        self._report, self._tries, self._rows = report, tries, dict[str, Row]()
        self._dates = set[str]()
        if tries and tries.exists():
            for line in tries.read_bytes().splitlines():
                self._add(msgspec.json.decode(line, type=Kept))

    @property
    def dirty(self) -> int:
        return sum(len(row.dirty) for row in self._rows.values())

    def missing(self, cell: str, upto: int) -> int:
        """Tries that a cell lacks until harm has landed in so many; where it seldom does, twice as many are enough."""
        row = self._rows.get(cell, Row(cell))
        return max(0, min(upto - len(row.landed), 2 * upto - len(row.tries)))

    def take(self, tries: list[tuple[str, Try]]) -> None:
        """Add tries to the table, and to the files that were asked for."""
        for cell, one in tries:
            kept = Kept(cell, time.strftime("%Y-%m-%d"), one)
            self._add(kept)
            if self._tries:
                with self._tries.open("ab") as file:
                    file.write(msgspec.json.encode(kept) + b"\n")
            if not one.clean:
                print(complaint(cell, one), flush=True)
        if self._report:
            title = f"# The rollback matrix\n\n`python -m tests.matrix`, {', '.join(sorted(self._dates))}"
            rows = sorted(self._rows.values(), key=lambda row: row.name)
            self._report.write_text(markdown(title, rows))

    def _add(self, kept: Kept) -> None:
        self._rows.setdefault(kept.cell, Row(kept.cell)).tries.append(kept.one)
        self._dates.add(kept.at)

    def show(self) -> None:
        print(HEAD)
        for row in self._rows.values():
            print(row.text() + (f"\n  {missed}" if (missed := row.missed()) else ""))


if __name__ == "__main__":
    sys.exit(main())
