"""The three questions of the first screen: did it hold, was it really hurt, is all as it was?"""

from __future__ import annotations

from dataclasses import dataclass

from runner.report import words
from runner.report.evidence import Evidence
from runner.report.text import confirmation, tally
from runner.verdict.record import FaultReport, Finding, Verdict


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with its answer. *state* names an icon: yes, no, unknown."""

    question: str
    state: str
    says: str
    why: str


def answers(evidence: Evidence) -> tuple[Answer, ...]:
    """Answer the three questions from the verdict."""
    verdict = evidence.verdict
    return (_held(verdict), _hurt(evidence), _restored(evidence))


def confirmed(fault: FaultReport) -> tuple[str, str]:
    """Give the icon and the word for a fault's confirmation."""
    if fault.injected_at is None:
        return "refused", "not injected"
    icon = "yes" if fault.confirmed else "no" if fault.doubt else "unknown"
    return icon, confirmation(fault).lower()


def _held(verdict: Verdict) -> Answer:
    question = "Did the system hold?"
    broken = [finding for finding in verdict.findings if finding.outcome == "broken"]
    unknown = [finding for finding in verdict.findings if finding.outcome == "inconclusive"]
    if broken:
        return Answer(question, "no", f"No: {words.count(len(broken), 'assertion')} broken", _named(broken))
    if unknown or not verdict.findings:
        return Answer(question, "unknown", "Cannot tell", _named(unknown) or "no assertion was judged")
    return Answer(question, "yes", f"Yes: {tally(verdict)}", "nothing expected was missed")


def _named(findings: list[Finding]) -> str:
    first = [f"{finding.when}: {finding.assertion}" for finding in findings[:2]]
    rest = len(findings) - len(first)
    return "; ".join(first) + (f"; and {rest} more" if rest > 0 else "")


def _hurt(evidence: Evidence) -> Answer:
    verdict = evidence.verdict
    question = "Was it really hurt?"
    injected = [fault for fault in verdict.faults if fault.injected_at is not None]
    if not injected and evidence.cut:
        return Answer(question, "unknown", "Not on the timeline", evidence.cut)
    if not injected:
        return Answer(question, "refused", "Nothing was injected", "no fault came to be")
    sure = [fault for fault in injected if fault.confirmed is True]
    without = [fault.name for fault in injected if fault.doubt]
    if without:
        return Answer(question, "no", f"Not by {', '.join(without[:4])}", "injected, but no effect was seen")
    told = f"{len(sure)} of {words.count(len(injected), 'fault')} confirmed"
    if len(sure) < len(injected):
        silent = [fault.name for fault in injected if fault.confirmed is None]
        return Answer(question, "unknown", told, f"cannot be measured: {', '.join(silent[:4])}")
    return Answer(
        question,
        "yes",
        f"Yes: {told}",
        sure[0].evidence if len(sure) == 1 else "each by its own evidence, below",
    )


def _restored(evidence: Evidence) -> Answer:
    verdict = evidence.verdict
    question = "Is all as it was?"
    dirty = [fault.name for fault in verdict.faults if fault.dirty]
    if dirty:
        return Answer(question, "no", f"No: {', '.join(dirty[:4])}", "how to mend it by hand is below")
    injected = [fault for fault in verdict.faults if fault.injected_at is not None]
    if not injected and evidence.cut:
        return Answer(question, "unknown", "Not on the timeline", evidence.cut)
    if not injected:
        return Answer(question, "yes", "Yes", "nothing had to be undone")
    left = [fault.name for fault in injected if fault.reverted_at is None and not fault.reverted_by]
    if left:
        return Answer(question, "unknown", f"Not on record: {', '.join(left[:4])}", "run squall rollback")
    ends = [fault.reverted_at for fault in injected if fault.reverted_at is not None]
    hands = ", ".join(sorted({fault.reverted_by or "an unknown hand" for fault in injected}))
    last = f"the last at {words.clock(max(ends), verdict.zero)}" if ends else "when, is not on record"
    return Answer(question, "yes", f"Yes: all undone by {hands}", last)
