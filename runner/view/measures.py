"""The last seconds of a run beside their limits: what is measured, what it may be, how near a halt is."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from runner.assertions import Assertion
from runner.live import HaltReading, Snapshot
from runner.plan_record import Plan
from runner.report.words import NO_DATA, quantity
from runner.view.scene import Scene

_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of the last five seconds. *limit*: as text, where an assertion speaks of it now."""

    name: str
    value: str
    limit: str = ""
    broken: bool = False


def measures(snapshot: Snapshot, scene: Scene, plan: Plan | None) -> list[Measure]:
    """Say what the load measures now, each with the strictest limit that holds now."""
    values = {
        "p50": (snapshot.p50, "seconds"),
        "p95": (snapshot.p95, "seconds"),
        "p99": (snapshot.p99, "seconds"),
        "error_rate": (snapshot.error_rate, "share"),
    }
    rules = _rules_now(plan, scene)
    told = [_measure(name, value, unit, rules.get(name, [])) for name, (value, unit) in values.items()]
    offered = (
        f" of {quantity(snapshot.offered, 'per second')} offered" if snapshot.offered is not None else ""
    )
    told.append(Measure("rate", quantity(snapshot.rps, "per second") + offered))
    told.append(Measure("in flight", str(snapshot.in_flight)))
    if snapshot.users:
        told.append(Measure("users", str(snapshot.users)))
    return told


def nearness(reading: HaltReading) -> float | None:
    """How much of the way to its limit a halt rule has gone; 1 is there. None where nothing can be said."""
    if reading.log10_evidence is not None and reading.log10_needed is not None:
        return min(1.0, max(0.0, reading.log10_evidence / reading.log10_needed))
    if reading.value is None or reading.limit is None:
        return None
    if reading.tripping:
        return 1.0
    if reading.limit <= 0 or reading.value < 0:
        return 0.0
    part = reading.value / reading.limit
    falling = "<" in reading.rule
    return min(1.0, 1 / part if part > 1 else 1.0) if falling else min(1.0, part)


def _measure(name: str, value: float | None, unit: str, rules: list[Assertion]) -> Measure:
    shown_name = name.replace("_", " ")
    strictest = min(rules, key=lambda rule: rule.bound.value or 0.0, default=None)
    if strictest is None or strictest.bound.value is None:
        return Measure(shown_name, quantity(value, unit) if value is not None else NO_DATA)
    limit = strictest.bound.value
    broken = value is not None and not _COMPARISONS[strictest.op](value, limit)
    return Measure(shown_name, quantity(value, unit), quantity(limit, unit), broken)


def _rules_now(plan: Plan | None, scene: Scene) -> dict[str, list[Assertion]]:
    """The assertions about everything that apply now: those of the running faults, else the steady state."""
    if plan is None:
        return {}
    running = {lane.name for lane in scene.lanes if lane.done and lane.done[-1].end is None}
    if running:
        asked = [
            rule
            for rule in plan.scenario.expect
            if (rule.when.kind == "during" and rule.when.name in running)
            or rule.when.kind in ("faults", "always")
        ]
    else:
        asked = list(plan.scenario.steady_state)
    found: dict[str, list[Assertion]] = {}
    for rule in asked:
        name = (
            f"p{100 * rule.term.quantile:g}"
            if rule.term.quantile is not None and not rule.term.of
            else rule.term.name
        )
        if rule.bound.value is not None and rule.op in _COMPARISONS and rule.term.selector.request == "":
            found.setdefault(name, []).append(rule)
    return found
