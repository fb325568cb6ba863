"""`squall run`: check all scenarios named, then carry them out one after the other."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import environment_option, report_option, settings_of, settings_option
from runner.errors import Refused
from runner.planning.preparation import prepare
from runner.report import combined_junit
from runner.running.carrying import carry_out, check_locustfiles, machine
from runner.units import parse
from runner.verdict.record import Outcome, Verdict


@click.command("run")
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@environment_option
@settings_option
@report_option
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
    with machine(scenarios[0].stem) as lock:
        prepared = [
            run for path in scenarios for run in prepare(path, environment=environment, settings=chosen)
        ]
        check_locustfiles(prepared)
        verdicts: list[Verdict] = []
        refused = False
        for run in prepared:
            try:
                ended = carry_out(run, lock=lock, reports=reports, plain=plain, lease=seconds)
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
            if ended.is_last or ended.interrupted:
                break
    if junit is not None:
        junit.write_text(combined_junit(verdicts), encoding="utf-8")
    outcomes = [verdict.outcome for verdict in verdicts]
    if refused:
        outcomes.append(Outcome.REFUSED)
    elif left := len(prepared) - len(verdicts):
        click.echo(f"halted: {left} of {len(prepared)} runs did not begin", err=True)
        outcomes.append(Outcome.HALTED)
    return Outcome.worst(outcomes).exit_code


def _lease_of(text: str) -> float:
    try:
        return parse("duration", text)
    except ValueError as error:
        raise Refused(f"--lease {error}") from error
