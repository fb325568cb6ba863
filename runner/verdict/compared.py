"""What a comparison came to as a value: guardrails with their intervals, checks, cost, and one sentence to act on."""

from __future__ import annotations

import msgspec

from runner.statistics.paired import Judgement
from runner.verdict.record import Outcome


class Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    """One margin and what the pairs say of it. Of a *relative* one all effects are ratios, else differences in *unit*.

    *low* and *high* are the two-sided 95 % interval; the margin is judged by *least* and *most*, one-sided.
    """

    term: str
    margin: str  # as written
    unit: str
    relative: bool
    judgement: Judgement
    reason: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    p: float | None = None  # of the t test against the margin
    exact: float | None = None  # of the permutation test
    needed: int | None = None  # pairs more, if the truth is what it looks like
    power: float | None = None  # to pass with so many pairs and no true difference
    pairs: tuple[tuple[float, float], ...] = ()  # baseline, variant
    file: str = ""
    line: int = 0


class Explored(msgspec.Struct, frozen=True, kw_only=True):
    """A term that nobody set a margin for. *p*: of no difference, adjusted for having looked at all of them (Holm)."""

    term: str
    unit: str
    relative: bool
    estimate: float
    low: float
    high: float
    p: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a million good requests cost on each side; *ratio* with its 95 % interval."""

    currency: str
    baseline: float
    variant: float
    ratio: float
    low: float
    high: float
    note: str = ""


class TrialSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One trial as it went. *unused*: why its pair says nothing."""

    label: str
    side: str  # baseline, variant
    started: str
    outcome: Outcome
    reason: str
    folder: str  # relative to the comparison's
    unused: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a comparison; a pure function of the records of its trials."""

    version: int = 1
    scenario: str
    title: str
    when: str
    baseline: str  # an environment, or a selector
    variant: str
    outcome: Outcome
    sentence: str
    unit: str = "pairs"  # or segments
    planned: int
    used: int
    guardrails: tuple[Guardrail, ...] = ()
    explored: tuple[Explored, ...] = ()
    cost: Cost | None = None
    invalid: tuple[str, ...] = ()  # why the two sides cannot be compared
    notes: tuple[str, ...] = ()
    trials: tuple[TrialSeen, ...] = ()
