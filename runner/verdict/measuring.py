"""Measure one term in one window of a record, whether of the load or of an indicator."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from runner.assertions import Operator, Term
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.record import Record
from runner.scenario import Indicator, Objective
from runner.statistics import samples as sampled
from runner.statistics.budgets import factor, is_of_objective, scaled
from runner.statistics.comparison import Measured, looks_up, nothing
from runner.statistics.doubt import CERTAIN, Doubt
from runner.statistics.measures import cost, measure
from runner.statistics.selection import is_of_load
from runner.statistics.sliding import silent, width_of, worst
from runner.statistics.trend import fall
from runner.timeline import Expects, Sample
from runner.verdict.windows import Window

_UNITS = {
    "quantile": "seconds", "mean": "seconds", "max": "seconds", "recovery": "seconds", "error_rate": "share",
    "success_rate": "share", "rps": "per second", "offered_rps": "per second", "budget": "share", "burn_rate": "count",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A measured value, where it is from, and a doubt that keeps it from being held."""

    measured: Measured
    start: float
    end: float
    doubt: str = ""


def indicators_of(plan: Plan) -> dict[str, Indicator]:
    """The indicators of the scenario by name; the environment's override them."""
    return {each.name: each for each in (*plan.scenario.indicators, *plan.environment.indicators)}


def objective_of(plan: Plan, term: Term) -> Objective | None:
    """The objective that *term* measures, if it measures one."""
    return plan.environment.objectives.get(term.of) if is_of_objective(term) else None


def unit_of(plan: Plan, term: Term) -> str:
    """The unit of a term's values: seconds, share, per second, bytes, count, any of them per second, or a currency."""
    if term.name == "cost":
        return plan.environment.price.currency if plan.environment.price else ""
    if term.name in _UNITS and (not term.of or is_of_objective(term)):
        return _UNITS[term.name]
    own = indicators_of(plan).get(term.of or term.name)
    unit = (own.unit if own else "") or "count"
    return f"{unit} per second" if term.name == "trend" else unit


def see(
    plan: Plan,
    record: Record,
    term: Term,
    window: Window,
    *,
    operator: Operator | None = None,
    over: float | None = None,
    doubt: Doubt = CERTAIN,
) -> Seen:
    """Measure *term* in *window*: as a whole, or the worst of every part of it that is *over* seconds long.

    With a confidence in *doubt*, what is sampled gets its interval.
    """
    if window.why:
        return Seen(nothing(window.why), window.start, window.end)
    if term.name == "cost":
        return Seen(_cost(plan, record, term, window), window.start, window.end)
    if is_of_load(term):
        return _of_load(record, term, window, operator=operator, over=over, doubt=doubt)
    return _of_indicator(plan, record, term, window, operator=operator, over=over, doubt=doubt)


def _cost(plan: Plan, record: Record, term: Term, window: Window) -> Measured:
    """What a million requests that succeeded cost, at the environment's price for the time of the window."""
    if plan.environment.price is None:
        return nothing("the environment says no price")
    seconds = sum(stretch.seconds for stretch in window.stretches)
    spent = plan.environment.price.value * seconds / 3600
    return cost(
        measure(record.frames, structs.replace(term, name="requests"), window.stretches),
        measure(record.frames, structs.replace(term, name="errors"), window.stretches),
        spent=spent,
    )


def _of_load(
    record: Record, term: Term, window: Window, *, operator: Operator | None, over: float | None, doubt: Doubt
) -> Seen:
    frames = record.frames
    if over is None or operator is None:
        return Seen(measure(frames, term, window.stretches, operator, doubt=doubt), window.start, window.end)
    width = width_of(over)
    long_enough = [stretch for stretch in window.stretches if stretch.slots >= width] or list(
        window.stretches[:1]
    )
    shared = doubt.shared(len(long_enough))
    found = [
        worst(frames, term, stretch, width=width, operator=operator, doubt=shared) for stretch in long_enough
    ]
    without = sum(silent(frames, term, stretch, width=width) for stretch in long_enough)
    silence = f"in {without} windows of {over:g} s no request was made" if without else ""
    return _placed(_worst_of(found, operator), window, silence)


def _placed(measured: Measured, window: Window, doubt: str) -> Seen:
    if measured.first is None or measured.last is None:
        return Seen(measured, window.start, window.end, doubt)
    return Seen(measured, measured.first * SLOT, measured.last * SLOT, doubt)


def _worst_of(found: list[Measured], operator: Operator) -> Measured:
    there = [one for one in found if one.value is not None]
    if not there:
        return found[0]
    pick = max if looks_up(operator) else min
    return pick(there, key=lambda one: one.value or 0.0)


def _of_indicator(
    plan: Plan,
    record: Record,
    term: Term,
    window: Window,
    *,
    operator: Operator | None,
    over: float | None,
    doubt: Doubt,
) -> Seen:
    name = term.of or term.name
    own = indicators_of(plan).get(name)
    every = record.samples(name)
    inside = [one for one in every if any(start <= one.at <= end for start, end in window.spans)]
    good = sampled.of_term(term, inside)
    if own is None or not good:
        said = next((one.error for one in reversed(inside) if one.error), "")
        why = f"{name} gave no sample in this window" + (f": {said}" if said else "")
        return Seen(nothing(why), window.start, window.end)
    silence = _silence(own, inside, window)
    if own.measure == "restarts" and not silence:
        silence = sampled.ended(term, inside)
    if term.name == "trend" and own.unit == "bytes" and not silence:
        silence = next(filter(None, map(fall, sampled.by_instance(good).values())), "")
    objective = objective_of(plan, term)
    times = 1.0 if objective is None else factor(objective, term, good, expected=_expected(record, term.of))
    if term.name == "budget":
        doubt = CERTAIN  # what is spent is spent
    if over is None or operator is None:
        measured = scaled(sampled.measure_samples(term, good, operator, doubt=doubt), times)
        return Seen(measured, window.start, window.end, silence)
    measured, at = sampled.worst_window(
        term, good, start=window.start, end=window.end, width=over, operator=operator, doubt=doubt
    )
    start, end = (window.start, window.end) if at is None else (at, at + over)
    return Seen(scaled(measured, times), start, end, silence)


def _expected(record: Record, objective: str) -> float:
    """How many events an objective expects in its whole time, as it was told when the run began."""
    told = [one.events for one in record.events if isinstance(one, Expects) and one.objective == objective]
    return told[-1] if told else 0.0


def _silence(own: Indicator, inside: list[Sample], window: Window) -> str:
    """Say when the indicator was silent for too long in this window."""
    gaps = [sampled.longest_silence(inside, start=start, end=end) for start, end in window.spans]
    longest = max(gaps, key=lambda gap: gap.seconds)
    if longest.seconds <= sampled.patience(own.every):
        return ""
    return f"{own.name} was silent for {longest.seconds:.3g} s" + (
        f": {longest.said}" if longest.said else ""
    )
