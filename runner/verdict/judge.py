"""The verdict of a run: findings, faults and the outcome that they come to, purely from plan and record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import HaltPulled, Note, Phase, Started
from runner.verdict.case import Case, case_of
from runner.verdict.changes import changes_of
from runner.verdict.doubting import doubts_of
from runner.verdict.faults import left_dirty
from runner.verdict.findings import findings_in, findings_of
from runner.verdict.measuring import unit_of
from runner.verdict.record import Finding, Outcome, Verdict
from runner.verdict.watched import watched
from runner.verdict.windows import after, before

_HALTS = {"evidence": Outcome.INCONCLUSIVE, "defect": Outcome.DEFECT}  # every other cause: halted

_PASSED = {0: "nothing was asserted", 1: "the assertion held"}


def judge(plan: Plan, record: Record) -> Verdict:
    """Judge a finished run. Never raises on a record that can be read."""
    case = case_of(plan, record)
    case = replace(case, changes=changes_of(case))
    steady_before = _steady(case, "before")
    steady_after = _steady(case, "after")
    expected = tuple(
        finding for assertion in plan.scenario.expect for finding in findings_of(case, assertion)
    )
    expected += _compared(case)
    leaks = _leaks(case)
    findings = (*steady_before, *expected, *steady_after, *leaks, *_halt_findings(case))
    outcome, reason = _outcome(case, steady_before, (*expected, *steady_after, *leaks))
    return Verdict(
        run=plan.run,
        scenario=plan.scenario.name,
        title=plan.scenario.title,
        hypothesis=plan.scenario.hypothesis,
        owner=plan.scenario.owner,
        environment=plan.environment.name,
        started=_started(record),
        duration=record.end,
        zero=case.moments.zero,
        outcome=outcome,
        reason=reason,
        findings=findings,
        faults=case.faults,
        changes=case.changes,
        notes=_notes(case),
        watched=watched(plan, record),
    )


def _started(record: Record) -> str:
    """When it began, by the timeline or else the journal; `?` where neither says it."""
    heads = [event.anchor for event in record.events if isinstance(event, Started)]
    heads += [record.journal.anchor] if record.journal.anchor else []
    return datetime.fromtimestamp(heads[0].wall, UTC).isoformat(timespec="milliseconds") if heads else "?"


def _compared(case: Case) -> tuple[Finding, ...]:
    """The guardrails between two sides that ran beside each other."""
    compare = case.plan.scenario.compare
    if compare is None or compare.arms is None:
        return ()
    from runner.verdict.arms import arms_findings  # noqa: PLC0415 - scipy: most runs compare nothing

    return arms_findings(case)


def steady_findings(plan: Plan, record: Record, side: Literal["before", "after"]) -> tuple[Finding, ...]:
    """Judge the steady state alone, also of a run that goes on, by points.

    It decides whether faults may be injected. A value on the good side is enough for that: more certainty than the time
    before can give would keep harmless experiments from being made. The verdict then judges the same by intervals.
    """
    return _steady(case_of(plan, record, live=True, points=True), side)


def _steady(case: Case, side: Literal["before", "after"]) -> tuple[Finding, ...]:
    window = before(case.moments) if side == "before" else after(case.moments)
    return tuple(
        finding
        for assertion in case.plan.scenario.steady_state
        for finding in findings_in(case, assertion, (window,), when=f"steady state {side}")
    )


def _leaks(case: Case) -> tuple[Finding, ...]:
    """Faults that hurt an instance which was no target of theirs."""
    return tuple(
        Finding(
            assertion="the fault stays where it belongs",
            when=f"during {report.name}",
            outcome="broken",
            reason=f"leaked: {report.leaked}",
            start=report.injected_at,
            end=report.reverted_at,
        )
        for report in case.faults
        if report.leaked
    )


def _halt_findings(case: Case) -> tuple[Finding, ...]:
    """The rule that stopped the run, if it was one."""
    rules = {rule.text: rule for rule in case.plan.scenario.halt}
    found = []
    for event in case.record.events:
        if not isinstance(event, HaltPulled) or event.cause not in {"rule", "evidence"} or not event.rule:
            continue
        rule = rules.get(event.rule)
        found.append(
            Finding(
                assertion=event.rule,
                when="halt",
                outcome="broken" if event.cause == "rule" else "inconclusive",
                reason=event.reason,
                value=event.value,
                limit=event.limit,
                unit="seconds"
                if event.cause == "evidence"
                else "share"
                if event.confidence
                else unit_of(case.plan, rule.term)
                if rule
                else "",
                requests=event.requests,
                start=event.breached_at,
                end=event.at,
                file=rule.place.file if rule else "",
                line=rule.place.line if rule else 0,
            )
        )
    return tuple(found)


def _outcome(
    case: Case, steady_before: tuple[Finding, ...], later: tuple[Finding, ...]
) -> tuple[Outcome, str]:
    """The worst that can be said, and the decisive thing in a few words."""
    halt = _halt(case)
    if dirty := _dirty(case):
        return Outcome.DIRTY, f"not all is as it was: {dirty}"
    if halt and halt[0] in {Outcome.DEFECT, Outcome.HALTED}:
        return halt
    if not halt and case.record.cut:
        return Outcome.INCONCLUSIVE, case.record.cut
    unsteady = [finding for finding in steady_before if finding.outcome == "broken"]
    if unsteady:
        nothing = "" if case.moments.occurrences else ", so nothing was injected"
        return (
            Outcome.INCONCLUSIVE,
            f"not steady before{nothing}: {unsteady[0].assertion}: {unsteady[0].reason}",
        )
    broken = [finding for finding in later if finding.outcome == "broken"]
    if broken:
        return Outcome.FAILED, _decisive(broken)
    if halt:
        return halt
    if doubts := doubts_of(case):
        return Outcome.INCONCLUSIVE, doubts[0]
    judged = (*steady_before, *later)
    unknown = [finding for finding in judged if finding.outcome == "inconclusive"]
    if unknown:
        return Outcome.INCONCLUSIVE, _decisive(unknown)
    return Outcome.PASSED, _PASSED.get(len(judged), f"all {len(judged)} assertions held")


def _decisive(findings: list[Finding]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.when}: {first.assertion}: {first.reason}{more}"


def _dirty(case: Case) -> str:
    found = [report.dirty for report in case.faults if report.dirty]
    found += [text for text in left_dirty(case.record) if not any(text in one for one in found)]
    return "; ".join(found)


def _halt(case: Case) -> tuple[Outcome, str] | None:
    """What stopped the run early: the worst of all that is on record, or the runner's death."""
    pulled = [event for event in case.record.events if isinstance(event, HaltPulled)]
    if pulled:
        order = list(Outcome)
        worst = min(pulled, key=lambda event: order.index(_HALTS.get(event.cause, Outcome.HALTED)))
        return _HALTS.get(
            worst.cause, Outcome.HALTED
        ), f"{worst.rule}: {worst.reason}" if worst.rule else worst.reason
    ended = any(isinstance(event, Phase) and event.name == "end" for event in case.record.events)
    if ended or case.record.cut:
        return None
    return Outcome.HALTED, f"the runner died; {_who_undid(case)}"


def _who_undid(case: Case) -> str:
    undone = [report for report in case.faults if report.reverted_by and report.reverted_by != "runner"]
    if not undone:
        return "no fault was active" if case.faults else "no fault had been injected"
    last = max(undone, key=lambda report: report.reverted_at or 0.0)
    seen = max(
        (event.at for event in case.record.events if getattr(event, "by", "runner") == "runner"), default=0.0
    )
    late = max(0.0, (last.reverted_at or seen) - seen)
    who = "the guardian" if last.reverted_by == "guardian" else last.reverted_by
    return f"{who} undid everything {late * 1000:.0f} ms after its last word"


def _notes(case: Case) -> tuple[str, ...]:
    said = [event.text for event in case.record.events if isinstance(event, Note) and event.level != "info"]
    cut = [case.record.cut] if case.record.cut else []
    return tuple(dict.fromkeys([*case.plan.warnings, *said, *cut, *case.doubts.all]))
