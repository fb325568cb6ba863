"""What a report is made from: a run's folder, read once."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from runner.errors import RecordUnreadable
from runner.plan_record import Plan
from runner.record import Record
from runner.report.marks import Marks, read_marks
from runner.report.series import Requests, requests_by_load
from runner.timeline import Event
from runner.verdict.record import Verdict

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run as read from its folder. *gaps*: parts of the record that are missing or unreadable, one line each."""

    verdict: Verdict
    marks: Marks
    plan: Plan | None = None
    events: tuple[Event, ...] = ()
    loads: dict[str, Requests] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    again: str = ""
    gaps: tuple[str, ...] = ()
    cut: str = ""  # what the journal has that the timeline has not


def read_evidence(folder: Path) -> Evidence:
    """Read a run's folder. Only a verdict is indispensable; raises RecordUnreadable without one."""
    verdict = _read_verdict(folder / "verdict.json")
    gaps: list[str] = []
    plan = _attempt(
        folder / "plan.json", lambda path: msgspec.json.decode(path.read_bytes(), type=Plan), gaps
    )
    record = _record(folder, gaps)
    events = record.events if record else ()
    loads = requests_by_load(record.frames) if record else {}
    end = max((requests.ends for requests in loads.values()), default=0.0)
    names = (
        frozenset(use.name for use in plan.scenario.faults)
        if plan
        else frozenset(f.name for f in verdict.faults)
    )
    return Evidence(
        verdict=verdict,
        marks=read_marks(events, faults=names, end=end),
        plan=plan,
        events=events,
        loads=loads,
        files=_files(folder),
        again=_again(plan, folder.absolute()) if plan else "",
        gaps=tuple(gaps),
        cut=record.cut if record else "",
    )


def _read_verdict(path: Path) -> Verdict:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordUnreadable(
            f"{path}: no verdict can be read ({error}); make it with squall judge"
        ) from error


def _attempt(path: Path, read: Callable[[Path], _Read], gaps: list[str]) -> _Read | None:
    try:
        return read(path)
    except FileNotFoundError:
        gaps.append(f"{path.name} is missing")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        gaps.append(f"{path.name} cannot be read: {error}")
    return None


def _record(folder: Path, gaps: list[str]) -> Record | None:
    try:
        record = Record.load(folder)
    except RecordUnreadable as error:
        gaps.append(str(error))
        return None
    gaps += [gap for gap in (record.damage, record.cut) if gap]
    return record


def _files(folder: Path) -> tuple[str, ...]:
    """Name what lies in the folder and in its logs, not what the reports themselves are."""
    own = {"report.html", "report.txt", "junit.xml"}
    top = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry.name not in own)
    logs = folder / "logs"
    inner = (
        sorted(str(entry.relative_to(folder)) for entry in logs.rglob("*") if entry.is_file())
        if logs.is_dir()
        else []
    )
    return (*top, *inner)


def _again(plan: Plan, folder: Path) -> str:
    """Write the command that makes the run again, with paths from where the run was started."""
    scenario, environment = Path(plan.scenario.path), Path(plan.environment.path)
    root = _root(scenario, environment, folder)
    usual = (root / environment).parent == scenario.parent / "environments"
    words = ["squall", "run", _from(scenario, root)]
    words += ["--env", plan.environment.name if usual else _from(environment, root)]
    for name, value in sorted(plan.scenario.parameters.items()):
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _root(scenario: Path, environment: Path, folder: Path) -> Path:
    """Guess where the run was started: where a relative path of the environment begins, else above `reports`."""
    beside, own = (scenario.parent / "environments").parts, environment.parent.parts
    if own and not environment.is_absolute() and beside[-len(own) :] == own:
        return Path(*beside[: -len(own)])
    return folder.parents[2] if len(folder.parents) > 2 else folder


def _from(path: Path, root: Path) -> str:
    near = len(root.parts) > 1 and path.is_relative_to(root)  # everything is below the root of all
    return str(path.relative_to(root)) if near else str(path)
