"""What a helper performs at its post: do, hold, look, and undo until it is undone."""

from __future__ import annotations

import math
import select
from collections.abc import Callable

from runner.errors import NothingDone
from runner.helper.entering import enter, pod_ended
from runner.helper.protocol import Orders
from runner.operations import Context, Held, perform
from runner.operations.context import Stand
from runner.operations.record import Operation, Reading
from runner.operations.stand import find_stand

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between tries of an undo that fails
FAR_PAUSE = 2.0  # and then of one that does not reach its API, as long as we live: nobody else will do it
LONGEST = 500  # characters of a sentence


class Work:
    """The operations of some orders, in a context of their own."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._held: list[Held] = []
        self._refused = False
        self.nothing_done = False  # what it was to do was refused, and nothing touched
        self._unseen = self._look()

    def do(self) -> tuple[tuple[Reading, ...], str]:
        """Do all, until something fails: readings, and the problem."""
        if self._unseen:
            self.nothing_done = True
            return (), self._unseen
        if self._gone:
            return (), self._gone
        readings: list[Reading] = []
        for operation in self._orders.do:
            reading, problem = self._perform(operation)
            readings += [reading] if reading else []
            if problem or (reading and reading.ok is False):
                self.nothing_done = self._refused and not readings
                return tuple(readings), problem or (reading.evidence if reading else "")
        return tuple(readings), ""

    def tick(self) -> tuple[float, str]:
        """Do what is due for what is held; return when to come again, and what cannot be held any more."""
        try:
            return min((held.tick() for held in self._held), default=math.inf), ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it holds no longer
            return math.inf, _sentence(error)

    def confirm(self) -> tuple[tuple[Reading, ...], str]:
        """Look at the effect: readings, and what kept us from looking."""
        readings, problems = [], ""
        for operation in self._orders.confirm:
            reading, problem = self._perform(operation)
            readings += [reading] if reading else []
            problems = problems or problem
        return tuple(readings), problems

    def undo(self, *, on_trouble: Callable[[str], object] = str) -> tuple[tuple[Reading, ...], str]:
        """Let go and undo, again and again until it is undone or there is no hope; every operation each time.

        Why it is to be tried again is told by *on_trouble*, once each.
        """
        pauses, told = iter(PAUSES), set[str]()
        while True:
            readings, problem, raised = self._undo_once()
            far = FAR_PAUSE if raised and self._orders.post.shape == "api" else None
            seconds = next(pauses, far)
            if not problem or seconds is None:
                return readings, problem
            if problem not in told:
                told.add(problem)
                on_trouble(problem)
            select.select((), (), (), seconds)

    def _undo_once(self) -> tuple[tuple[Reading, ...], str, bool]:
        """Return readings, the problem, and whether looking or an operation raised: it could not even see what is there."""
        problem, raised = self._let_go(), False
        self._unseen = self._look()
        if self._unseen:
            return (), problem or self._unseen, True
        if self._gone and self._orders.post.shape == "disk" and not pod_ended(self._orders.post):
            return (), f"{self._gone}, and its disk with it is not to be seen: start it and roll back", False
        if self._gone:
            return (Reading(evidence=f"{self._gone}: nothing of it is left"),), problem, False
        readings = []
        for operation in self._orders.undo:
            reading, trouble = self._perform(operation)
            readings += [reading] if reading else []
            raised = raised or bool(trouble)
            problem = problem or trouble or (reading.evidence if reading and reading.ok is False else "")
        return tuple(readings), problem, raised

    def _look(self) -> str:
        """Look where we stand now; return what kept us from it. A later look may do better."""
        self._gone, stand, unseen = "", None, ""
        try:
            stand, self._gone = self._find()
        except Exception as error:  # noqa: BLE001 - whatever it is, a helper that dies of it undoes nothing
            unseen = f"no way to the target: {_sentence(error)}"
        self._context = Context(stand=stand)
        return unseen

    def _find(self) -> tuple[Stand | None, str]:
        """Find where we stand, and enter it where that has to be; else say what is gone."""
        post = self._orders.post
        if post.shape == "api" or (post.shape == "network" and post.engine is not None):
            return (Stand(container=post.container) if post.container else None), ""
        stand = find_stand(post.container)
        if post.shape == "network":
            return enter(stand, post)
        if stand is None or not (stand.pid or post.shape == "cgroup"):
            return stand, f"container {post.container[:12]} does not run here"
        return stand, ""

    def _perform(self, operation: Operation) -> tuple[Reading | None, str]:
        try:
            result = perform(operation, self._context)
        except Exception as error:  # noqa: BLE001 - whatever an operation raises is to be reported
            self._refused = isinstance(error, NothingDone)
            return None, f"{type(operation).__struct_config__.tag}: {_sentence(error)}"
        if isinstance(result, Reading):
            return _short(result), ""
        self._held.append(result)
        return _short(result.reading), ""

    def _let_go(self) -> str:
        problem = ""
        while self._held:
            try:
                self._held.pop().release()
            except Exception as error:  # noqa: BLE001 - the others must be released all the same
                problem = problem or _sentence(error)
        return problem


def _short(reading: Reading) -> Reading:
    return Reading(ok=reading.ok, evidence=reading.evidence[:LONGEST])


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:LONGEST]
