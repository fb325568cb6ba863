"""Whether the two sides of a comparison can be compared at all: the same load, the same requests, a baseline that held still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from runner.assertions import Term, When
from runner.comparison import Margin
from runner.statistics.balance import MISMATCH, drift, mixes, split
from runner.statistics.selection import narrowed
from runner.verdict.case import Case
from runner.verdict.compared import Guardrail, TrialSeen
from runner.verdict.guardrails import effect
from runner.verdict.wording import said

_DRIFTED = 0.01  # the p of a baseline that moved
_ACHIEVED = 0.99  # of what was offered
_REQUESTS = Term(name="requests", text="requests")
_OFFERED = Term(name="offered_rps", text="offered_rps")


def unequal(cases: Sequence[tuple[Case, Case]], when: When) -> tuple[str, ...]:
    """Say what the two sides had to bear that was not the same."""
    found = []
    offered = [[case.measured(_OFFERED, when).requests for case in side] for side in zip(*cases, strict=True)]
    if offered and all(all(side) for side in offered):
        p = split([sum(side) for side in offered], [1, 1])
        if p < MISMATCH:
            counts = " and ".join(f"{sum(side):,}" for side in offered)
            found.append(f"the two sides were not offered the same: {counts} requests (p = {p:.1g})")
    sums: list[dict[str, int]] = [{}, {}]
    for pair in cases:
        for mix, case in zip(sums, pair, strict=True):
            for name in case.record.frames.requests:
                count = case.measured(narrowed(_REQUESTS, name), when).requests
                mix[name] = mix.get(name, 0) + count
    p = mixes(*sums)
    if p < MISMATCH:
        found.append(f"the two sides were asked for other things: {_most_unlike(*sums)} (p = {p:.1g})")
    return tuple(found)


def _most_unlike(one: dict[str, int], other: dict[str, int]) -> str:
    totals = sum(one.values()), sum(other.values())
    shares = {name: (one.get(name, 0) / totals[0], other.get(name, 0) / totals[1]) for name in {*one, *other}}
    name = max(shares, key=lambda each: abs(shares[each][0] - shares[each][1]))
    base, variant = shares[name]
    return f"{name} was {said(base, 'share')} of the baseline's requests and {said(variant, 'share')} of the variant's"


def achieved(cases: Sequence[tuple[Case, Case]], when: When) -> list[str]:
    """Say where a side did not answer what it was offered."""
    notes = []
    for name, side in zip(("baseline", "variant"), zip(*cases, strict=True), strict=False):
        offered = [case.measured(_OFFERED, when) for case in side]
        answered = [case.measured(Term(name="rps"), when) for case in side]
        due = math.fsum(one.value or 0.0 for one in offered)
        got = math.fsum(one.value or 0.0 for one in answered)
        if due and got < _ACHIEVED * due:
            notes.append(
                f"the {name} answered {said(got / due, 'share')} of the requests that it was offered"
            )
    return notes


def drifted(margin: Margin, baseline: Sequence[TrialSeen], rail: Guardrail) -> tuple[str, bool]:
    """Say how the baseline itself moved while it was compared with, and whether that is more than the margin."""
    if len(rail.pairs) != len(baseline) or any(trial.started == "?" for trial in baseline):
        return "", False
    values = [base for base, _ in rail.pairs]
    numbers = [math.log(value) for value in values] if margin.relative else values
    at = [datetime.fromisoformat(trial.started).timestamp() for trial in baseline]
    found = drift(at, numbers)
    if found is None or found.p >= _DRIFTED:
        return "", False
    allowed = min(abs(bound) for bound in (margin.floor, margin.ceiling) if bound is not None)
    moved = math.exp(found.moved) if margin.relative else found.moved
    return (
        f"the baseline's own {rail.term} moved from first to last by {effect(rail, moved)}",
        abs(found.moved) > allowed,
    )
