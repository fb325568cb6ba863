"""Evidence that dries up: indicators without samples, loads that show no sign of life, workers that fell silent."""

from __future__ import annotations

from dataclasses import dataclass

from runner.assertions import Assertion
from runner.live import LiveWindow
from runner.plan_record import Plan
from runner.scenario import Indicator, Load
from runner.statistics.samples import patience
from runner.statistics.selection import OF_LOADS
from runner.timeline import HaltPulled

ARRIVALS = 20  # expected arrivals without a sign of any
SHORTEST, LONGEST = 2.0, 30.0  # seconds that those arrivals are given at least and (closed model) at most
WORKER = 5.0  # seconds without a word of a worker: it flushes ten times a second


@dataclass(frozen=True, slots=True)
class _Patience:
    seconds: float
    rule: str


class Silence:
    """Judges `no data`, as written and as implied."""

    def __init__(self, plan: Plan) -> None:
        self._loads = plan.scenario.loads
        own = {each.name: each for each in (*plan.scenario.indicators, *plan.environment.indicators)}
        self._indicators = tuple(own.values())
        self._asked = [rule for rule in plan.scenario.halt if rule.no_data is not None]

    def judge(self, window: LiveWindow, at: float, *, since: float) -> HaltPulled | None:
        """Say what has been silent for too long. *since*: when rules were armed."""
        for own in self._indicators:
            if found := self._indicator(window, own, at, since=since):
                return found
        for load in self._loads:
            if found := self._load(window, load, at, since=since):
                return found
        return None

    def _indicator(self, window: LiveWindow, own: Indicator, at: float, *, since: float) -> HaltPulled | None:
        allowed = self._patience(own.name, patience(own.every))
        quiet = at - window.good.get(own.name, since)
        if quiet < allowed.seconds:
            return None
        newest = [kept[-1] for kept in window.samples(own.name).values() if kept]
        said = next((sample.error for sample in newest if sample.error), "")
        reason = f"{own.name} gave no data for {quiet:.1f} s" + (f": {said}" if said else "")
        return _halt(at, allowed, quiet, reason)

    def _load(self, window: LiveWindow, load: Load, at: float, *, since: float) -> HaltPulled | None:
        workers = [worker for worker in window.workers.values() if worker.load == load.name]
        dead = next((worker.problem for worker in workers if worker.problem), "")
        if dead:
            return HaltPulled(at=at, cause="evidence", reason=f"the load {load.name} died: {dead}")
        level = window.level(load, at)
        if level <= 0 or window.is_over(load.name):
            return None
        for worker in workers:
            if at - worker.at > WORKER and not worker.final:
                quiet = (
                    f"worker {worker.number} of load {load.name} has been silent for {at - worker.at:.1f} s"
                )
                return HaltPulled(at=at, cause="evidence", reason=quiet)
        begun = max(since if window.begins_at is None else window.begins_at, 0.0)
        quiet_for = at - max(window.active.get(load.name, begun), begun)
        allowed = self._patience(load.name, self._due(window, load, level), of_load=True)
        if quiet_for < allowed.seconds:
            return None
        reason = f"the load {load.name} made no request for {quiet_for:.1f} s, and none is under way"
        return _halt(at, allowed, quiet_for, reason)

    def _due(self, window: LiveWindow, load: Load, level: float) -> float:
        """Seconds in which 20 requests are expected: by the rate, or by the pace that the users have shown."""
        if load.model == "rate":
            return max(SHORTEST, ARRIVALS / level)
        shown = window.active.get(load.name, 0.0) - (window.begins_at or 0.0)
        ended = window.ended.get(load.name, 0)
        if not ended or shown <= 0:
            return WORKER
        return min(LONGEST, max(SHORTEST, ARRIVALS * shown / ended))

    def _patience(self, name: str, implied: float, *, of_load: bool = False) -> _Patience:
        """The rule that names it, else the one for any data, else what is implied."""
        named = [rule for rule in self._asked if self._names(rule, name, of_load=of_load)]
        chosen = named or [rule for rule in self._asked if not rule.term.name]
        if not chosen:
            return _Patience(implied, f"no data{{{name}}} for {implied:g}s (implied)")
        shortest = min(chosen, key=lambda rule: rule.no_data or 0.0)
        return _Patience(shortest.no_data or 0.0, shortest.text)

    def _names(self, rule: Assertion, name: str, *, of_load: bool) -> bool:
        if name in (rule.term.name, rule.term.of):
            return True
        return of_load and rule.term.name in OF_LOADS and rule.term.selector.load in ("", name)


def _halt(at: float, allowed: _Patience, quiet: float, reason: str) -> HaltPulled:
    return HaltPulled(
        at=at,
        cause="evidence",
        reason=reason,
        rule=allowed.rule,
        value=quiet,
        limit=allowed.seconds,
        breached_at=at - quiet + allowed.seconds,
    )
