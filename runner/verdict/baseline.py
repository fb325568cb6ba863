"""What a term was before, for halt rules with a bound relative to it."""

from __future__ import annotations

from runner.assertions import Term
from runner.plan_record import Plan
from runner.record import Record
from runner.statistics.selection import narrowed, request_names
from runner.verdict.case import case_of


def baselines(plan: Plan, record: Record, term: Term) -> dict[str, float]:
    """The value before by request of `each`, else under the empty name; what had no data is left out."""
    case = case_of(plan, record, live=True)
    terms = {"": term}
    if term.selector.each:
        terms = {name: narrowed(term, name) for name in request_names(term.selector, record.frames.requests)}
    found = {name: case.baseline(one).value for name, one in terms.items()}
    return {name: value for name, value in found.items() if value is not None}
