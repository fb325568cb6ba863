"""The open model: arrivals begin when they are due, whatever the answers do."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

import gevent
from gevent.pool import Group

from runner.load.orders import TimedStage
from runner.load.recording import Pace, slot_of
from runner.load.schedule import due_times
from runner.load.worker_inflight import InFlight, Visit
from runner.load.worker_journey import Journey, begin_journey

MAX_IN_FLIGHT = 5000  # arrivals; those beyond are dropped and counted
AT_ONCE = 50  # late arrivals begun without letting others run
LEAST_READY, MOST_READY = 4, 50  # users made and started before the load begins
READY_SHARE = 0.05  # of a second's arrivals


class Arrivals:
    """Begin one task of one pooled user for each arrival, on an absolute schedule."""

    def __init__(self, environment: Any, inflight: InFlight, *, anchor: float, phase: float) -> None:
        self._environment, self._inflight = environment, inflight
        self._anchor, self._phase = anchor, phase
        self._classes = environment.user_classes
        self._weights = [user_class.weight or 1 for user_class in self._classes]
        self._chance = random.Random()  # noqa: S311  # which user comes next is no secret
        self._ready: dict[Any, list[Journey]] = {user_class: [] for user_class in self._classes}
        self._group = Group()
        self._dispatcher: gevent.Greenlet | None = None
        self._owed: Iterator[float] = iter(())
        self._next_owed = math.inf
        self._draining = False
        self._until = math.inf  # no arrival is due any more from then on
        self._started: Counter[int] = Counter()  # by slot of the intended start
        self._dropped = 0
        self._lags: list[float] = []

    def begin(self, stages: Sequence[TimedStage]) -> None:
        """Start users beforehand; then follow the schedule, leaving out what was due before this moment."""
        if self._dispatcher is not None:
            self._dispatcher.kill()
        now = monotonic() - self._anchor
        peak = max((max(stage.level_from, stage.level_to) for stage in stages), default=0.0)
        for _ in range(min(MOST_READY, max(LEAST_READY, math.ceil(peak * READY_SHARE)))):
            self._group.spawn(self._make_ready)
        self._owed = (due for due in due_times(stages, self._phase) if due >= now)
        self._next_owed = next(self._owed, math.inf)
        self._dispatcher = gevent.spawn(self._dispatch, stages, now)

    def drain(self) -> None:
        """Begin no more arrivals; users end with the task they are at."""
        self._draining, self._until = True, monotonic() - self._anchor
        if self._dispatcher is not None:
            self._dispatcher.kill()
        for journeys in self._ready.values():
            for journey in journeys:
                self._group.spawn(journey.retire)
            journeys.clear()

    @property
    def failure(self) -> BaseException | None:
        return self._dispatcher.exception if self._dispatcher is not None else None

    @property
    def present(self) -> int:
        return len(self._group)

    def take_pace(self, at: float) -> Pace:
        """Take what was due and what was begun since the last time; *at* is now, since the anchor."""
        offered: Counter[int] = Counter()
        while self._next_owed <= min(at, self._until):
            offered[slot_of(self._next_owed)] += 1
            self._next_owed = next(self._owed, math.inf)
        pace = Pace(offered, self._started, self._lags, self._dropped, len(self._group))
        self._started, self._lags, self._dropped = Counter(), [], 0
        return pace

    def _dispatch(self, stages: Sequence[TimedStage], since: float) -> None:
        late = 0
        for due in due_times(stages, self._phase):
            if due < since:
                continue
            while (early := due - (monotonic() - self._anchor)) > 0:
                late = 0
                gevent.sleep(early)
            late += 1
            if late % AT_ONCE == 0:
                gevent.sleep(0)
            self._begin_one(due)

    def _begin_one(self, due: float) -> None:
        if len(self._group) >= MAX_IN_FLIGHT:
            self._dropped += 1
            return
        self._started[slot_of(due)] += 1
        user_class = self._classes[0] if len(self._classes) == 1 else self._choose()
        self._group.spawn(self._arrive, user_class, self._anchor + due)

    def _choose(self) -> Any:
        return self._chance.choices(self._classes, self._weights)[0]

    def _arrive(self, user_class: Any, due: float) -> None:
        greenlet = gevent.getcurrent()
        self._inflight.visits[greenlet] = Visit(due, user_class.__name__)
        self._lags.append(max(0.0, monotonic() - due))
        ready = self._ready[user_class]
        journey = ready.pop() if ready else begin_journey(user_class, self._environment)
        if journey is not None:
            self._go_on(journey, stays=journey.perform(self._group))
        self._inflight.forget(greenlet)

    def _make_ready(self) -> None:
        journey = begin_journey(self._choose(), self._environment)
        if journey is not None:
            self._go_on(journey, stays=True)
        self._inflight.forget(gevent.getcurrent())

    def _go_on(self, journey: Journey, *, stays: bool) -> None:
        """Put a user back for the next arrival, or let it go."""
        if stays and not self._draining:
            self._ready[type(journey.user)].append(journey)
        else:
            journey.retire()
