"""`squall aa`: what is noise in this scenario, here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from runner.cli.options import environment_option, report_option, resume_option, settings_of, settings_option
from runner.errors import Refused
from runner.report.noise import noise_lines
from runner.report.words import count
from runner.running.carrying import machine
from runner.shown import shown
from runner.statistics.paired import pairs_for, power
from runner.trials.aa import Learned, learn
from runner.trials.trial import WHOLE, Setup
from runner.verdict.measuring import unit_of
from runner.verdict.noise import Asked, asked_of, spread_of_pairs

FEWEST, MOST = 2, 200


@click.command("aa")
@click.argument("scenario", type=click.Path(path_type=Path))
@environment_option
@settings_option
@click.option("--runs", type=int, default=10, show_default=True, help="How many.")
@resume_option
@report_option
def aa_verb(
    *,
    scenario: Path,
    environment: str,
    settings: tuple[str, ...],
    runs: int,
    resume: Path | None,
    reports: Path,
) -> int:
    """Run SCENARIO with its faults off, and keep what is learned of its noise for `squall plan`."""
    if not FEWEST <= runs <= MOST:
        raise Refused(f"--runs {runs}: write {FEWEST} to {MOST}")
    setup = Setup(scenario, environment, settings_of(settings), WHOLE, calm=True)
    with machine(f"aa-{scenario.stem}") as lock:
        learned = learn(setup, runs, lock=lock, reports=reports, resume=resume)
    for line in (*_table(learned), *_comparisons(learned)):
        click.echo(line)
    for why in learned.unused:
        click.echo(shown(f"  not used: {why}"))
    click.echo(shown(f"{learned.outcome.value}: {learned.reason}, {learned.kept}"))
    return learned.outcome.exit_code


def _table(learned: Learned) -> Iterator[str]:
    if learned.cases:
        plan = learned.cases[0].plan
        units = {one.term.text: unit_of(plan, one.term) for one in asked_of(plan.scenario)}
        yield from noise_lines(learned.calibration, units)


def _comparisons(learned: Learned) -> Iterator[str]:
    """Say what the scenario's own comparison could show with runs like these."""
    compare = learned.cases[0].plan.scenario.compare if learned.cases else None
    if compare is None:
        return
    yield ""
    for margin in compare.margins:
        spread = spread_of_pairs(
            Asked(margin.term, compare.when, ""), learned.cases, relative=margin.relative
        )
        if spread is None:
            continue
        distance = min(abs(one) for one in (margin.floor, margin.ceiling) if one is not None)
        chance = power(spread=spread, distance=distance, pairs=compare.pairs)
        needed = pairs_for(spread=spread, distance=distance)
        enough = f"{count(needed, 'pair')} make it 80 %" if needed else "no number of pairs makes it 80 %"
        yield shown(
            f"  compare: {margin.term.text}, margin {margin.text}: {compare.pairs} pairs pass a variant that does not"
            f" differ with {chance * 100:.0f} %; {enough}"
        )
