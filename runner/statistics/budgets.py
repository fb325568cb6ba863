"""What a stretch of time cost of an objective: how fast its error budget burned, and how much of it is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.assertions import Term
from runner.scenario import Objective, Scenario
from runner.statistics.comparison import Measured
from runner.timeline import Sample

OF_OBJECTIVES = frozenset({"budget", "burn_rate"})


def is_of_objective(term: Term) -> bool:
    """Whether *term* measures an objective, whose name is its `of`."""
    return term.name in OF_OBJECTIVES


def budgets_of(scenario: Scenario) -> list[str]:
    """The objectives whose budget is judged: how many events they expect has to be known."""
    asked = (*scenario.steady_state, *scenario.expect, *scenario.halt)
    terms = [term for one in asked for term in (one.term, one.bound.term) if term is not None]
    return list(dict.fromkeys(term.of for term in terms if term.name == "budget"))


def factor(objective: Objective, term: Term, good: Sequence[Sample], *, expected: float = 0.0) -> float:
    """What the share of bad events among *good*, consecutive samples of the objective, is multiplied with.

    A burn rate of 1 spends the budget exactly in the time that the objective is over: it is the share of bad events
    over the share allowed. The budget spent is what was bad, over the share allowed of the events *expected* in the
    objective's whole time. Where nobody knows how many, it is the burn rate times the time it burned over the
    objective's: the arithmetic of the SRE workbook (chapter 5), which takes the traffic of the run for that of always.
    """
    burn = 1 / (1 - objective.target)
    if term.name == "burn_rate" or not good:
        return burn
    if expected:
        return burn * sum(sample.total or 0.0 for sample in good) / expected
    return burn * (good[-1].at - good[0].at + objective.every) / objective.over


def scaled(measured: Measured, by: float) -> Measured:
    """A measured share as a multiple."""
    if measured.value is None:
        return measured
    known = None if measured.known is None else (measured.known[0] * by, measured.known[1] * by)
    return replace(
        measured, value=measured.value * by, low=measured.low * by, high=measured.high * by, known=known
    )
