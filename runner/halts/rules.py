"""Halt rules: judged ten to twenty times a second on the live window; the first that trips pulls the brake."""

from __future__ import annotations

from collections.abc import Callable

from runner.halts.budget import BudgetRule
from runner.halts.silence import Silence
from runner.halts.thresholds import Threshold
from runner.halts.together import Together
from runner.live import LiveWindow
from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import Event, EvidenceSeen, Expects, HaltPulled, NoteLevel


class HaltRules:
    """All halt rules of a plan. Rules relative to before, and those with a confidence, wait until the baseline is known."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        asked = [rule for rule in plan.scenario.halt if rule.no_data is None]
        plain = [rule for rule in asked if not rule.confidence]
        self._thresholds = [Threshold(rule, plan) for rule in plain if rule.term.name != "budget"]
        self._budgets = [BudgetRule(rule, plan) for rule in plain if rule.term.name == "budget"]
        self._together = Together(plan, [rule for rule in asked if rule.confidence])
        self._silence = Silence(plan)
        self._serial = 0
        self._since: float | None = None

    def prepare(self) -> None:
        """Import what arming takes, which is slow: while the load warms up, not at t = 0."""
        self._together.prepare()

    def know_baseline(self, plan: Plan, record: Record) -> list[tuple[NoteLevel, str]]:
        """Learn from the record of the time before; say which rules cannot be armed."""
        from runner.verdict.baseline import baselines  # noqa: PLC0415 - brings numpy, and only relative rules need it

        for rule in self._thresholds:
            if rule.relative:
                rule.baselines = baselines(plan, record, rule.asked.term)
        return [
            ("warning", f"halt rule not armed: {problem}") for problem in self._together.calibrate(record)
        ]

    def follow(self, event: Event) -> None:
        """Hear of the edges of faults, and of how many events an objective expects; from any thread."""
        self._together.follow(event)
        if isinstance(event, Expects):
            for rule in self._budgets:
                rule.know(event)

    def judge(self, window: LiveWindow, at: float) -> HaltPulled | None:
        """Say whether to halt at this moment. Nothing before the first call, or in the warm-up, counts."""
        with window.lock:
            since = self._armed(window, at)
            if since is None:
                return None
            self._serial, news = window.news(self._serial)
            tripped = None
            readings = []
            for rule in self._thresholds:
                halt = rule.judge(window, news, at, since=since)
                readings.append(rule.reading)
                tripped = tripped or halt
            for budget in self._budgets:
                halt = budget.judge(window, at, since=since)
                readings.append(budget.reading)
                tripped = tripped or halt
            halt = self._together.judge(window, news, at)
            tripped = tripped or halt
            window.halts = (*readings, *self._together.readings)
            return tripped or self._silence.judge(window, at, since=since)

    def tell(self, record: Callable[[EvidenceSeen], object], at: float) -> None:
        """Put the evidence of rules with a confidence on record, at most once a second of each."""
        for seen in self._together.evidence(at):
            record(seen)

    def _armed(self, window: LiveWindow, at: float) -> float | None:
        if self._since is None:
            warm = (
                (window.begins_at or 0.0) + self._plan.scenario.warmup if window.begins_at is not None else at
            )
            if at < warm - 1e-9:
                return None
            self._since = at if window.begins_at is None else warm
        return self._since
