"""What a verdict means to pytest: passed, failure, skip or error, with the findings as a small table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from runner.pytest_plugin.client import Ended
from runner.report.words import interval, quantity
from runner.shown import shown
from runner.timeline import HaltPulled, read_events
from runner.verdict.record import Finding, Outcome, Verdict

_HEAD = ("", "when", "assertion", "value", "limit", "requests")
_ORDER = ("broken", "inconclusive", "held")
_WIDEST = 48
_MOST = 30


class ScenarioBroken(pytest.fail.Exception):  # type: ignore[name-defined,misc]  # pytest types it as a variable
    """The system did not hold, or it cannot be told: a failure."""

    __module__ = "builtins"  # as pytest's own: summaries then show the class without its path


class ScenarioDidNotCount(pytest.fail.Exception):  # type: ignore[name-defined,misc]  # pytest types it as a variable
    """The run was refused, interrupted, or left something behind: an error, nothing was learned."""

    __module__ = "builtins"


def check_counts(ended: Ended) -> None:
    """Raise ScenarioDidNotCount where the run says nothing about the system."""
    verdict = ended.verdict
    if verdict is None:
        raise ScenarioDidNotCount(shown(ended.reason), pytrace=False)
    if verdict.outcome in (Outcome.DIRTY, Outcome.DEFECT, Outcome.REFUSED):
        raise ScenarioDidNotCount(_account(verdict, ended), pytrace=False)
    if verdict.outcome is Outcome.HALTED and (cause := _cause(ended)) not in ("rule", "evidence"):
        raise ScenarioDidNotCount(f"halted by {cause}\n{_account(verdict, ended)}", pytrace=False)


def check_outcome(ended: Ended, expected: str, *, skip_inconclusive: bool) -> None:
    """Raise ScenarioBroken (or skip) where the outcome is not the expected one."""
    verdict = ended.verdict
    if verdict is None or verdict.outcome.value == expected:
        return
    if verdict.outcome is Outcome.INCONCLUSIVE and skip_inconclusive:
        pytest.skip(f"inconclusive: {shown(verdict.reason)}; {ended.report}")
    wanted = "" if expected == "passed" else f" (outcome: {expected} was expected)"
    raise ScenarioBroken(_account(verdict, ended, wanted), pytrace=False)


def _cause(ended: Ended) -> str:
    """Who pulled the brake first; a record without its halt counts as a rule's."""
    timeline = ended.report / "timeline.jsonl" if ended.report else None
    if timeline is None or not timeline.exists():
        return "rule"
    halts = (event.cause for event in read_events(timeline) if isinstance(event, HaltPulled))
    return next(halts, "rule")


def _account(verdict: Verdict, ended: Ended, wanted: str = "") -> str:
    head = f"{verdict.outcome.value}: {shown(verdict.reason)}{wanted}"
    dirty = [f"not as it was: {fault.name}: {shown(fault.dirty)}" for fault in verdict.faults if fault.dirty]
    return "\n".join([head, *dirty, *table(verdict.findings), f"report: {ended.report}"])


def table(findings: Sequence[Finding]) -> list[str]:
    """Lay findings out in columns, the decisive first, each broken one with its reason below."""
    if not findings:
        return []
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.outcome))[:_MOST]
    rows = [_HEAD, *(_row(finding) for finding in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    for number, finding in reversed(list(enumerate(ordered, start=1))):
        if finding.outcome != "held":
            lines.insert(number + 1, f"    {shown(finding.reason)}")
    rest = len(findings) - len(ordered)
    return [*lines, *([f"and {rest} more in the report"] if rest else [])]


def _row(finding: Finding) -> tuple[str, ...]:
    ends = interval(finding)
    value = "no data" if finding.value is None else quantity(finding.value, finding.unit)
    value += f" ({ends})" if ends else ""
    limit = "" if finding.limit is None else quantity(finding.limit, finding.unit)
    texts = (finding.outcome, finding.when, finding.assertion, value, limit, str(finding.requests))
    return tuple(shown(text)[:_WIDEST] for text in texts)
