"""`squall compare`: does a variant do as well as a baseline, for what cost?"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from runner.cli.options import environment_option, report_option, resume_option, settings_of, settings_option
from runner.errors import Refused
from runner.language.comparison import FEWEST, MOST
from runner.report.comparison import summary
from runner.running.carrying import carry_out, machine
from runner.shown import shown
from runner.trials.swap import Swap, carry_out_swap, section
from runner.trials.trial import Setup, prepared
from runner.verdict.compared import Comparison


@click.command("compare")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--baseline", metavar="ENV", default="", help="The environment as it is.")
@click.option("--variant", metavar="ENV", default="", help="The environment as it may become.")
@environment_option
@settings_option
@click.option("--pairs", type=int, help="Instead of the scenario's number.")
@resume_option
@report_option
@click.option("--plain", is_flag=True, help="Of arms: lines instead of the live view.")
def compare_verb(
    *,
    scenario: Path,
    baseline: str,
    variant: str,
    environment: str,
    settings: tuple[str, ...],
    pairs: int | None,
    resume: Path | None,
    reports: Path,
    plain: bool,
) -> int:
    """Compare two environments by interleaved pairs of runs, or the two arms of one run.

    Exit 0: as good; 1: worse; 3: cannot tell.
    """
    _check(baseline, variant, pairs, resume)
    if not baseline:
        return _arms(Setup(scenario, environment, settings_of(settings)), reports, plain=plain)
    swap = Swap(scenario, baseline, variant, settings_of(settings), pairs)
    with machine(f"compare-{scenario.stem}") as lock:
        comparison, folder = carry_out_swap(swap, lock=lock, reports=reports, resume=resume)
    click.echo(summary(comparison))
    click.echo(shown(f"{comparison.outcome.value}: {comparison.sentence}, {folder}"))
    return comparison.outcome.exit_code


def _check(baseline: str, variant: str, pairs: int | None, resume: Path | None) -> None:
    if bool(baseline) != bool(variant):
        raise Refused(
            "name both --baseline ENV and --variant ENV, or neither where the scenario has compare: {arms: …}"
        )
    if baseline and baseline == variant:
        raise Refused(f"--variant {variant}: is the baseline too; `squall aa` says what that shows")
    if pairs is not None and not FEWEST <= pairs <= MOST:
        raise Refused(f"--pairs {pairs}: write {FEWEST} to {MOST}")
    if not baseline and (pairs is not None or resume is not None):
        raise Refused("--pairs and --resume are of two environments; name --baseline ENV and --variant ENV")


def _arms(setup: Setup, reports: Path, *, plain: bool) -> int:
    """One run in which both sides answer."""
    run = prepared(setup)
    if section(run.plan.scenario).arms is None:
        raise Refused(
            f"{setup.scenario}: name --baseline ENV and --variant ENV, or write compare: {{arms: …}}"
        )
    with machine(f"compare-{setup.scenario.stem}") as lock:
        ended = carry_out(run, lock=lock, reports=reports, plain=plain)
    try:
        content = (ended.folder / "comparison.json").read_bytes()
    except OSError:
        return ended.verdict.outcome.exit_code  # that its reports could not be written was said
    found = msgspec.json.decode(content, type=Comparison)
    click.echo(summary(found))
    click.echo(shown(f"{ended.verdict.outcome.value}: {found.sentence}, {ended.folder / 'comparison.html'}"))
    return ended.verdict.outcome.exit_code
