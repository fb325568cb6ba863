"""What earlier runs of a scenario taught: its A/A runs, else the newest run with the same load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runner.plan_record import Plan
from runner.planning.calibration import Calibration, known
from runner.scenario import Load
from runner.verdict.record import Verdict


@dataclass(frozen=True, slots=True)
class Earlier:
    """*pace*: requests per second that an assertion saw in its window, by its text and WHEN, in the run *run*."""

    calibration: Calibration | None = None
    pace: dict[tuple[str, str], float] = field(default_factory=dict)
    run: str = ""


def earlier(folder: Path, plan: Plan) -> Earlier:
    """Read what is kept in the folder of the scenario's reports; noise of another version or environment says nothing."""
    calibration = known(folder)
    if calibration is not None and _is_of(calibration, plan):
        return Earlier(calibration)
    newest = folder / "latest"
    try:
        verdict = msgspec.json.decode((newest / "verdict.json").read_bytes(), type=Verdict)
        past = msgspec.json.decode((newest / "plan.json").read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError):
        return Earlier()
    if _loads(past) != _loads(plan):
        return Earlier()
    return Earlier(None, _pace(verdict), verdict.run)


def _is_of(calibration: Calibration, plan: Plan) -> bool:
    text = Path(plan.scenario.path).read_bytes()
    same = calibration.scenario == hashlib.sha256(text).hexdigest()
    return same and calibration.environment == plan.environment.name


def _loads(plan: Plan) -> list[Load]:
    return [msgspec.structs.replace(load, place=plan.scenario.loads[0].place) for load in plan.scenario.loads]


def _pace(verdict: Verdict) -> dict[tuple[str, str], float]:
    """Of `each`, which gives several findings, the request that was made least."""
    found: dict[tuple[str, str], float] = {}
    for finding in verdict.findings:
        if not finding.requests or finding.start is None or finding.end is None:
            continue
        seconds, name = finding.end - finding.start, (finding.assertion, finding.when)
        if seconds > 0:
            found[name] = min(finding.requests / seconds, found.get(name, float("inf")))
    return found
