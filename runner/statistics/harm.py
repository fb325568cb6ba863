"""How much harm a halt rule lets happen before it trips: the rule itself, on faults that are drawn with a fixed seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runner.load.frames import SLOT
from runner.statistics.evidence import Numbers, log_e
from runner.statistics.frames import Real, Truth, Whole

_SEED = 20_261_124
_DRAWS = 120_000  # slots in all runs together
_FEWEST, _MOST = 60, 300  # runs


@dataclass(frozen=True, slots=True)
class Rule:
    """A halt rule that asks for the share of bad requests; it trips above *limit*.

    Either a plain one: over the last *width* seconds (inf: all, also the *before*) and *enough* requests, for *lasting* seconds. Or one by
    evidence: *log_evidence* is the logarithm that E has to reach in the counts since the fault began, divided by *effect*.
    *late*: seconds after its start at which a bad request shows as one.
    """

    limit: float
    width: float = 5.0
    enough: int = 20
    lasting: float = 0.0
    late: float = 0.0
    before: float = 0.0
    log_evidence: float | None = None
    effect: float = 1.0


@dataclass(frozen=True, slots=True)
class Harm:
    """Until the rule tripped, on average over the runs that it *stopped* (a share): seconds, requests, bad ones."""

    stopped: float
    seconds: float | None = None
    requests: float | None = None
    bad: float | None = None


def harm(rule: Rule, *, rate: float, share: float, within: float, healthy: float = 0.0) -> Harm:
    """Draw faults that turn *share* of the requests bad for *within* seconds, after a time in which *healthy* were."""
    slots = max(1, round((within - rule.late) / SLOT))
    runs = min(_MOST, max(_FEWEST, _DRAWS // slots))
    generator = np.random.default_rng(_SEED)
    begun = _due(rate, slots)
    bad = generator.binomial(begun, min(1.0, share), size=(runs, slots))
    if rule.log_evidence is not None:
        tripped = bad.cumsum(axis=1) >= _boundary(rule, begun.cumsum())
    else:
        past = max(1, round((rule.before if math.isinf(rule.width) else rule.width) / SLOT))
        before = _due(rate, past)
        calm = generator.binomial(before, healthy, size=(runs, past))
        tripped = _plain(rule, np.concatenate([calm, bad], axis=1), np.concatenate([before, begun]), past)
    stopped = tripped.any(axis=1)
    if not stopped.any():
        return Harm(0.0)
    place = tripped.argmax(axis=1)[stopped]
    seconds = float((place + 1).mean()) * SLOT + rule.late
    more = rule.late * rate  # begun before it was known
    return Harm(
        float(stopped.mean()),
        seconds,
        float(begun.cumsum()[place].mean()) + more,
        float(bad.cumsum(axis=1)[stopped, place].mean()) + more * min(1.0, share),
    )


def due(rate: float, seconds: float) -> Whole:
    """Requests of each slot of *seconds*, at an even pace."""
    return _due(rate, max(1, round(seconds / SLOT)))


def _due(rate: float, slots: int) -> Whole:
    sums: Real = np.floor(np.arange(slots + 1) * rate * SLOT + 1e-9)
    return np.diff(sums).astype(np.int64)


def _plain(rule: Rule, bad: Whole, begun: Whole, past: int) -> Truth:
    """Where the window that ends with each slot of the fault has been over the limit for long enough."""
    sums = np.concatenate([np.zeros((len(bad), 1), dtype=np.int64), bad.cumsum(axis=1)], axis=1)
    totals = np.concatenate([[0], begun.cumsum()])
    ends = np.arange(past + 1, bad.shape[1] + 1)
    begins = 0 * ends if math.isinf(rule.width) else ends - past
    requests = totals[ends] - totals[begins]
    over: Truth = (sums[:, ends] - sums[:, begins] > rule.limit * requests) & (requests >= rule.enough)
    lasting = round(rule.lasting / SLOT)
    if not lasting:
        return over
    broken = np.where(over, -1, np.arange(over.shape[1]))
    return np.asarray(np.arange(over.shape[1]) - np.maximum.accumulate(broken, axis=1) > lasting)


def _boundary(rule: Rule, requests: Whole) -> Numbers:
    """The fewest bad ones of so many *requests* whose evidence suffices; more than all of them where none does."""
    assert rule.log_evidence is not None
    totals = requests.astype(np.float64)
    low, high = np.floor(rule.limit * totals), totals + 1
    while (low < high - 1).any():
        middle = np.floor((low + high) / 2)
        enough = log_e(middle / rule.effect, totals / rule.effect, rule.limit) >= rule.log_evidence
        low, high = (
            np.where(enough, low, np.maximum(middle, low)),
            np.where(enough, np.minimum(middle, high), high),
        )
    return np.asarray(high)
