"""Halt rules on an objective's error budget: what this run has spent of it, counted and not estimated."""

from __future__ import annotations

from runner.assertions import Assertion
from runner.live import HaltReading, LiveWindow
from runner.plan_record import Plan
from runner.statistics.comparison import holds
from runner.statistics.samples import is_good
from runner.timeline import Expects, HaltPulled
from runner.units import written


class BudgetRule:
    """Counts bad events since the rules were armed, against all that the objective allows in its whole time.

    *expected*: events in that time, as Prometheus told when the run began; 0 where it could not: then the run's own
    traffic is taken to go on like this.
    """

    def __init__(self, asked: Assertion, plan: Plan) -> None:
        self.asked = asked
        self.expected = 0.0
        self._objective = plan.environment.objectives[asked.term.of]
        self._bad = self._total = 0.0
        self._newest: dict[str, float] = {}
        self.reading = HaltReading(asked.text, None, asked.bound.value, "share")

    def know(self, told: Expects) -> None:
        """Learn how many events an objective expects in its whole time, if it is this one."""
        if told.objective == self.asked.term.of:
            self.expected = told.events

    def judge(self, window: LiveWindow, at: float, *, since: float) -> HaltPulled | None:
        """Add up new samples; say whether too much is spent."""
        self._take(window, since)
        spent = self._spent(at - since)
        limit = self.asked.bound.value
        if spent is None or limit is None:
            return None
        tripping = holds(self.asked.op, spent, limit)
        self.reading = HaltReading(self.asked.text, spent, limit, "share", tripping=tripping)
        if not tripping:
            return None
        allowed = self._allowed(at - since)
        return HaltPulled(
            at=at,
            cause="rule",
            reason=(
                f"{self._bad:,.0f} bad events of {self._total:,.0f} spent {written('share', float(f'{spent:.3g}'))} of the "
                f"budget of {self.asked.term.of}: {allowed:,.0f} bad events in "
                f"{written('duration', self._objective.over)}, limit {written('share', limit)}"
            ),
            rule=self.asked.text,
            value=spent,
            limit=limit,
            requests=round(self._total),
        )

    def _take(self, window: LiveWindow, since: float) -> None:
        for instance, samples in window.samples(self.asked.term.of).items():
            newest = self._newest.get(instance, since)
            for sample in samples:
                if sample.at > newest and is_good(sample):
                    self._bad += sample.bad or 0.0
                    self._total += sample.total or 0.0
            if samples:
                self._newest[instance] = max(newest, samples[-1].at)

    def _allowed(self, seconds: float) -> float:
        """Bad events in the objective's whole time."""
        expected = self.expected or self._total / seconds * self._objective.over
        return (1 - self._objective.target) * expected

    def _spent(self, seconds: float) -> float | None:
        if not self._total or seconds <= 0:
            return None
        return self._bad / self._allowed(seconds)
