"""What A/A runs teach of each term: how its requests cluster, how it varies from run to run, what one more run could find."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from runner.assertions import Assertion, Term, When
from runner.load.frames import SLOT
from runner.planning.calibration import FalseHalts, Noise
from runner.scenario import Scenario
from runner.statistics.comparison import Measured
from runner.statistics.cutting import VALUES, Cut, cut, joined
from runner.statistics.design_effect import DesignEffect, design_effect
from runner.statistics.doubt import Doubt
from runner.statistics.measures import measure_cut
from runner.statistics.paired import detectable
from runner.statistics.selection import GAUGES, is_of_load, narrowed
from runner.statistics.sureness import by_slot, requests_by_slot, sure
from runner.verdict.case import Case
from runner.verdict.windows import together, windows

_CONFIDENCE, _Z = 0.95, 1.96  # of the intervals that sampling's share of the variance is taken from
_ALWAYS = When(kind="always", text="always")
_BEFORE = When(kind="before", text="before")


@dataclass(frozen=True, slots=True)
class Asked:
    """A term in a WHEN. *when*: as the calibration calls it."""

    term: Term
    window: When
    when: str


def asked_of(scenario: Scenario) -> tuple[Asked, ...]:
    """Every term that the scenario judges or compares, once for each WHEN. A recovery needs a fault."""
    found: dict[tuple[str, str], Asked] = {}

    def ask(term: Term, window: When, when: str) -> None:
        if term.name and term.name != "recovery" and not term.selector.each:
            found.setdefault((term.text, when), Asked(term, window, when))

    for assertion in scenario.steady_state:
        ask(assertion.term, _BEFORE, "steady state before")
    for assertion in scenario.expect:
        ask(assertion.term, assertion.when, assertion.when.text)
    for rule in _rules(scenario):
        ask(rule.term, _ALWAYS, "halt")
    if scenario.compare is not None:
        for margin in scenario.compare.margins:
            ask(margin.term, scenario.compare.when, scenario.compare.when.text)
    return tuple(found.values())


def noise_of(asked: Asked, cases: Sequence[Case]) -> Noise | None:
    """The noise of one term over the runs; None where fewer than two have a value of it."""
    seen = [one for one in (_seen(asked, case) for case in cases) if one is not None]
    if len(seen) < 2:
        return None
    values = np.array([one.value for one in seen])
    mean = float(values.mean())
    variance, sampling = float(values.var(ddof=1)), float(np.mean([one.error**2 for one in seen]))
    size = abs(mean)
    found = None
    if size > 0 and variance > 0:
        error = math.sqrt(variance * (1 + 1 / len(values)))  # of one more run against the mean of these
        found = detectable(error=error, freedom=len(values) - 1) / size
    return Noise(
        term=asked.term.text,
        when=asked.when,
        value=mean,
        requests=float(np.mean([one.requests for one in seen])),
        design_effect=float(np.mean([one.effect.value for one in seen])),
        correlation=float(np.mean([one.effect.correlation for one in seen])),
        spread=math.sqrt(max(0.0, variance - sampling)) / size if size > 0 else 0.0,
        detectable=found,
    )


def spread_of_pairs(asked: Asked, cases: Sequence[Case], *, relative: bool) -> float | None:
    """The standard deviation of one pair's number, were both of the pair such runs; None where it cannot be told."""
    values = [one.value for one in (_seen(asked, case) for case in cases) if one is not None]
    if len(values) < 2 or (relative and min(values) <= 0):
        return None
    numbers = np.log(values) if relative else np.array(values)
    return math.sqrt(2) * float(numbers.std(ddof=1))


def false_halts(scenario: Scenario, rules: Sequence[str], runs: int) -> tuple[FalseHalts, ...]:
    """Count for every halt rule in how many of *runs* it tripped; *rules*: those that tripped."""
    names = [rule.text for rule in scenario.halt]
    return tuple(FalseHalts(rule=name, halted=rules.count(name), runs=runs) for name in dict.fromkeys(names))


def rates_of(cases: Iterable[Case]) -> dict[str, float]:
    """How many requests of each name were made per second, from the end of the warm-up on."""
    counts, seconds = dict[str, int](), 0.0
    for case in cases:
        window = together(windows(_ALWAYS, case.moments))
        seconds += sum(stretch.seconds for stretch in window.stretches)
        for name in sorted(case.record.frames.requests):
            made = case.measured(narrowed(Term(name="requests"), name), _ALWAYS).requests
            counts[name] = counts.get(name, 0) + made
    return {name: count / seconds for name, count in counts.items()} if seconds else {}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run's value, the standard error that sampling alone gives it, and how its requests cluster."""

    value: float
    error: float
    requests: int
    effect: DesignEffect


def _seen(asked: Asked, case: Case) -> _Seen | None:
    term = asked.term
    measured = case.measured(term, asked.window)
    if measured.value is None or not math.isfinite(measured.value):
        return None
    window = together(windows(asked.window, case.moments))
    if not is_of_load(term) or term.name in GAUGES or term.name == "offered_rps":
        return _Seen(measured.value, 0.0, measured.requests, DesignEffect())
    one = joined([cut(case.record.frames, term, stretch) for stretch in window.stretches])
    seconds = sum(stretch.seconds for stretch in window.stretches)
    ends = sure(one, term, measure_cut(one, term, seconds=seconds), Doubt(_CONFIDENCE), seconds=seconds)
    return _Seen(measured.value, _error(ends), measured.requests, _clustering(one, term, measured.value))


def _error(ends: Measured) -> float:
    width = ends.high - ends.low
    return width / (2 * _Z) if math.isfinite(width) else 0.0


def _clustering(one: Cut, term: Term, value: float) -> DesignEffect:
    """Of a share: how its bad ones come; of a latency: how those above its value do."""
    if term.name in ("rps", "requests", "errors"):
        return DesignEffect()
    bad = one.bad
    if term.name not in ("error_rate", "success_rate"):
        bad = one.bucket > int(np.searchsorted(VALUES, value, side="right")) - 1
    return design_effect(by_slot(one, bad), requests_by_slot(one), slot=SLOT)


def _rules(scenario: Scenario) -> Iterable[Assertion]:
    return (rule for rule in scenario.halt if rule.no_data is None)
