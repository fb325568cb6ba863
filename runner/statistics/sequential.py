"""Evidence for both answers to a question about a share, request by request; valid whenever one stops.

Two e-processes (see `evidence`): one against "no more than the limit is bad", one, on good requests, against "no less is". Each
reaches what is needed in at most half of the risk of the runs in which its answer is the wrong one, however the end of the
run was chosen; the other half is left for runs that go to their planned end and are judged by an interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runner.statistics.evidence import log_e
from runner.statistics.frames import Real


@dataclass(frozen=True, slots=True)
class Evidence:
    """The greatest logarithms of E for a share *under* and *over* its limit, what each needs, and after how many requests one had it."""

    under: float
    over: float
    needed_under: float
    needed_over: float
    requests: int

    def decides(self, *, margin: float = 0.0) -> bool:
        """Whether exactly one answer has what is needed, and *margin* more."""
        return self.is_under(margin=margin) != self.is_over(margin=margin)

    def is_under(self, *, margin: float = 0.0) -> bool:
        return self.under >= self.needed_under + margin

    def is_over(self, *, margin: float = 0.0) -> bool:
        return self.over >= self.needed_over + margin


def needed(confidence: float, *, among: int = 1) -> float:
    """The logarithm of E that decides, where any one *among* so many would (Bonferroni)."""
    return math.log(among) - math.log((1 - confidence) / 2)


def evidence(
    least_bad: Real,
    most_bad: Real,
    total: Real,
    *,
    limit: float,
    effect: float,
    needed_under: float,
    needed_over: float,
    skip: int,
) -> Evidence:
    """Weigh counts per slot: what was never answered is good for one answer and bad for the other. *skip*: first slots to decide in none of."""
    sums = [np.cumsum(counts) / effect for counts in (least_bad, most_bad, total)]
    over = log_e(sums[0], sums[2], limit)[skip:]
    under = log_e(sums[2] - sums[1], sums[2], 1 - limit)[skip:]
    if not len(over):
        return Evidence(-math.inf, -math.inf, needed_under, needed_over, 0)
    reached = np.nonzero((over >= needed_over) | (under >= needed_under))[0]
    place = skip + (int(reached[0]) if len(reached) else len(over) - 1)
    requests = int(np.cumsum(total)[place])
    return Evidence(float(under.max()), float(over.max()), needed_under, needed_over, requests)
