"""The last resort: a thread of the guardian that undoes by itself when no hand can be had."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque

from runner.guardian.hand import work
from runner.guardian.messages import Task
from runner.guardian.orders import Done, Perform


class Spare:
    """Started while threads can still be had; *wake* is an eventfd told of each result in `results`."""

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._orders: queue.SimpleQueue[Perform] = queue.SimpleQueue()
        self.results: deque[Done] = deque()
        threading.Thread(target=self._work, name="spare hand", daemon=True).start()

    def perform(self, order: Perform) -> None:
        """Perform an undo here, after those before it."""
        self._orders.put(order)

    def _work(self) -> None:
        while True:
            order = self._orders.get()
            self.results.append(perform_here(order))
            os.eventfd_write(self._wake, 1)


def perform_here(order: Perform) -> Done:
    """Perform an undo in this very process."""
    task = Task(task=order.task, operations=order.operations, to_the_end=True, taken_over=order.taken_over)
    readings, held, problem = work(task, {})
    for each in held:
        each.release()
    return Done(order.task, tuple(readings), problem)
