"""All halt rules with a confidence: they share one bound on false halts, and restart at the edges of faults and on a grid."""

from __future__ import annotations

import importlib
from collections import deque
from typing import TYPE_CHECKING

from runner.assertions import Assertion
from runner.halts.confident import ConfidentRule
from runner.live import HaltReading, LiveWindow
from runner.live.window import Row
from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import ActChanged, Event, EvidenceSeen, HaltPulled

if TYPE_CHECKING:
    from runner.statistics.evidence import Weights

_TOLD = 1.0  # seconds between two pieces of evidence on record, at least
_MOST_TOLD = 2000  # of one rule in a run


class Together:
    """The mean of the rules' E, each times its own alpha, is what trips: whichever it is, the bound holds for the run."""

    def __init__(self, plan: Plan, asked: list[Assertion]) -> None:
        self._plan = plan
        self._rules = [ConfidentRule(rule, part=1 / len(asked)) for rule in asked]
        self._names = frozenset(use.name for use in plan.scenario.faults)
        self._edges: deque[str] = deque()
        self._seen: set[tuple[str, int, str]] = set()
        self._weights: Weights | None = None
        self._next = 0.0  # when the grid restarts
        self._told = 0.0
        self._every = max(_TOLD, plan.ends / _MOST_TOLD)

    @property
    def readings(self) -> tuple[HaltReading, ...]:
        """How near each is, for the live view."""
        return tuple(rule.reading for rule in self._rules)

    def prepare(self) -> None:
        """Import numpy and scipy, where a rule needs them."""
        if self._rules:
            importlib.import_module("runner.verdict.calibration")
            importlib.import_module("runner.statistics.evidence")

    def calibrate(self, record: Record) -> list[str]:
        """Arm them, at t = 0; say which cannot be."""
        if not self._rules:
            return []
        from runner.statistics.evidence import weights  # noqa: PLC0415 - brings scipy, and only these rules need it

        for rule in self._rules:
            rule.calibrate(self._plan, record)
        self._weights = weights(faults=len(self._plan.windows), seconds=self._plan.ends)
        return [f"{rule.asked.text}: {problem}" for rule in self._rules for problem in rule.problems]

    def follow(self, event: Event) -> None:
        """Hear of the first act of a fault that begins to be done or undone."""
        if not isinstance(event, ActChanged) or event.fault not in self._names:
            return
        edge = (event.fault, event.occurrence, event.state)
        if event.state in ("injecting", "undoing") and edge not in self._seen:
            self._seen.add(edge)
            self._edges.append(event.state)

    def judge(self, window: LiveWindow, news: list[list[Row]], at: float) -> HaltPulled | None:
        """Take the news; say whether the evidence suffices."""
        if self._weights is None:
            return None
        weight = self._due(self._weights, at)
        together = sum(rule.judge(window, news, at, weight=weight) for rule in self._rules)
        if together < 1.0:
            return None
        self._told = 0.0  # what it tripped by is told, whenever the last was
        return max(self._rules, key=lambda rule: rule.log10_nearest).pulled(at, together=together)

    def evidence(self, at: float) -> list[EvidenceSeen]:
        """What is to be put on record now."""
        if self._weights is None or at - self._told < self._every:
            return []
        self._told = at
        return [seen for rule in self._rules if (seen := rule.seen(at)) is not None]

    def _due(self, planned: Weights, at: float) -> float:
        """The weight of the restart that is due now, if one is."""
        weight = 0.0
        while self._edges:
            weight += planned.start if self._edges.popleft() == "injecting" else planned.end
        if at >= self._next:
            weight += planned.grid
            self._next = at + planned.spacing
        return weight
