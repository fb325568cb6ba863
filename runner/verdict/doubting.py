"""Why a run says nothing, or less than it seems to."""

from __future__ import annotations

from runner.timeline import Note
from runner.verdict.case import Case


def doubts_of(case: Case) -> list[str]:
    """Say why a run without a broken assertion still shows nothing."""
    found = [
        event.text for event in case.record.events if isinstance(event, Note) and event.level == "invalid"
    ]
    found += case.doubts.all
    if case.moments.zero is None:
        found.append("the run ended before t = 0")
    found += [report.doubt for report in case.faults if report.doubt]
    begun = {(one.fault, one.number) for one in case.moments.occurrences}
    never = [window for window in case.plan.windows if (window.fault, window.occurrence) not in begun]
    return [*found, *(f"{window.fault} was planned and never injected" for window in never)]
