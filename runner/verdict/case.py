"""All that the judging of one run looks at, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from runner.assertions import Term
from runner.plan_record import Plan
from runner.record import Record
from runner.statistics.comparison import Measured
from runner.verdict.faults import fault_reports
from runner.verdict.measuring import see
from runner.verdict.moments import Moments, moments_of
from runner.verdict.record import FaultReport
from runner.verdict.validity import Doubts, doubts_about
from runner.verdict.windows import Window, before


@dataclass(frozen=True, slots=True)
class Case:
    """A plan, what came of it, when, and what is doubtful about it."""

    plan: Plan
    record: Record
    moments: Moments
    faults: tuple[FaultReport, ...]
    doubts: Doubts

    def baseline(self, term: Term) -> Measured:
        """What *term* was before."""
        return see(self.plan, self.record, term, before(self.moments)).measured

    def unconfirmed(self, window: Window) -> str:
        """Say which fault of *window* had no effect; empty where all had, or where it cannot be told."""
        mine = {(one.fault, one.number) for one in window.faults}
        for report in self.faults:
            if report.confirmed is False and (report.name, report.occurrence) in mine:
                return f"{report.name} had no effect: {report.evidence}"
        return ""


def case_of(plan: Plan, record: Record, *, live: bool = False) -> Case:
    """Work out the moments, faults and doubts. A run that goes on (*live*) is not asked for its end."""
    moments = moments_of(plan, record)
    doubts = Doubts() if live else doubts_about(plan, record, moments)
    return Case(plan, record, moments, fault_reports(plan, record), doubts)
