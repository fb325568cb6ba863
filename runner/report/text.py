"""The report in plain text: what a person reads at three in the morning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from runner.report.words import (
    FINDING_WORDS,
    OUTCOME_MEANINGS,
    UNEXPLAINED,
    basis,
    change,
    clock,
    digits,
    evidence,
    measured,
    moment,
    span,
)
from runner.shown import shown, shown_lines
from runner.verdict.record import FaultReport, Finding, Verdict

_T = TypeVar("_T")
_MARKS = {"held": "ok", "broken": "BROKEN", "inconclusive": "?"}
_MOST_LINES = 200
_MOST_TEXT = 600


def text(verdict: Verdict, *, again: str = "", files: tuple[str, ...] = ()) -> str:
    """Write the whole report; *again*: the command that makes the run again; *files*: what lies beside it."""
    blocks = [_head(verdict), _facts(verdict), _faults(verdict), _findings(verdict), _changes(verdict)]
    blocks.append(_watched(verdict))
    blocks.append(_notes(verdict))
    if files:
        blocks.append(["Files", *(f"  {shown(name)}" for name in _capped(list(files)))])
    if again:
        blocks.append(["Again", f"  {shown(again)}"])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def last_line(verdict: Verdict, path: Path | str) -> str:
    """Write the last line of a run's output: the outcome, the reason in a few words, the path."""
    return f"{verdict.outcome.value}: {shown(verdict.reason, _MOST_TEXT)}, {shown(str(path))}"


def _head(verdict: Verdict) -> list[str]:
    word = verdict.outcome.value.upper()
    lines = [f"{word}: {shown(verdict.title or verdict.scenario, _MOST_TEXT)}"]
    reason = verdict.reason or OUTCOME_MEANINGS[verdict.outcome]
    return [*lines, *_wrapped(reason, "  ")]


def _facts(verdict: Verdict) -> list[str]:
    facts = {
        "hypothesis": verdict.hypothesis.strip(),
        "scenario": verdict.scenario,
        "environment": verdict.environment,
        "run": verdict.run,
        "started": f"{moment(verdict.started)}, took {span(verdict.duration)}",
        "owner": verdict.owner,
    }
    lines: list[str] = []
    for name, value in facts.items():
        if value:
            first, *rest = _wrapped(value, "") or [""]
            lines += [f"{name:<12} {first}", *(f"{'':<12} {line}" for line in rest)]
    return lines


def _faults(verdict: Verdict) -> list[str]:
    if not verdict.faults:
        return ["What was done", "  no fault is on record"]
    lines = ["What was done (times from t = 0)"]
    for fault in _some(verdict.faults):
        lines += _fault(fault, verdict.zero)
    return lines + _rest(verdict.faults)


def _fault(fault: FaultReport, zero: float | None) -> Iterator[str]:
    turn = f" #{fault.occurrence + 1}" if fault.occurrence else ""
    whom = shown(", ".join(fault.whom), 200) or "nobody"
    yield f"  {shown(fault.name)}{turn}: {shown(fault.does or fault.kind, 200)} on {whom}"
    evidence = f": {shown(fault.evidence, _MOST_TEXT)}" if fault.evidence else ""
    yield f"      {confirmation(fault)}{evidence}"
    yield f"      {undoing(fault, zero)}"
    if fault.dirty:
        yield "      DIRTY, mend by hand: " + shown_lines(fault.dirty, 4000).replace("\n", "\n        ")


def confirmation(fault: FaultReport) -> str:
    """Say whether the fault had an effect."""
    if fault.injected_at is None:
        return "not injected"
    if fault.unseen:
        return "NEVER SEEN TO ACT"
    return {True: "confirmed", False: "NOT CONFIRMED", None: "cannot be measured"}[fault.confirmed]


def undoing(fault: FaultReport, zero: float | None) -> str:
    """Say when it was injected and who undid it when."""
    if fault.injected_at is None:
        return "never injected"
    began = f"injected at {clock(fault.injected_at, zero)}"
    if fault.reverted_at is None and fault.reverted_by:
        return f"{began}, undone by what {shown(fault.reverted_by, 80)} says"
    if fault.reverted_at is None:
        return f"{began}, not undone on this record"
    by = shown(fault.reverted_by, 80) or "an unknown hand"
    return f"{began}, undone at {clock(fault.reverted_at, zero)} by {by}"


def _findings(verdict: Verdict) -> list[str]:
    if not verdict.findings:
        return ["What was expected", "  no assertion was judged"]
    lines = ["What was expected"]
    for finding in _some(verdict.findings):
        lines += _finding(finding)
    return lines + _rest(verdict.findings)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {_MARKS[finding.outcome]:<6} {title(finding)}"
    behind = basis(finding)
    yield f"         {measured(finding)}{f', of {behind}' if behind else ''}"
    if finding.changed_at:
        yield f"         changed at {shown(', '.join(finding.changed_at), 300)}"
    if finding.outcome != "held" and finding.reason:
        yield from _wrapped(finding.reason, " " * 9)
    if finding.outcome != "held" and finding.file:
        yield f"         {shown(finding.file)}:{finding.line}"


def _changes(verdict: Verdict) -> list[str]:
    """What changed when, and by what."""
    if not verdict.changes:
        return []
    lines = [
        f"  {clock(one.at, verdict.zero):>9}  {change(one)}: {shown(one.cause, 200) or UNEXPLAINED}"
        for one in _some(verdict.changes)
    ]
    return ["What changed when (clear changes of level)", *lines, *_rest(verdict.changes)]


def title(finding: Finding) -> str:
    """Name a finding as it is written: `during kill-one: error_rate < 2%`."""
    return f"{shown(finding.when, 200)}: {shown(finding.assertion, 400)}"


def tally(verdict: Verdict) -> str:
    """Count the findings by outcome: `6 held, 1 broken`."""
    found = [finding.outcome for finding in verdict.findings]
    parts = [f"{found.count(name)} {word}" for name, word in FINDING_WORDS.items() if name in found]
    return ", ".join(parts) or "no assertion was judged"


def _watched(verdict: Verdict) -> list[str]:
    """Say how near the halt rules with a confidence came."""
    if not verdict.watched:
        return []
    lines = ["Halts with a confidence"]
    for one in _some(verdict.watched):
        lines.append(f"  {shown(one.rule, 400)}")
        lines.append(
            f"         {evidence(one)}, at {clock(one.at, verdict.zero)}, design effect {digits(one.effect)}"
        )
    return lines + _rest(verdict.watched)


def _notes(verdict: Verdict) -> list[str]:
    if not verdict.notes:
        return []
    notes = [shown(note, _MOST_TEXT) for note in verdict.notes]
    return ["Notes", *(f"  {note}" for note in _capped(notes))]


def _wrapped(value: str, indent: str) -> list[str]:
    whole = shown(" ".join(value.split()), 4 * _MOST_TEXT)
    return textwrap.wrap(whole, 100, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _some(items: tuple[_T, ...]) -> tuple[_T, ...]:
    return items[:_MOST_LINES]


def _rest(items: tuple[object, ...]) -> list[str]:
    return [f"  and {len(items) - _MOST_LINES} more"] if len(items) > _MOST_LINES else []


def _capped(lines: list[str]) -> list[str]:
    return (
        lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    )
