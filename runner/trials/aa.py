"""`squall aa`: the same run again and again with its faults off, for what is noise and what a rule does in peace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from runner.errors import Refused
from runner.guardian.state import MachineLock
from runner.plan_record import Plan
from runner.planning.calibration import Calibration, keep
from runner.planning.preparation import slug
from runner.timeline import HaltPulled
from runner.trials.campaign import Campaign, asked, fingerprint, settings_text
from runner.trials.trial import Setup, case_in, prepared
from runner.verdict.case import Case
from runner.verdict.doubting import doubts_of
from runner.verdict.noise import asked_of, false_halts, noise_of, rates_of
from runner.verdict.record import Outcome


@dataclass(frozen=True, slots=True)
class Learned:
    """What the runs taught, and why some of them taught nothing."""

    calibration: Calibration
    outcome: Outcome
    reason: str
    kept: Path
    cases: tuple[Case, ...]
    unused: tuple[str, ...]


def learn(setup: Setup, runs: int, *, lock: MachineLock, reports: Path, resume: Path | None) -> Learned:
    """Make every run that is not on record yet, then keep what they teach beside the scenario's reports."""
    plan = prepared(setup).plan
    campaign = _campaign(setup, plan, runs, reports, resume)
    click.echo(
        f"{runs} runs of {plan.scenario.name} without faults, {plan.ends + plan.scenario.before:.0f} s each and more to start it"
    )
    for number in range(1, runs + 1):
        campaign.trial(f"run {number}", setup, lock)
        if campaign.stopped:
            break
    folders = [campaign.folder_of(one) for one in campaign.done.values()]
    read = [case_in(folder) for folder in folders]
    unused = tuple(
        f"{folder.name}: {doubts[0]}"
        for folder, case in zip(folders, read, strict=True)
        if (doubts := _doubts(case))
    )
    cases = tuple(case for case in read if not _doubts(case))
    calibration = Calibration(
        scenario=campaign.question.sha256,
        environment=plan.environment.name,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        runs=tuple(str(folder) for folder in folders),
        seconds=sum(max(0.0, case.moments.end - (case.moments.warm or 0.0)) for case in cases),
        noise=tuple(noise for one in asked_of(plan.scenario) if (noise := noise_of(one, cases)) is not None),
        halts=false_halts(plan.scenario, [rule for case in read for rule in _tripped(case)], len(read)),
        rates=rates_of(cases),
    )
    outcome, reason = _outcome(campaign, calibration, len(cases))
    kept = reports / slug(plan.scenario.name)
    if outcome in (Outcome.PASSED, Outcome.FAILED):
        keep(calibration, kept)
    return Learned(calibration, outcome, reason, kept, cases, unused)


def _campaign(setup: Setup, plan: Plan, runs: int, reports: Path, resume: Path | None) -> Campaign:
    if not plan.scenario.loads and not plan.scenario.indicators:
        raise Refused(f"{setup.scenario}: measures nothing, so it has no noise; add a load or indicators")
    question = asked(
        "aa",
        setup.scenario,
        runs=str(runs),
        settings=settings_text(setup.settings),
        **{"the environment": fingerprint(setup.environment, plan)},
    )
    return Campaign.resume(question, resume) if resume else Campaign.begin(question, reports)


def _doubts(case: Case) -> list[str]:
    """Why a run teaches nothing. One that a rule halted taught what it measured until then."""
    return doubts_of(case)[:1] if not list(_tripped(case)) else list(case.doubts.all)


def _tripped(case: Case) -> list[str]:
    return [
        event.rule for event in case.record.events if isinstance(event, HaltPulled) and event.cause == "rule"
    ]


def _outcome(campaign: Campaign, calibration: Calibration, used: int) -> tuple[Outcome, str]:
    if campaign.stopped is not None:
        one = campaign.stopped
        return (
            one.outcome,
            f"{one.label}: {one.reason}; what is done stays: go on with --resume {campaign.folder}",
        )
    if used < 2:
        return (
            Outcome.INCONCLUSIVE,
            f"{used} of {len(campaign.done)} runs can be used; noise needs two at least",
        )
    if tripped := [halt for halt in calibration.halts if halt.halted]:
        first = tripped[0]
        return (
            Outcome.FAILED,
            f"halt: {first.rule} tripped in {first.halted} of {first.runs} runs in which nothing was injected",
        )
    return Outcome.PASSED, f"{used} runs, and no halt rule tripped in {len(campaign.done)}"
