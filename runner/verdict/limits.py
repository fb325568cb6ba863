"""What a term is compared with: a value, or a multiple of another measured value, which is itself in doubt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from runner.assertions import Bound, Operator, Term
from runner.statistics.comparison import Measured, Standing, standing
from runner.statistics.doubt import Doubt
from runner.statistics.intervals import of_ratio
from runner.verdict.case import Case
from runner.verdict.measuring import see
from runner.verdict.windows import Window, after

MARGIN = 0.1  # a baseline has moved that differs by more than this, with confidence


@dataclass(frozen=True, slots=True)
class Limit:
    """*value*: None, with *why*, where there is none. *factor* x *other* made it, if it is relative."""

    value: float | None
    why: str = ""
    factor: float = 1.0
    other: Measured | None = None
    before: bool = False  # *other* is the time before

    def against(self, measured: Measured, operator: Operator) -> tuple[Standing, Measured]:
        """How *measured* stands, and what it is with the doubt about the limit itself put into its interval."""
        assert self.value is not None
        if self.other is None or not (measured.confidence or self.other.confidence):
            stands = standing(measured, operator, self.value)
        else:
            low, high = self._ratio(measured)
            stands = standing(Measured(1.0, low, high), operator, self.factor)
            if (base := self.other.value) and not math.isinf(base):
                measured = replace(measured, low=low * base, high=high * base)
        if self.value == 0 and measured.value == 0 and self.other is not None and operator in {"<", ">"}:
            stands = "held"  # nothing is no more than a multiple of nothing
        return stands, measured

    def _ratio(self, measured: Measured) -> tuple[float, float]:
        assert self.other is not None
        assert self.other.value is not None
        assert measured.value is not None
        ends, others = (measured.low, measured.high), (self.other.low, self.other.high)
        return of_ratio(measured.value, ends, self.other.value, others)


def limit_of(case: Case, bound: Bound, term: Term, window: Window, doubt: Doubt) -> Limit:
    """Resolve a bound: a value, a multiple of the time before, or of another term in the same window."""
    if bound.value is not None:
        return Limit(bound.value)
    factor = 1.0 if bound.factor is None else bound.factor
    if bound.term is None:
        return times_before(case, term, factor, doubt)
    measured = see(case.plan, case.record, bound.term, window, doubt=doubt).measured
    return _times(measured, factor, where=bound.term.text or bound.term.name)


def times_before(case: Case, term: Term, factor: float, doubt: Doubt) -> Limit:
    """A multiple of what the term was before."""
    return replace(_times(case.baseline(term, doubt), factor, where="before"), before=True)


def moved(case: Case, term: Term, limit: Limit, measured: Measured, operator: Operator, doubt: Doubt) -> str:
    """Say that the baseline moved, where that decides: after it differs from before, and against it all looks different.

    A fault between two times that are not alike cannot be told from what changed by itself.
    """
    if not limit.before or limit.other is None or not doubt.confidence:
        return ""
    later = see(case.plan, case.record, term, after(case.moments), doubt=doubt).measured
    if later.value is None or limit.other.value is None:
        return ""
    low, high = of_ratio(
        later.value, (later.low, later.high), limit.other.value, (limit.other.low, limit.other.high)
    )
    if high >= 1 / (1 + MARGIN) and low <= 1 + MARGIN:
        return ""
    other = replace(limit, other=later, value=limit.factor * later.value)
    if other.against(measured, operator)[0] == limit.against(measured, operator)[0]:
        return ""
    times = "without end" if math.isinf(high) else f"{high:.3g}x"
    return f"the baseline moved: after, it was {low:.3g}x to {times} of before"


def _times(measured: Measured, factor: float, *, where: str) -> Limit:
    if measured.value is None:
        return Limit(None, f"there is no {where} to compare with: {measured.why}")
    return Limit(factor * measured.value, factor=factor, other=measured)
