"""The closed model: as many users as the stages say, each at its own pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import gevent
from locust.dispatch import UsersDispatcher
from locust.exception import StopUser
from locust.runners import WorkerNode
from locust.user.task import LOCUST_STATE_STOPPING, TaskSet

from runner.load.orders import TimedStage
from runner.load.recording import Pace
from runner.load.schedule import level_at, users_of
from runner.load.worker_journey import tell

TICK = 0.1  # seconds between looks at the level
AT_ONCE = 20  # users made without letting others run


class Users:
    """Hold the number of users at the level: new ones by Locust's weights, surplus ones end their task first."""

    def __init__(self, environment: Any, *, anchor: float, worker: int, workers: int) -> None:
        self._environment, self._runner = environment, environment.runner
        self._anchor, self._worker, self._workers = anchor, worker, workers
        self._node = WorkerNode(id="squall")
        self._classes = UsersDispatcher(worker_nodes=[self._node], user_classes=environment.user_classes)
        self._wanted: dict[str, int] = {}
        self._level = 0
        self._lags: list[float] = []  # how late the looks at the level were: others held up the process
        self._staying: list[Any] = []  # users not asked to stop, oldest first
        self._greenlet: gevent.Greenlet | None = None
        self._asleep: set[Any] = set()  # users between two tasks
        TaskSet._sleep = self._noticed_sleep()  # noqa: SLF001  # all waiting between tasks goes there

    def begin(self, stages: Sequence[TimedStage]) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
        self._greenlet = gevent.spawn(self._follow, stages)

    def drain(self) -> None:
        """Begin nothing new: every user ends with its task."""
        if self._greenlet is not None:
            self._greenlet.kill()
        for user in self._living():
            self._send_off(user)

    @property
    def failure(self) -> BaseException | None:
        return self._greenlet.exception if self._greenlet is not None else None

    @property
    def present(self) -> int:
        return len(self._runner.user_greenlets)

    def take_pace(self, _at: float) -> Pace:
        """Take what can be told of a model without arrivals."""
        lags, self._lags = self._lags, []
        return Pace({}, {}, lags, 0, self.present)

    def _follow(self, stages: Sequence[TimedStage]) -> None:
        look = monotonic()
        while True:
            now = monotonic()
            self._lags.append(max(0.0, now - look))
            self._hold(users_of(level_at(stages, now - self._anchor), self._worker, self._workers))
            look = monotonic() + TICK
            gevent.sleep(TICK)

    def _hold(self, level: int) -> None:
        """Bring the users to *level*; one who stopped itself is replaced."""
        if level != self._level:
            self._wanted = self._share_out(level)
            self._level = level
        living: dict[str, list[Any]] = {}
        for user in self._living():
            living.setdefault(type(user).__name__, []).append(user)
        for name in {*self._wanted, *living}:
            here, wanted = living.get(name, []), self._wanted.get(name, 0)
            for user in here[wanted:]:
                self._send_off(user)
            self._add(name, wanted - len(here))

    def _add(self, name: str, missing: int) -> None:
        while missing > 0:
            try:
                self._staying += self._runner.spawn_users({name: min(missing, AT_ONCE)})
            except Exception as error:  # noqa: BLE001  # user code (an __init__) may raise anything
                tell(self._environment, error, None)
                return  # the next look at the level tries again
            missing -= AT_ONCE
            gevent.sleep(0)

    def _share_out(self, level: int) -> dict[str, int]:
        """Ask Locust's dispatcher how many users of each class make up *level*."""
        self._classes.new_dispatch(level, spawn_rate=1e9)
        last_word: dict[str, dict[str, int]] = {}
        for users_on_nodes in self._classes:
            last_word = users_on_nodes
        return last_word.get(self._node.id, {})

    def _living(self) -> list[Any]:
        self._staying = [user for user in self._staying if not user.greenlet.dead]
        return list(self._staying)

    def _send_off(self, user: Any) -> None:
        """Let a user end its task, and wake it if it waits between two.

        User.stop() would kill a waiting one a moment later, when it may have sent its next request already.
        """
        self._staying.remove(user)
        if user._state is None:  # noqa: SLF001  # it never ran
            user.greenlet.kill(block=False)
            return
        user._state = LOCUST_STATE_STOPPING  # noqa: SLF001  # what User.stop() does
        gevent.get_hub().loop.run_callback(self._wake, user)

    def _wake(self, user: Any) -> None:
        """Run in the hub: nobody else runs, so one who sleeps now is between two tasks."""
        if user in self._asleep:
            user.greenlet.throw(StopUser())

    def _noticed_sleep(self) -> Callable[[Any, float], None]:
        asleep = self._asleep

        def sleep(taskset: Any, seconds: float) -> None:
            asleep.add(taskset.user)
            try:
                gevent.sleep(seconds)
            finally:
                asleep.discard(taskset.user)

        return sleep
