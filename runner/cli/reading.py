"""`squall judge`, `squall report` and `squall list`: from the record alone."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from runner.errors import RecordUnreadable, Refused
from runner.plan_record import Plan
from runner.record import TRIALS, Record
from runner.report import last_line, write_reports
from runner.shown import shown
from runner.verdict.compared import Comparison
from runner.verdict.judge import judge
from runner.verdict.record import Verdict

_folder = click.argument("folder", metavar="REPORT", type=click.Path(path_type=Path))


@click.command("judge")
@_folder
def judge_verb(folder: Path) -> int:
    """Judge REPORT again from its record; writes verdict.json (of a comparison, all of it) and exits as it did."""
    if (folder / TRIALS).exists():
        comparison = _compared(folder)
        click.echo(shown(f"{comparison.outcome.value}: {comparison.sentence}, {folder}"))
        return comparison.outcome.exit_code
    verdict = judge(_plan(folder), Record.judgeable(folder))
    (folder / "verdict.json").write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    click.echo(last_line(verdict, folder))
    return verdict.outcome.exit_code


@click.command("report")
@_folder
def report_verb(folder: Path) -> int:
    """Write report.txt, report.html and junit.xml of REPORT again; of a comparison, its own."""
    if (folder / TRIALS).exists():
        _compared(folder)
        click.echo(shown(str(folder / "comparison.html")))
        return 0
    write_reports(folder)
    click.echo(shown(str(folder / "report.html")))
    return 0


@click.command("list")
@click.option("--report", "given", metavar="FOLDER", type=click.Path(path_type=Path), help="else reports")
def list_verb(given: Path | None) -> int:
    """List past runs, newest first: when, outcome, scenario, reason."""
    reports = given or Path("reports")  # which is made by the first run
    if (given or reports.exists()) and not reports.is_dir():
        what = "is no folder" if reports.exists() else "does not exist"
        raise Refused(f"--report {reports}: {what}; name the folder that runs were reported to")
    found = sorted(reports.glob("*/*/verdict.json"), key=lambda path: path.parent.name, reverse=True)
    for path in (path for path in found if not path.parent.is_symlink()):
        try:
            verdict = msgspec.json.decode(path.read_bytes(), type=Verdict)
        except (msgspec.MsgspecError, OSError) as error:
            raise RecordUnreadable(
                f"{path} cannot be read: {error}; `squall judge {path.parent}` makes it again"
            ) from error
        click.echo(
            shown(
                f"{verdict.started}  {verdict.outcome.value:12}  {verdict.scenario}  {verdict.reason}  {path.parent}"
            )
        )
    if not found:
        click.echo(f"no runs in {reports}")
    return 0


def _compared(folder: Path) -> Comparison:
    from runner.trials.swap import judged_again  # noqa: PLC0415 - what runs campaigns is slow to import

    return judged_again(folder)


def _plan(folder: Path) -> Plan:
    try:
        return msgspec.json.decode((folder / "plan.json").read_bytes(), type=Plan)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordUnreadable(
            f"{folder / 'plan.json'} cannot be read: {error}; name the folder of a run"
        ) from error
