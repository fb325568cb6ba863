"""Early acceptance: ends a fault, and the time after, as soon as all that is asked about it is decided."""

from __future__ import annotations

import importlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner import clock
from runner.assertions import Assertion
from runner.halts.counts import Counts
from runner.live import LiveWindow
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.planning.endings import LEAST, Ending, endings, may_move, planned_end
from runner.running.brake import Brake
from runner.statistics.question import Question, question_of
from runner.timeline import ActChanged, Decided, Event, Phase

if TYPE_CHECKING:
    from runner.record import Record

LOOK = 0.25  # seconds between two looks
AGAIN = 1.0  # seconds at least until the record is read again, where it did not decide yet; longer where that takes long
ANSWERED = 0.5  # seconds in which most requests are: what began later is left out of the evidence
UNANSWERED = 5.0  # seconds without an answer that count as an error here

Name = tuple[str, int]


@dataclass(slots=True)
class _Asked:
    """One assertion about a window, and the counts of its requests since the window began."""

    question: Question
    confidence: float
    effect: float
    counts: Counts

    def decides(self, window: LiveWindow) -> bool:
        """Whether the evidence of what has ended so far suffices for either answer."""
        from runner.statistics.evidence import log_e  # noqa: PLC0415 - scipy: imported while the load warmed up
        from runner.statistics.sequential import needed  # noqa: PLC0415 - the same

        bad, total = (number / self.effect for number in self.counts.now(window, ""))
        limit = self.question.limit
        most = max(_one(log_e, bad, total, limit), _one(log_e, total - bad, total, 1 - limit))
        return most >= needed(self.confidence)


@dataclass(slots=True)
class _Open:
    """A window that goes on. *likely*: by what has ended so far all is decided; the record has the last word."""

    ending: Ending
    begun: float
    asked: list[_Asked]
    serial: int
    likely: threading.Event = field(default_factory=threading.Event)


class Decider:
    """Follows every window that may end early. Who waits for its end asks here; the record then decides, as the verdict will."""

    def __init__(
        self,
        plan: Plan,
        *,
        record: Callable[[], Record],
        tell: Callable[[Event], None],
        at: Callable[[], float],
    ) -> None:
        wanted = endings(plan) if plan.scenario.stop_when_decided and not plan.calm else ()
        self._endings = {(one.fault, one.occurrence): one for one in wanted if not one.kept}
        self._plan, self._record, self._tell, self._at = plan, record, tell, at
        self._effects: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._open: dict[Name, _Open] = {}
        self._looked = 0.0
        self._has_cut = False
        self.moves = bool(self._endings) and may_move(plan)

    def prepare(self) -> None:
        """Import numpy and scipy, where anything may end early."""
        if self._endings:
            importlib.import_module("runner.verdict.early")

    def know_before(self, record: Record) -> None:
        """Learn how clustered bad requests come, from the time before."""
        if not self._endings:
            return
        from runner.verdict.early import effects_before  # noqa: PLC0415 - scipy, and only this needs it

        asked = [one for ending in self._endings.values() for one in ending.asked]
        found = effects_before(self._plan, record, asked)
        self._effects = {_name(one): effect for one, effect in zip(asked, found, strict=True)}

    def follow(self, event: Event) -> None:
        """Hear of a fault's beginning and end, and of the beginning of the time after."""
        match event:
            case ActChanged(state="injecting"):
                self._begin((event.fault, event.occurrence), event.at)
            case ActChanged(state="undoing"):
                with self._lock:
                    self._open.pop((event.fault, event.occurrence), None)
            case Phase(name="after"):
                self._begin(("", 0), event.at)

    def look(self, window: LiveWindow, at: float) -> None:
        """Take the news of the load, now and then."""
        if not self._endings or at - self._looked < LOOK:
            return
        self._looked = at
        with self._lock:
            going_on = list(self._open.values())
        with window.lock:
            for one in going_on:
                one.serial, news = window.news(one.serial)
                for asked in one.asked:
                    asked.counts.take(window, news, not_before=int(one.begun / SLOT))
                if at - one.begun >= LEAST and all(asked.decides(window) for asked in one.asked):
                    one.likely.set()

    def wait(self, name: Name, brake: Brake, *, until: float, ends: float | None = None) -> bool:
        """Sleep until a moment (monotonic seconds), or until all about a window is decided: say whether that is so.

        *ends*: the window's planned end, where that is later. Raises Halted as soon as the brake is pulled.
        """
        while (one := self._open.get(name)) is not None and until > clock.now():
            if not brake.wait_for(one.likely, seconds=until - clock.now()):
                return False
            asked_at, known = clock.now(), self._at() - ANSWERED
            if self._is_decided(one.ending, known) and until > clock.now():
                self._has_cut |= bool(name[0])
                early = (ends or until) - clock.now()
                told = Decided(at=self._at(), fault=name[0], occurrence=name[1], early=early, until=known)
                self._tell(told)
                return True
            one.likely.clear()
            took = clock.now() - asked_at
            brake.wait_until(min(until, clock.now() + max(AGAIN, 3 * took)))
        brake.wait_until(until)
        return False

    def wait_for_end(self, brake: Brake, *, zero: float, after: float) -> None:
        """Sleep until the run's end: sooner after a fault that ended early, or once all about the time after is decided."""
        end = planned_end(self._plan, zero=zero, after=after, cut=self._has_cut)
        self.wait(("", 0), brake, until=clock.now() + end - self._at())

    def _is_decided(self, ending: Ending, until: float) -> bool:
        from runner.verdict.early import is_decided  # noqa: PLC0415 - numpy: imported while the load warmed up

        return is_decided(self._plan, self._record(), ending, until=until)

    def _begin(self, name: Name, at: float) -> None:
        ending = self._endings.get(name)
        with self._lock:
            if ending is not None and name not in self._open:
                asked = [self._asked(one) for one in ending.asked]
                self._open[name] = _Open(ending, at, asked, serial=0)

    def _asked(self, asked: Assertion) -> _Asked:
        question = question_of(asked)
        assert question is not None
        confidence = self._plan.scenario.confidence if asked.confidence is None else asked.confidence
        counts = Counts(asked.term)
        late = UNANSWERED if question.slow is None else question.slow
        counts.begin({"": (question.slow, late)})
        return _Asked(question, confidence, self._effects.get(_name(asked), 1.0), counts)


def _name(asked: Assertion) -> tuple[str, str]:
    return asked.text, asked.when.text


def _one(log_e: Callable[..., object], part: float, total: float, limit: float) -> float:
    import numpy as np  # noqa: PLC0415 - imported while the load warmed up

    found = log_e(np.array([part]), np.array([total]), limit)
    return float(np.asarray(found)[0]) if total > 0 else -math.inf
