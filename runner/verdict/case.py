"""All that the judging of one run looks at, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from runner.assertions import Assertion, Term, When
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.record import Record
from runner.statistics.comparison import Measured
from runner.statistics.doubt import CERTAIN, Doubt
from runner.verdict.faults import fault_reports
from runner.verdict.measuring import see
from runner.verdict.moments import Moments, moments_of
from runner.verdict.record import Change, FaultReport
from runner.verdict.validity import Doubts, doubts_about
from runner.verdict.windows import Window, before, together, windows


@dataclass(frozen=True, slots=True)
class Case:
    """A plan, what came of it, when, and what is doubtful about it."""

    plan: Plan
    record: Record
    moments: Moments
    faults: tuple[FaultReport, ...]
    doubts: Doubts

    changes: tuple[Change, ...] = ()
    points: bool = False  # judge by points alone, whatever is asked for

    def baseline(self, term: Term, doubt: Doubt = CERTAIN) -> Measured:
        """What *term* was before."""
        return see(self.plan, self.record, term, before(self.moments), doubt=doubt).measured

    def doubt(self, assertion: Assertion) -> Doubt:
        """How sure a finding of *assertion* has to be."""
        own = assertion.confidence
        confidence = 0.0 if self.points else self.plan.scenario.confidence if own is None else own
        return Doubt(confidence, tuple(sorted({round(edge / SLOT) for edge in self.moments.edges})))

    def measured(self, term: Term, when: When) -> Measured:
        """What *term* was in all windows that *when* stands for, as one population."""
        return see(self.plan, self.record, term, together(windows(when, self.moments))).measured

    def unconfirmed(self, window: Window) -> str:
        """Say which fault of *window* had no effect; empty where all had, or where none can be measured."""
        mine = {(one.fault, one.number) for one in window.faults}
        for report in self.faults:
            if report.doubt and (report.name, report.occurrence) in mine:
                return report.doubt
        return ""


def case_of(plan: Plan, record: Record, *, live: bool = False, points: bool = False) -> Case:
    """Work out the moments, faults and doubts. A run that goes on (*live*) is not asked for its end."""
    moments = moments_of(plan, record)
    doubts = Doubts() if live else doubts_about(plan, record, moments)
    return Case(plan, record, moments, fault_reports(plan, record), doubts, points=points)
