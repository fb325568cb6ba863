"""`squall compare` of two environments: interleaved pairs of runs in random order, judged from their records."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from runner.comparison import Compare
from runner.errors import RecordUnreadable, Refused
from runner.guardian.state import MachineLock
from runner.plan_record import Plan
from runner.report.comparison import write_comparison
from runner.scenario import Scenario
from runner.trials.campaign import Campaign, Tried, asked, fingerprint, settings_text
from runner.trials.trial import WHOLE, Setup, case_in, prepared
from runner.verdict.case import Case
from runner.verdict.compared import Comparison, TrialSeen
from runner.verdict.comparing import Trial, compared, usable
from runner.verdict.record import Outcome


@dataclass(frozen=True, slots=True)
class Swap:
    """What is compared with what. *pairs* None: as many as the scenario says."""

    scenario: Path
    baseline: str
    variant: str
    settings: Mapping[str, str]
    pairs: int | None = None

    def setup(self, environment: str) -> Setup:
        return Setup(self.scenario, environment, self.settings, WHOLE)


def carry_out_swap(
    swap: Swap, *, lock: MachineLock, reports: Path, resume: Path | None
) -> tuple[Comparison, Path]:
    """Make every pair that is not on record yet, then judge. Raises Refused where it cannot begin."""
    both = [prepared(swap.setup(name)).plan for name in (swap.baseline, swap.variant)]
    compare = section(both[0].scenario)
    pairs = swap.pairs or compare.pairs
    question = asked(
        "compare",
        swap.scenario,
        pairs=str(pairs),
        seed=str(compare.seed),
        settings=settings_text(swap.settings),
        **{"the baseline": fingerprint(swap.baseline, both[0])},
        **{"the variant": fingerprint(swap.variant, both[1])},
    )
    campaign = Campaign.resume(question, resume) if resume else Campaign.begin(question, reports)
    click.echo(
        f"{pairs} pairs of {swap.baseline} and {swap.variant}, {both[0].ends:.0f} s each run and more to start it"
    )
    for label, side in order(pairs, compare.seed):
        environment = swap.baseline if side == "baseline" else swap.variant
        tried = campaign.trial(label, swap.setup(environment), lock)
        if campaign.stopped or tried.outcome is Outcome.HALTED:
            break
    comparison = judged(campaign, _names(both[0], both[1]), compare, pairs)
    write_comparison(comparison, campaign.folder)
    return comparison, campaign.folder


def judged_again(folder: Path) -> Comparison:
    """Judge a comparison again from the records of its trials. Raises Refused where *folder* holds none."""
    campaign = Campaign.read(folder)
    if campaign.question.kind != "compare":
        raise Refused(
            f"{folder}: is a campaign of `squall {campaign.question.kind}`; only comparisons are judged again"
        )
    plans = {}
    for one in campaign.done.values():
        plans[one.label.rpartition(" ")[2]] = case_in(campaign.folder_of(one)).plan
    if len(plans) < 2:
        raise Refused(f"{folder}: no pair was made")
    names = _names(plans["baseline"], plans["variant"])
    comparison = judged(
        campaign, names, section(plans["baseline"].scenario), int(campaign.question.parameters["pairs"])
    )
    write_comparison(comparison, folder)
    return comparison


def _names(baseline: Plan, variant: Plan) -> tuple[str, str]:
    one, other = baseline.environment, variant.environment
    return (one.name, other.name) if one.name != other.name else (one.path, other.path)


def section(scenario: Scenario) -> Compare:
    """Give what the scenario says of comparisons. Raises Refused where it says nothing."""
    if scenario.compare is None:
        raise Refused(
            f"{scenario.path}: does not say what the variant may cost; write compare: {{margins: {{p95: 10%, error_rate: 0.5%}}}}"
        )
    return scenario.compare


def order(pairs: int, seed: int) -> Iterator[tuple[str, str]]:
    """Label and side of every trial: within each pair a coin says who goes first (RMIT, Abedi and Brecht 2017)."""
    coin = random.Random(seed)  # noqa: S311 - an order that can be repeated
    for number in range(1, pairs + 1):
        sides = ["baseline", "variant"]
        coin.shuffle(sides)
        yield from ((f"pair {number} {side}", side) for side in sides)


def judged(campaign: Campaign, names: tuple[str, str], compare: Compare, pairs: int) -> Comparison:
    """Judge what is on record of a campaign."""
    found = [
        tuple(_trial(campaign, f"pair {number} {side}", side, compare) for side in ("baseline", "variant"))
        for number in range(1, pairs + 1)
    ]
    whole = [(one, other) for one, other in found if one and other]
    outcome, sentence = _stopped(campaign, names)
    cases = [trial.case for pair in whole for trial in pair if trial.case]
    scenario = cases[0].plan.scenario if cases else None
    head = Comparison(
        scenario=scenario.name if scenario else Path(campaign.question.scenario).stem,
        title=scenario.title if scenario else "",
        when=compare.when.text,
        baseline=names[0],
        variant=names[1],
        outcome=outcome,
        sentence=sentence,
        planned=pairs,
        used=0,
    )
    return compared(compare, whole, head)


def _stopped(campaign: Campaign, names: tuple[str, str]) -> tuple[Outcome, str]:
    """Say what ended the campaign before its last pair, if anything did."""
    halted = [one for one in campaign.done.values() if one.outcome is Outcome.HALTED]
    stopped = campaign.stopped or (halted[0] if halted else None)
    if stopped is None:
        return Outcome.PASSED, ""
    side = stopped.label.rpartition(" ")[2]
    name = names[0] if side == "baseline" else names[1]
    others = sum(1 for one in campaign.done.values() if one.label.endswith(side) and one is not stopped)
    told = f"{stopped.label} ({name}): {stopped.outcome.value}: {stopped.reason}"
    if not stopped.counts:
        return stopped.outcome, f"{told}; no trial followed"
    return Outcome.HALTED, f"{told}; {others} of its trials before were not halted, and none followed"


def _trial(campaign: Campaign, label: str, side: str, compare: Compare) -> Trial | None:
    tried = campaign.done.get(label)
    if tried is None:
        return None
    case, why = _read(campaign.folder_of(tried))
    unused = why or (usable(case, compare) if case else "")
    return Trial(_seen(tried, side, unused), case)


def _read(folder: Path) -> tuple[Case | None, str]:
    try:
        return case_in(folder), ""
    except RecordUnreadable as error:
        return None, str(error)


def _seen(tried: Tried, side: str, unused: str) -> TrialSeen:
    return TrialSeen(
        label=tried.label,
        side=side,
        started=tried.started,
        outcome=tried.outcome,
        reason=tried.reason,
        folder=tried.folder,
        unused="it was halted" if tried.outcome is Outcome.HALTED else unused,
    )
