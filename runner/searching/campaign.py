"""A search as a campaign of real runs: resumable, each trial's evidence read back from its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from runner.errors import RecordUnreadable
from runner.guardian.state import MachineLock
from runner.plan_record import Plan
from runner.report.search_words import outcome_of, said_level, sentences
from runner.search_record import Knob, Searched, Shot
from runner.searching.evidence import shot_of
from runner.searching.knobs import changes_for, level_of, level_text, settings_for
from runner.searching.search import Bounds, Hunt, compared, hunt
from runner.shown import shown
from runner.statistics.edge import CONFIDENCE
from runner.trials.campaign import Campaign, Tried
from runner.trials.trial import Setup, case_in
from runner.verdict.record import Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for. *plans*: of each environment, as they would run now."""

    kind: Literal["capacity", "margin"]
    scenario: Path
    environments: tuple[str, ...]
    settings: dict[str, str]
    knob: Knob
    bounds: Bounds
    plans: tuple[Plan, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The environments as people say them: by their whole paths only where two have one name."""
        names = tuple(plan.environment.name for plan in self.plans)
        return names if len(set(names)) == len(names) else self.environments


def search(question: Question, campaign: Campaign, lock: MachineLock) -> Searched:
    """Make the trials that are still needed, and say what they come to."""
    hunts = [Hunt(name, question.knob, question.bounds) for name in question.names]
    places = dict(zip(question.names, question.environments, strict=True))

    def shoot(one: Hunt, level: float, number: int) -> Shot | None:
        text = level_text(question.knob, level)
        label = f"{one.environment} trial {number} at {text}"
        setup = Setup(
            question.scenario,
            environment=places[one.environment],
            settings={**question.settings, **settings_for(question.knob, level)},
            changes=changes_for(question.knob, level),
        )
        tried = campaign.trial(label, setup, lock)
        if campaign.stopped is not None:
            return None
        exact = level_of(question.knob, text, "")
        return _shot(campaign.folder_of(tried), tried, question.knob, exact)

    hunt(hunts, shoot)
    return _answer(question, campaign, hunts)


def _shot(folder: Path, tried: Tried, knob: Knob, level: float) -> Shot:
    path = folder / "verdict.json"
    try:
        verdict = msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordUnreadable(
            f"{path} cannot be read: {error}; `squall judge {folder}` makes it again"
        ) from error
    return shot_of(case_in(folder), verdict, knob=knob, level=level, label=tried.label, folder=tried.folder)


def _answer(question: Question, campaign: Campaign, hunts: list[Hunt]) -> Searched:
    prices = [plan.environment.price for plan in question.plans]
    sides = tuple(
        one.side(price.value if price else None, price.currency if price else "")
        for one, price in zip(hunts, prices, strict=True)
    )
    plan, knob, bounds = question.plans[0], question.knob, question.bounds
    faults = tuple(use.name for use in plan.scenario.faults)
    ratio = compared(hunts, sides)
    said = sentences(knob, sides, ratio, faults, resolution=bounds.resolution)
    outcome = outcome_of(sides)
    if campaign.stopped is not None:
        outcome = campaign.stopped.outcome
        said = (
            f"{campaign.stopped.label}: {campaign.stopped.reason}; go on with --resume and this folder",
            *said,
        )
    return Searched(
        kind=question.kind,
        scenario=plan.scenario.path,
        title=plan.scenario.title,
        started=min((tried.started for tried in campaign.done.values()), default=""),
        knob=knob,
        least=bounds.least,
        most=bounds.most,
        resolution=bounds.resolution,
        confidence=CONFIDENCE,
        faults=faults,
        sides=sides,
        ratio=ratio,
        outcome=outcome,
        sentences=said,
        again=_again(question),
    )


def _again(question: Question) -> str:
    knob, bounds = question.knob, question.bounds
    parts = [f"squall {question.kind} {question.scenario}", f"--env {question.environments[0]}"]
    parts += [f"--variant {name}" for name in question.environments[1:]]
    parts += [f"--set {name}={value}" for name, value in question.settings.items()]
    if knob.of_load:
        parts.append(f"--knob {knob.name}")
    else:
        _, fault, name = knob.paths[0].split(".")
        parts.append(
            f"--fault {fault} --knob {name} --worse {'larger' if knob.larger_is_worse else 'smaller'}"
        )
    parts.append(f"--from {level_text(knob, bounds.least)} --to {level_text(knob, bounds.most)}")
    parts.append(f"--resolution {100 * bounds.resolution:g}% --trials {bounds.trials}")
    return shown(" ".join(parts))


def said_bounds(question: Question) -> str:
    """Say what is going to be searched."""
    knob, bounds = question.knob, question.bounds
    least, most = said_level(knob, bounds.least), said_level(knob, bounds.most)
    return f"{knob.name} between {least} and {most}, to ±{bounds.resolution:.1%}, at most {bounds.trials} trials in {' and '.join(question.names)}"
