"""Halt rules by a threshold: true when a level is beyond its limit, for as long as the rule asks for."""

from __future__ import annotations

from dataclasses import replace

from runner.assertions import WHOLE_RUN, Assertion, Operator, Term
from runner.halts.levels import Level, LoadTerm
from runner.live import HaltReading, LiveWindow
from runner.live.window import Row
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.statistics.comparison import holds
from runner.statistics.samples import measure_samples, of_term, patience
from runner.statistics.selection import is_of_load
from runner.timeline import HaltPulled
from runner.units import written

_KINDS = {"seconds": "duration", "share": "share", "per second": "rate", "bytes": "size"}


class Threshold:
    """One rule, its tallies, and since when it has been true."""

    def __init__(self, asked: Assertion, plan: Plan) -> None:
        self.asked, self.baselines = asked, dict[str, float]()
        self.unit = _unit(plan, asked.term)
        self._load = LoadTerm(asked.term, asked.over) if is_of_load(asked.term) else None
        other = asked.bound.term
        self._other = LoadTerm(other, asked.over) if other is not None and is_of_load(other) else None
        self._every = {
            each.name: each.every for each in (*plan.scenario.indicators, *plan.environment.indicators)
        }
        objective = plan.environment.objectives.get(asked.term.of)
        self._times = 1 / (1 - objective.target) if objective and asked.term.name == "burn_rate" else 1.0
        self._true_since: dict[str, tuple[float, float]] = {}  # who -> (first judged true, first response)
        self.reading = HaltReading(asked.text, None, asked.bound.value, self.unit)

    @property
    def relative(self) -> bool:
        """Whether it compares with the time before."""
        return self.asked.within is not None or (
            self.asked.bound.value is None and self.asked.bound.term is None
        )

    def judge(
        self, window: LiveWindow, news: list[list[Row]], at: float, *, since: float
    ) -> HaltPulled | None:
        """Take the news; say whether it trips, and remember how near it is."""
        for followed in (self._load, self._other):
            if followed is not None:
                followed.take(window, news, not_before=int(since / SLOT))
        tripped: HaltPulled | None = None
        self.reading = HaltReading(self.asked.text, None, self.asked.bound.value, self.unit)
        if self._load is not None and window.is_over(self.asked.term.selector.load):
            return None  # the load was stopped: that it is gone breaks no rule
        names = self._load.names(window) if self._load is not None else self._instances(window)
        for who in names:
            for operator, limit in self._limits(window, who, at, since=since):
                level = self._level(window, who, operator, limit, at=at, since=since)
                tripped = self._trips(window, level, operator, limit, at) or tripped
        for gone in self._true_since.keys() - set(names):
            del self._true_since[gone]
        return tripped

    def _trips(
        self, window: LiveWindow, level: Level, operator: Operator, limit: float, at: float
    ) -> HaltPulled | None:
        true = level.value is not None and holds(operator, level.value, limit)
        self._remember(level, limit, true=true)
        if not true or level.value is None:
            self._true_since.pop(level.who, None)
            return None
        if level.who not in self._true_since:
            first = at
            if self._load is not None:
                first = self._load.breached_at(window, level.who, operator, limit, at=at)
            self._true_since[level.who] = (at, first)
        began, first = self._true_since[level.who]
        lasting = self.asked.lasting or 0.0
        if at - began < lasting - 1e-9:
            return None
        return HaltPulled(
            at=at,
            cause="rule",
            reason=self._reason(level, operator, limit),
            rule=self.asked.text,
            value=level.value,
            limit=limit,
            requests=level.requests,
            breached_at=first + lasting,
        )

    def _remember(self, level: Level, limit: float, *, true: bool) -> None:
        """Keep the reading that is nearest to tripping, for the live view."""
        if not self.reading.tripping and (true or self.reading.value is None):
            self.reading = HaltReading(self.asked.text, level.value, limit, self.unit, tripping=true)

    def _limits(
        self, window: LiveWindow, who: str, at: float, *, since: float
    ) -> list[tuple[Operator, float]]:
        """The comparisons that trip it, resolved; none while what it is relative to is not known."""
        bound, operator = self.asked.bound, self.asked.op
        if bound.value is not None and self.asked.within is None:
            return [(operator, bound.value)]
        factor = 1.0 if bound.factor is None else bound.factor
        if bound.term is not None:
            level = self._compared_with(window, bound.term, operator, at, since=since)
            return [] if level is None else [(operator, factor * level)]
        before = self.baselines.get(who, self.baselines.get(""))
        if before is None:
            return []
        if self.asked.within is not None:  # a halt says what must not be: to be further away than that
            return [(">", before * (1 + self.asked.within)), ("<", before * (1 - self.asked.within))]
        return [(operator, factor * before)]

    def _compared_with(
        self, window: LiveWindow, term: Term, operator: Operator, at: float, *, since: float
    ) -> float | None:
        if self._other is None:
            return _sampled(window, term, "", self.asked.over, at=at, every=self._every).value
        return self._other.level(window, "", operator, None, since=since).value

    def _level(
        self, window: LiveWindow, who: str, operator: Operator, limit: float, *, at: float, since: float
    ) -> Level:
        if self._load is not None:
            return self._load.level(window, who, operator, limit, since=since)
        level = _sampled(window, self.asked.term, who, self.asked.over, at=at, every=self._every)
        return level if level.value is None else replace(level, value=level.value * self._times)

    def _instances(self, window: LiveWindow) -> list[str]:
        name, wanted = self.asked.term.of or self.asked.term.name, self.asked.term.selector.instance
        return [instance for instance in window.samples(name) if wanted in ("", instance)]

    def _reason(self, level: Level, operator: Operator, limit: float) -> str:
        assert level.value is not None
        who = f" of {level.who}" if level.who else ""
        behind = f" in {level.requests:,} requests" if level.requests else ""
        seconds = self.asked.over or (self._load.seconds if self._load is not None else 0.0)
        lately = f" over the last {seconds:g} s" if seconds and seconds < WHOLE_RUN else ""
        side = "over" if operator in {">", ">="} else "under" if operator in {"<", "<="} else "against"
        lasted = f" for {self.asked.lasting:g} s" if self.asked.lasting else ""
        name = self.asked.term.text or self.asked.term.name
        return f"{name}{who} was {_said(level.value, self.unit)}{lately}, {side} the limit of {_said(limit, self.unit)}{lasted}{behind}"


def _sampled(
    window: LiveWindow, term: Term, who: str, over: float | None, *, at: float, every: dict[str, float]
) -> Level:
    """An instance's newest sample, or the measure of its last *over* seconds. A stale sample says nothing."""
    name = term.of or term.name
    fresh = over if over is not None else patience(every.get(name, 1.0))
    good = of_term(term, window.samples(name).get(who, []))
    recent = [sample for sample in good if sample.at > at - fresh]
    if not recent:
        return Level(None, who=who)
    newest = over is None and term.name != "burn_rate"  # one scrape alone is too little to burn by
    return Level(measure_samples(term, recent[-1:] if newest else recent).value, who=who)


def _unit(plan: Plan, term: Term) -> str:
    match term.name:
        case "quantile" | "mean" | "max" if not term.of:
            return "seconds"
        case "error_rate" | "success_rate":
            return "share"
        case "rps" | "offered_rps":
            return "per second"
        case "burn_rate":
            return "count"
        case _:
            own = [*plan.scenario.indicators, *plan.environment.indicators]
            return (
                next((each.unit for each in reversed(own) if each.name == (term.of or term.name)), "")
                or "count"
            )


def _said(value: float, unit: str) -> str:
    rounded = float(f"{value:.3g}")
    return written(_KINDS[unit], rounded) if unit in _KINDS else f"{rounded:g}"
