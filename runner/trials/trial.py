"""One trial: a whole run of a scenario, carried out quietly below a campaign's folder, and measured from its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runner.errors import RecordUnreadable, Refused
from runner.guardian.state import MachineLock
from runner.plan_record import Plan
from runner.planning.preparation import Prepared, prepare
from runner.record import Record
from runner.running.carrying import Ended, carry_out
from runner.verdict.case import Case, case_of

WHOLE = {"stop_when_decided": "false"}  # a change: windows that end as their data please cannot be compared


@dataclass(frozen=True, slots=True)
class Setup:
    """What one trial runs. *changes*: path of keys -> text; *calm*: nothing is injected in the faults' windows."""

    scenario: Path
    environment: str
    settings: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)
    calm: bool = False


def prepared(setup: Setup) -> Prepared:
    """Check the one run that *setup* stands for. Raises Refused, also where it sweeps."""
    runs = prepare(
        setup.scenario,
        environment=setup.environment,
        settings=setup.settings,
        changes=setup.changes,
        calm=setup.calm,
    )
    if len(runs) > 1:
        raise Refused(
            f"{setup.scenario}: sweeps {len(runs)} runs; many trials are made of one of them: choose it with --set"
        )
    return runs[0]


def try_out(setup: Setup, *, lock: MachineLock, folder: Path) -> Ended:
    """Carry one run out below *folder*, saying nothing. Raises Refused where it cannot start."""
    return carry_out(prepared(setup), lock=lock, reports=folder, quiet=True)


def case_in(folder: Path) -> Case:
    """Read what a run's folder holds, to be measured with `case.measured(term, when)`. Raises RecordUnreadable."""
    path = folder / "plan.json"
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordUnreadable(f"{path} cannot be read: {error}") from error
    return case_of(plan, Record.judgeable(folder))
