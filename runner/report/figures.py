"""The figures of a run: latency, errors, throughput and requests in flight of each load, and its own indicators."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from runner.assertions import Assertion
from runner.report.chart import Figure, Limit, Line
from runner.report.evidence import Evidence
from runner.report.series import Numbers, Series, over_time
from runner.report.trace import traces
from runner.report.words import digits
from runner.scenario import Indicator, Load
from runner.shown import shown
from runner.timeline import Sample

MOST_LOADS = 4
MOST_INDICATORS = 12
MOST_INSTANCES = 8
MOST_LIMITS = 6
MOST_CHANGES = 50
_UNITS = {"rss": "bytes", "cpu": "share"}  # of process measures without a unit of their own
_TERM = re.compile(r"^\s*(?:p(?P<quantile>[0-9.]+)|(?P<name>\w+))\s*(?P<selector>\{)?")


def figures_of(evidence: Evidence) -> tuple[Figure, ...]:
    """Make every figure of the run; a load that was planned and left no data still has its figures, saying so."""
    limits = limits_of(evidence)
    return (*_of_loads(evidence, limits), *traces(evidence), *_of_indicators(evidence, limits))


def limits_of(evidence: Evidence) -> dict[str, tuple[Limit, ...]]:
    """Gather the limits of all assertions about everything (no selector), by what they limit: `p95`, `error_rate`."""
    found: dict[str, dict[tuple[str, float | None], Limit]] = defaultdict(dict)
    for finding in evidence.verdict.findings:
        if finding.limit is not None and (name := subject(finding.assertion)):
            limit = Limit(finding.assertion, finding.limit, finding.start, finding.end)
            found[name].setdefault((limit.text, limit.start), limit)
    halts: tuple[Assertion, ...] = evidence.plan.scenario.halt if evidence.plan else ()
    for rule in halts:
        if rule.bound.value is not None and (name := subject(rule.text)):
            found[name].setdefault((rule.text, None), Limit(f"halt if {rule.text}", rule.bound.value))
    return {name: tuple(limits.values()) for name, limits in found.items()}


def subject(assertion: str) -> str:
    """Name what an assertion without a selector is about: `p95 < 150ms` is about p95; else nothing."""
    match = _TERM.match(assertion)
    if (
        match is None
        or match["selector"]
        or " of " in assertion.split("<", maxsplit=1)[0].split(">", maxsplit=1)[0]
    ):
        return ""
    return f"p{match['quantile']}" if match["quantile"] else match["name"]


def _of_loads(evidence: Evidence, limits: dict[str, tuple[Limit, ...]]) -> Iterator[Figure]:
    planned: tuple[Load, ...] = evidence.plan.scenario.loads if evidence.plan else ()
    names = list(dict.fromkeys([*(load.name for load in planned), *evidence.loads]))
    quantiles = _quantiles(limits)
    for number, name in enumerate(names[:MOST_LOADS]):
        series = over_time(evidence.loads[name], quantiles) if name in evidence.loads else nothing(quantiles)
        suffix = f" of {shown(name, 60)}" if len(names) > 1 else ""
        yield from (_changed(one, evidence) for one in _of_load(series, number, suffix, limits))


def _changed(figure: Figure, evidence: Evidence) -> Figure:
    """Mark where its level changed; changes are those of all loads together."""
    about = {"latency": "p95", "errors": "error_rate", "throughput": "rps"}.get(
        figure.name.rpartition("-")[0]
    )
    changes = [change for change in evidence.verdict.changes if change.what == about]
    return replace(figure, changes=tuple(changes[:MOST_CHANGES]))


def nothing(quantiles: tuple[float, ...]) -> Series:
    """The series of a load that left no data."""
    none: Numbers = np.zeros(0)
    return Series(none, 1.0, dict.fromkeys(quantiles, none), none, none, none, none, none)


def _quantiles(limits: dict[str, tuple[Limit, ...]]) -> tuple[float, ...]:
    """The three everyone wants, and every one that is judged: at most six."""
    judged = {round(float(name[1:]) / 100, 6) for name in limits if re.fullmatch(r"p[0-9.]+", name)}
    return tuple(sorted([0.5, 0.95, 0.99, *sorted(judged - {0.5, 0.95, 0.99})[:3]]))


def _of_load(
    series: Series, number: int, suffix: str, limits: dict[str, tuple[Limit, ...]]
) -> Iterator[Figure]:
    every = f"each point is {digits(series.width)} s"
    lines = tuple(
        Line(f"p{digits(quantile * 100)}", series.at, values, colour=_shade(quantile))
        for quantile, values in series.quantiles.items()
    )
    bounds = [limit for line in lines for limit in limits.get(line.name, ())]
    yield Figure(
        f"latency-{number}", f"Latency{suffix}", "seconds", lines, tuple(bounds[:MOST_LIMITS]),
        note=f"By intended start; requests without an answer count with their age; {every}.",
    )  # fmt: skip
    errors = Line("error rate", series.at, series.error_rate, colour=3)
    yield Figure(
        f"errors-{number}", f"Error rate{suffix}", "share", (errors,), limits.get("error_rate", ())[:MOST_LIMITS],
        note=f"Share of the requests that ended in an error, by intended start; {every}.",
    )  # fmt: skip
    rates = [Line("ended", series.at, series.ended, colour=1)]
    if np.isfinite(series.offered).any():
        rates.insert(0, Line("offered", series.at, series.offered, colour=4, dashed=True))
    yield Figure(
        f"throughput-{number}", f"Throughput{suffix}", "per second", tuple(rates), limits.get("rps", ())[:MOST_LIMITS],
        note=f"Requests that ended{', against arrivals that were due' if len(rates) > 1 else ''}; {every}.", fold="mean",
    )  # fmt: skip
    yield Figure(
        f"in-flight-{number}", f"Requests in flight{suffix}", "count", (Line("in flight", series.at, series.in_flight, colour=5),),
        limits.get("in_flight", ())[:MOST_LIMITS], note=f"Mean number of requests without an answer yet; {every}.",
    )  # fmt: skip


def _shade(quantile: float) -> int:
    """The higher the quantile, the darker the line."""
    return {0.5: 0, 0.95: 1, 0.99: 2}.get(quantile, 8 if quantile > 0.99 else 6)


def _of_indicators(evidence: Evidence, limits: dict[str, tuple[Limit, ...]]) -> Iterator[Figure]:
    units = {one.name: one.unit or _UNITS.get(one.measure, "") for one in _indicators(evidence)}
    samples: dict[str, dict[str, list[Sample]]] = {name: {} for name in units}
    for event in evidence.events:
        if isinstance(event, Sample):
            samples.setdefault(event.indicator, {}).setdefault(event.instance, []).append(event)
    for number, (name, instances) in enumerate(list(samples.items())[:MOST_INDICATORS]):
        lines = tuple(
            Line(instance or shown(name, 40), *_values(readings), colour=(1, 7, 6, 8, 4, 9, 5, 3)[turn])
            for turn, (instance, readings) in enumerate(sorted(instances.items())[:MOST_INSTANCES])
        )
        rest = len(instances) - MOST_INSTANCES
        note = f"{rest} more instances are in timeline.jsonl." if rest > 0 else ""
        bounds = limits.get(name, ())[:MOST_LIMITS]
        yield Figure(f"indicator-{number}", shown(name, 80), units.get(name, ""), lines, bounds, note=note)


def _indicators(evidence: Evidence) -> tuple[Indicator, ...]:
    """Those of the scenario, and the environment's own."""
    return (
        (*evidence.plan.scenario.indicators, *evidence.plan.environment.indicators) if evidence.plan else ()
    )


def _values(readings: list[Sample]) -> tuple[Numbers, Numbers]:
    at = np.array([reading.at for reading in readings])
    return at, np.array([_value(reading) for reading in readings], dtype=np.float64)


def _value(reading: Sample) -> float:
    if reading.value is not None:
        return reading.value
    part = reading.valid if reading.bad is None else reading.bad
    if part is not None and reading.total:
        return part / reading.total
    return float("nan")
