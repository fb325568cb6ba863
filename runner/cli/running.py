"""`squall run`: check all scenarios named, then carry them out one after the other."""

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
from runner.cli.options import environment_option, settings_of, settings_option
from runner.conductor import READY, Conductor, Stage
from runner.errors import Refused
from runner.guardian.state import MachineLock, armed_runs, state_folder
from runner.load.client import Crowd
from runner.preparation import Prepared, give_up_reserve, make_folder, point_latest, prepare
from runner.report import combined_junit, last_line, write_reports
from runner.units import parse
from runner.verdict.record import Outcome, Verdict
from runner.view import choose


@click.command("run")
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@environment_option
@settings_option
@click.option(
    "--report",
    "reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    help="Folder of the records (reports).",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write one JUnit file over all runs.")
@click.option(
    "--verdict-to", type=click.Path(path_type=Path), help="Write the folders of the runs here, one a line."
)
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@click.option(
    "--lease",
    default="2s",
    show_default=True,
    help="How long a silent runner is waited for before all is undone.",
)
def run_verb(
    *,
    scenarios: tuple[Path, ...],
    environment: str,
    settings: tuple[str, ...],
    reports: Path,
    junit: Path | None,
    verdict_to: Path | None,
    plain: bool,
    lease: str,
) -> int:
    """Carry scenarios out and give a verdict."""
    seconds, chosen = _lease_of(lease), settings_of(settings)
    with _machine(scenarios[0].stem) as lock:
        prepared = [
            run for path in scenarios for run in prepare(path, environment=environment, settings=chosen)
        ]
        _check_locustfiles(prepared)
        verdicts: list[Verdict] = []
        refused = False
        for run in prepared:
            try:
                ended = _carry_out(run, lock=lock, reports=reports, plain=plain, lease=seconds)
            except Refused as refusal:
                if not verdicts:
                    raise
                click.echo(f"refused: {refusal}", err=True)
                refused = True
                break
            verdicts.append(ended.verdict)
            if verdict_to is not None:
                with verdict_to.open("a", encoding="utf-8") as stream:
                    stream.write(f"{ended.folder}\n")
            if ended.last:
                break
    if junit is not None:
        junit.write_text(combined_junit(verdicts), encoding="utf-8")
    outcomes = [verdict.outcome for verdict in verdicts]
    return Outcome.worst([*outcomes, *([Outcome.REFUSED] if refused else [])]).exit_code


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that has ended. *last*: no other may start: a person stopped it, or something is not as it was."""

    verdict: Verdict
    folder: Path
    last: bool


def _carry_out(run: Prepared, *, lock: MachineLock, reports: Path, plain: bool, lease: float) -> _Ended:
    """Conduct, judge and report one run. A run that cannot start raises Refused after cleaning up."""
    folder = make_folder(reports, run.plan)
    view = choose(sys.stdout, run.plan, plain=plain)
    stage = Stage(
        folder=folder,
        found=run.found,
        ports=run.ports,
        variables=run.variables,
        lease=lease,
    )
    verdict = None
    try:
        conductor = Conductor(run.plan, stage, lock=lock, view=view)
        conductor.conduct()
        from runner.verdict.judge import judge  # noqa: PLC0415 - numpy: the conductor imported it during the warm-up

        verdict = judge(run.plan, conductor.record())
    finally:
        view.close(verdict, folder)
    verdict = _keep(verdict, folder)
    click.echo(last_line(verdict, folder))
    halt = conductor.brake.halt
    by_hand = halt is not None and halt.cause in ("signal", "command")
    return _Ended(verdict, folder, last=by_hand or verdict.outcome is Outcome.DIRTY)


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


def _lease_of(text: str) -> float:
    try:
        return parse("duration", text)
    except ValueError as error:
        raise Refused(f"--lease {error}") from error


@contextmanager
def _machine(run: str) -> Iterator[MachineLock]:
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


def _check_locustfiles(prepared: list[Prepared]) -> None:
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
