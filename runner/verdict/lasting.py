"""For how long a comparison was true without a break, in a window."""

from __future__ import annotations

from runner.assertions import Assertion, Term
from runner.load.frames import SLOT
from runner.statistics.budgets import factor
from runner.statistics.comparison import holds
from runner.statistics.recovery import longest_run
from runner.statistics.samples import by_window, of_term
from runner.statistics.selection import is_of_load
from runner.statistics.sliding import truth, width_of
from runner.verdict.case import Case
from runner.verdict.measuring import objective_of
from runner.verdict.windows import Window

MOMENT = 1.0  # seconds that a comparison looks at where `over` does not say


def longest_true(
    case: Case, assertion: Assertion, term: Term, window: Window, *, limit: float
) -> tuple[float | None, str]:
    """Seconds that the longest true stretch covers; None, with the reason, where there is nothing to compare."""
    if not is_of_load(term):
        return _of_samples(case, assertion, term, window, limit=limit)
    width = width_of(assertion.over or MOMENT)
    longest, there_at_all = 0.0, False
    for stretch in window.stretches:
        true, there = truth(
            case.record.frames, term, stretch, width=width, operator=assertion.op, limit=limit
        )
        there_at_all |= bool(there.any())
        run = longest_run(true.tolist())
        longest = max(longest, (run - 1) * SLOT + width * SLOT if run else 0.0)
    return (longest, "") if there_at_all else (None, "no request was made in this window")


def _of_samples(
    case: Case, assertion: Assertion, term: Term, window: Window, *, limit: float
) -> tuple[float | None, str]:
    """From the first of a run of true samples to the first that is not."""
    good = of_term(term, case.record.samples(term.of or term.name))
    objective = objective_of(case.plan, term)
    limit /= factor(objective, term, good) if objective is not None else 1.0
    longest, began, seen = 0.0, None, False
    for start, end in window.spans:
        measured = by_window(term, good, start=start, end=end, width=assertion.over or 0.0)
        for at, one in measured:
            moment = at + (assertion.over or 0.0)
            true = one.value is not None and holds(assertion.op, one.value, limit)
            began = (moment if began is None else began) if true else None
            longest, seen = max(longest, moment - began if began is not None else 0.0), True
        began = None
    return (longest, "") if seen else (None, "the indicator gave no sample in this window")
