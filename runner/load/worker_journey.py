"""One user of the open model: made and started once, doing one task for each arrival."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pool import Group
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.markov_taskset import MarkovTaskSet
from locust.user.sequential_taskset import SequentialTaskSet
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, DefaultTaskSet, TaskSet

_INTERRUPTED = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)


class Journey:
    """Do what one arrival stands for.

    A task function is called once. Of a TaskSet, one of its tasks by its weights (its on_start ran when the
    user first came to it). Of a SequentialTaskSet, all of its tasks in order, on_start and on_stop around them.
    interrupt() ends the arrival. wait_time is not kept: the schedule decides.
    """

    def __init__(self, user_class: Any, environment: Any) -> None:
        self._environment = environment
        self.user = user_class(environment)
        self._root = DefaultTaskSet(self.user)
        self._sets: dict[Any, Any] = {}
        self.user._taskset_instance = self._root  # noqa: SLF001  # what User.run does before its on_start
        self.user._state = LOCUST_STATE_RUNNING  # noqa: SLF001

    def perform(self, group: Group) -> bool:
        """Do one task in the running greenlet; False where the user is done for good."""
        self.user._greenlet, self.user._group = gevent.getcurrent(), group  # noqa: SLF001  # for user.stop()
        try:
            self._do(self._root)
        except _INTERRUPTED:
            pass
        except (StopUser, StopTest):
            return False
        return bool(self.user._state != LOCUST_STATE_STOPPING)  # noqa: SLF001  # stopped itself

    def retire(self) -> None:
        """Run on_stop of what was started."""
        for part in (*reversed(self._sets.values()), self.user):
            try:
                part.on_stop()
            except (StopUser, StopTest, *_INTERRUPTED):
                pass
            except Exception as error:  # noqa: BLE001  # user code may raise anything
                self._tell(error)

    def _do(self, holder: Any) -> None:
        """Do the next task of *holder*; what it raises is told, as Locust does it, and the user goes on."""
        task = holder.get_next_task()
        if not (isinstance(task, type) and issubclass(task, TaskSet)):
            try:
                holder.execute_task(task)
            except (*_INTERRUPTED, StopUser, StopTest):
                raise
            except Exception as error:  # noqa: BLE001  # user code may raise anything
                self._tell(error)
        elif issubclass(task, SequentialTaskSet):
            self._do_in_order(task(holder))
        else:
            self._do(self._entered(holder, task))

    def _do_in_order(self, sequence: Any) -> None:
        sequence.on_start()
        try:
            for _ in sequence.tasks:
                self._do(sequence)
        finally:
            sequence.on_stop()

    def _entered(self, holder: Any, taskset: Any) -> Any:
        if taskset not in self._sets:
            self._sets[taskset] = inner = taskset(holder)
            inner.on_start()
        return self._sets[taskset]

    def _tell(self, error: Exception) -> None:
        tell(self._environment, error, self.user)


def begin_journey(user_class: Any, environment: Any) -> Journey | None:
    """Make a user and run its on_start; None where one of them raised (that is counted) or it wants to stop."""
    try:
        journey = Journey(user_class, environment)
        journey.user.on_start()
    except (StopUser, StopTest):
        return None
    except Exception as error:  # noqa: BLE001  # user code may raise anything
        tell(environment, error, None)
        return None
    return journey


def tell(environment: Any, error: Exception, user: Any) -> None:
    """Fire Locust's event for an exception of user code."""
    environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)


def endless(holder: Any) -> str:
    """Name a task set whose end nobody can tell, or "": then one arrival has no meaning."""
    for task in getattr(holder, "tasks", ()):
        if isinstance(task, type):
            found = task.__name__ if issubclass(task, MarkovTaskSet) else endless(task)
            if found:
                return found
    return ""
