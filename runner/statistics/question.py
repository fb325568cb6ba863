"""What an assertion asks of single requests: how large a share of them may be bad, and what is bad."""

from __future__ import annotations

from dataclasses import dataclass

from runner.assertions import Assertion
from runner.statistics.selection import OF_SHARES, is_of_load


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the share of bad requests is *below* (else above) *limit*.

    Bad is an error, or, where *slow* is given, what took longer than that, or as long where *reached* says so. `p95 < L`
    is the question whether less than 5 % took L or longer.
    """

    limit: float
    below: bool = True
    slow: float | None = None
    reached: bool = False


def question_of(asked: Assertion) -> Question | None:
    """The question that an assertion comes to; None where it does not come to one.

    It does for shares of errors and quantiles of the load against a value; means, extremes, counts, levels and what is
    relative to something else that is measured have a distribution that no count of bad requests decides.
    """
    term, value = asked.term, asked.bound.value
    if value is None or asked.within is not None or asked.op in {"==", "!="} or not is_of_load(term):
        return None
    upper = asked.op in {"<", "<="}
    if term.name in OF_SHARES:
        errors = term.name == "error_rate"
        limit = value if errors else 1 - value
        return Question(limit, below=upper == errors) if 0 < limit < 1 else None
    if term.name != "quantile" or term.quantile is None or not 0 < term.quantile < 1:
        return None
    return Question(1 - term.quantile, below=upper, slow=value, reached=asked.op in {"<", ">="})
