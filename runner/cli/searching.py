"""`squall capacity` and `squall margin`: the highest rate, and the largest fault, at which the expectations hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from runner.cli.options import environment_option, settings_of, settings_option
from runner.errors import Refused
from runner.plan_record import Plan
from runner.report.search import write_search
from runner.report.search_words import answer_line
from runner.running.carrying import machine
from runner.scenario import Scenario
from runner.search_record import Knob
from runner.searching.campaign import Question, said_bounds, search
from runner.searching.knobs import RATE, changes_for, ends, level_text, of_fault, of_load, settings_for
from runner.searching.search import Bounds
from runner.shown import shown
from runner.trials.campaign import Campaign, asked
from runner.trials.trial import Setup, prepared
from runner.units import QuantityError, parse

_OPTIONS = (
    click.argument("scenario", type=click.Path(path_type=Path)),
    environment_option,
    click.option("--variant", metavar="NAME|PATH", help="A second environment; its edge over the first's."),
    settings_option,
    click.option("--from", "least", metavar="LEVEL", help="The least level tried (an eighth of the written one)."),
    click.option("--to", "most", metavar="LEVEL", help="The most (eight times the written one)."),
    click.option("--resolution", default="5%", show_default=True, help="Half the width of the interval asked for."),
    click.option("--trials", default=40, show_default=True, help="At most so many, in each environment."),
    click.option("--resume", type=click.Path(path_type=Path), help="Go on in the folder of a search."),
    click.option("--report", "reports", type=click.Path(path_type=Path), default=Path("reports"), help="Folder of the records (reports)."),
)  # fmt: skip


def _searches(verb: Callable[..., int]) -> Callable[..., Any]:
    """Add the options that both verbs share."""
    for option in reversed(_OPTIONS):
        verb = option(verb)
    return verb


@click.command("capacity")
@_searches
@click.option(
    "--knob",
    default=RATE,
    show_default=True,
    help="The parameter that the load's stages use; load: all stages by a share.",
)
def capacity_verb(*, knob: str, **given: Any) -> int:
    """Find the highest rate at which what SCENARIO expects holds, faults included."""
    return _search("capacity", lambda read: of_load(read, knob), **given)


@click.command("margin")
@_searches
@click.option("--fault", required=True, metavar="NAME", help="The fault whose knob is turned.")
@click.option("--knob", required=True, metavar="NAME", help="The knob: delay, share, limit, for …")
@click.option("--worse", type=click.Choice(["larger", "smaller"]), help="Which side is worse, if not known.")
def margin_verb(*, fault: str, knob: str, worse: str | None, **given: Any) -> int:
    """Find the largest fault that SCENARIO's expectations still bear."""
    return _search("margin", lambda read: of_fault(read, fault, knob, worse), **given)


def _search(
    kind: Literal["capacity", "margin"],
    knob_of: Callable[[Scenario], Knob],
    *,
    scenario: Path,
    environment: str,
    variant: str | None,
    settings: tuple[str, ...],
    least: str | None,
    most: str | None,
    resolution: str,
    trials: int,
    resume: Path | None,
    reports: Path,
) -> int:
    environments = (environment, *([variant] if variant else []))
    if variant == environment:
        raise Refused(f"--variant {variant} is the environment itself; name another one to compare with")
    chosen = settings_of(settings)
    with machine(f"{kind}-{scenario.stem}") as lock:
        plans = tuple(_plan(Setup(scenario, environment=one, settings=chosen)) for one in environments)
        knob = knob_of(plans[0].scenario)
        low, high = ends(knob, least, most)
        bounds = Bounds(low, high, _resolution(resolution), _most_trials(trials))
        question = Question(kind, scenario, environments, chosen, knob, bounds, plans)
        _check_ends(question)
        campaign = _campaign(question, resume, reports)
        click.echo(shown(f"{kind}: {said_bounds(question)}; {campaign.folder}"))
        searched = search(question, campaign, lock)
    write_search(searched, campaign.folder)
    click.echo(shown(answer_line(searched, str(campaign.folder))))
    return searched.outcome.exit_code


def _campaign(question: Question, resume: Path | None, reports: Path) -> Campaign:
    bounds = question.bounds
    head = asked(
        question.kind,
        question.scenario,
        environments=", ".join(question.environments),
        settings=", ".join(f"{name}={value}" for name, value in sorted(question.settings.items())),
        knob=f"{question.knob.name}, {'larger' if question.knob.larger_is_worse else 'smaller'} is worse",
        levels=f"{level_text(question.knob, bounds.least)} to {level_text(question.knob, bounds.most)}",
        resolution=f"{bounds.resolution:g}",
    )
    return Campaign.resume(head, resume) if resume else Campaign.begin(head, reports)


def _plan(setup: Setup) -> Plan:
    plan = prepared(setup).plan
    if not plan.scenario.expect and not plan.scenario.steady_state:
        raise Refused(f"{setup.scenario}: nothing is expected of it, so nothing can break; write `expect`")
    return plan


def _check_ends(question: Question) -> None:
    """Plan a run at both ends: what is refused there is refused before any trial, and the knob must change something."""
    knob, bounds = question.knob, question.bounds
    for one in question.environments:
        least, most = (
            _plan(
                Setup(
                    question.scenario,
                    environment=one,
                    settings={**question.settings, **settings_for(knob, level)},
                    changes=changes_for(knob, level),
                )
            ).scenario
            for level in (bounds.least, bounds.most)
        )
        if (least.loads, least.faults) == (most.loads, most.faults):
            raise Refused(
                f"--knob {knob.name}: no stage of the load uses it: write rate: ${knob.name} in the stages"
            )


def _resolution(text: str) -> float:
    try:
        share = parse("share", text)
    except QuantityError as error:
        raise Refused(f"--resolution {error}") from error
    if not 0.005 <= share <= 0.5:
        raise Refused(f"--resolution {text} is not possible; write 0.5% to 50%")
    return share


def _most_trials(trials: int) -> int:
    if not 1 <= trials <= 1000:
        raise Refused(f"--trials {trials} is not possible; write 1 to 1000")
    return trials
