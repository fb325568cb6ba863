"""Carries one prepared run out: its record, verdict and reports in a folder of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from runner import clock
from runner.errors import Refused
from runner.guardian.state import MachineLock, armed_runs, state_folder
from runner.load.client import Crowd
from runner.planning.preparation import Prepared, give_up_reserve, make_folder, point_latest
from runner.report import last_line, write_reports
from runner.running.conductor import READY, Conductor, Stage
from runner.verdict.record import Outcome, Verdict
from runner.view import View, choose
from runner.view.silent import Silent

LEASE = 2.0  # seconds that a silent runner is waited for


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended. *is_last*: no other may start: a person stopped it, or something is not as it was.

    *interrupted*: a signal came, be it too late for this run: no other is wanted.
    """

    verdict: Verdict
    folder: Path
    is_last: bool
    interrupted: bool


def carry_out(
    run: Prepared,
    *,
    lock: MachineLock,
    reports: Path,
    plain: bool = False,
    quiet: bool = False,
    lease: float = LEASE,
) -> Ended:
    """Conduct, judge and report one run. A run that cannot start raises Refused after cleaning up.

    *quiet*: say nothing, neither while it lasts nor of its end.
    """
    folder = make_folder(reports, run.plan)
    view: View = Silent() if quiet else choose(sys.stdout, run.plan, plain=plain)
    stage = Stage(
        folder=folder,
        found=run.found,
        ports=run.ports,
        variables=run.variables,
        lease=lease,
    )
    conductor = Conductor(run.plan, stage, lock=lock, view=view)
    try:
        verdict = _conducted(conductor, view, folder)
        if not quiet:
            click.echo(last_line(verdict, folder))
    finally:
        interrupted = conductor.watch is not None and conductor.watch.give_back()
    halt = conductor.brake.halt
    by_hand = halt is not None and halt.cause in ("signal", "command")
    is_last = by_hand or verdict.outcome is Outcome.DIRTY
    return Ended(verdict, folder, is_last=is_last, interrupted=interrupted)


def _conducted(conductor: Conductor, view: View, folder: Path) -> Verdict:
    verdict = None
    try:
        conductor.conduct()
        from runner.verdict.judge import judge  # noqa: PLC0415 - numpy: the conductor imported it during the warm-up

        verdict = judge(conductor.plan, conductor.record())
    finally:
        view.close(verdict, folder)
    return _keep(verdict, folder)


def _keep(verdict: Verdict, folder: Path) -> Verdict:
    """Write verdict and reports. A disk that does not take them makes a pass inconclusive: the record is the product."""
    give_up_reserve(folder)
    try:
        (folder / "verdict.json").write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
        write_reports(folder)
        point_latest(folder)
    except OSError as error:
        click.echo(f"the reports in {folder} could not be written: {error.strerror}", err=True)
        worst = Outcome.worst([verdict.outcome, Outcome.INCONCLUSIVE])
        return msgspec.structs.replace(verdict, outcome=worst)
    return verdict


@contextmanager
def machine(run: str) -> Iterator[MachineLock]:
    """Hold this machine for one run. Raises Refused while another lives, or something is still armed."""
    lock = MachineLock.take(state_folder(), run)
    try:
        if armed := armed_runs(lock.folder):
            raise Refused(
                f"run {armed[0]} left something armed on this machine; `squall rollback` undoes it, then run again"
            )
        yield lock
    finally:
        lock.release()


def check_locustfiles(prepared: list[Prepared]) -> None:
    """Import each locustfile once in a process of its own where several runs are to start: all are checked first."""
    if len(prepared) < 2:
        return
    with tempfile.TemporaryDirectory() as folder:
        for load in {load.locustfile: load for run in prepared for load in run.plan.scenario.loads}.values():
            crowd = Crowd(
                load,
                worker=0,
                anchor=clock.anchor(),
                run="check",
                log=Path(folder) / "log",
                variables=prepared[0].variables,
                on_chunk=lambda _chunk, _packed: None,
            )
            crowd.start()
            try:
                crowd.wait_ready(READY)
            finally:
                crowd.stop(0.0)
