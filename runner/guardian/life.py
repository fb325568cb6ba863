"""The life of one act: armed, injecting, injected, undoing, clean or dirty. Pure: orders out, no effects."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from runner.guardian import journal, messages
from runner.guardian.orders import (
    ActState,
    Change,
    Done,
    Early,
    Kill,
    Order,
    Perform,
    Purpose,
    Release,
    Say,
    Write,
)
from runner.guardian.remedy import remedy
from runner.operations.record import Act, CheckProcess, Operation, Reading, Spawn

ATTEMPTS = 3  # verified undos that may fail before an act is dirty
AGAIN = (0.05, 0.3)  # seconds before the second and the third
RETRY_DEADLINE = 2.0  # seconds that an attempt gets once the act's own deadline has passed
LET_GO = 0.1  # seconds that a hand gets to release what it holds, before it is killed


class Life:
    """One act from armed to clean. While *doing* is set, what was ordered may still land."""

    def __init__(self, act: Act, emit: Callable[[Order], None], next_task: Callable[[], int]) -> None:
        self.act, self._emit, self._next_task = act, emit, next_task
        self.state: ActState | None = None  # None: not armed yet
        self.doing: int | None = None
        self.undoing: int | None = None
        self.taken_over = False
        self._holding = False
        self._stuck = False  # the hand that did it could not be ended in time
        self._final = False  # the running undo began after nothing could land any more
        self._failures, self._why = 0, ""  # undos that failed, and the last reason
        self._injector = 0
        self._waiting: list[int] = []
        self._confirming: dict[int, int] = {}
        self._do_by = self._let_go_by = self._undo_by = self._retry_at = self._quiet_by = math.inf
        self._overdue = False
        self._outcome = messages.Undone(act=act.id, clean=False)

    @property
    def settled(self) -> bool:
        """Say whether nothing more will be tried."""
        return self.state in ("clean", "dirty")

    @property
    def blocks(self) -> bool:
        """Say whether lower ranks still wait for this act."""
        return not self.settled and not self._overdue

    def armed(self) -> None:
        """The way back is safe."""
        self._turn("armed")

    def restore(self) -> None:
        """It comes from a journal: it may have been done."""
        self.state = "injected"

    def inject(self, request: int, now: float) -> None:
        """Do it."""
        self._injector, self._do_by = request, now + self.act.deadline
        self._turn("injecting")
        self.doing = self._perform(self.act.do, "do")

    def confirm(self, request: int) -> None:
        """Read whether it has its effect."""
        self._confirming[self._perform(self.act.confirm, "confirm")] = request

    def undo(self, request: int | None, now: float) -> None:
        """Undo it at once, and once more when the hand that did it can do nothing more."""
        if request is not None:
            self._waiting.append(request)
        if self.state in (None, "armed"):
            self._settle("clean", "it was never injected")
        elif self.state == "clean":
            self._answer()
        elif self.state != "undoing":
            self._begin_undo(now)

    def report(self, request: int) -> None:
        """Say once more how it ended."""
        self._emit(Say(msgspec.structs.replace(self._outcome, request=request)))

    def done(self, end: Done, now: float) -> bool:
        """Take the end of a task; False where it is none of ours (any more)."""
        task, readings = end.task, end.readings
        problem = end.problem or "; ".join(reading.evidence for reading in readings if reading.ok is False)
        if task == self.doing:
            self._do_ended(readings, problem, now, early="lost" if end.lost else "over")
        elif task == self.undoing:
            self._undo_ended(readings, problem, now)
        elif (request := self._confirming.pop(task, None)) is not None:
            self._confirmed(request, readings, problem)
        else:
            return False
        return True

    def held(self, task: int, readings: tuple[Reading, ...]) -> bool:
        """Take it that a task lasts."""
        if task != self.doing:
            return False
        if self.state == "injecting":
            self._holding = True
            self._injected(readings)
        return True

    def deadlines(self) -> float:
        """The next moment that this act wants to be looked at."""
        return min(self._do_by, self._let_go_by, self._undo_by, self._retry_at, self._quiet_by)

    def expire(self, now: float) -> None:
        """Look at what has taken too long."""
        if now >= self._do_by:
            self._do_by = math.inf
            self._fail(f"not done within {self.act.deadline:g} s", (), now)
        if now >= self._let_go_by:
            self._let_go_by = math.inf
            self._kill_doer()
            self._pass(now)
        if now >= self._quiet_by:
            self._quiet_by = math.inf
            self._overdue, self._stuck = True, self.doing is not None
            self._kill_doer()
            self._pass(now)
        if now >= self._undo_by:
            self._undo_by = math.inf
            self._abandon_undo(now)
        if now >= self._retry_at:
            self._retry_at = math.inf
            self._pass(now)

    def _do_ended(self, readings: tuple[Reading, ...], problem: str, now: float, *, early: Early) -> None:
        self.doing, self._do_by, self._let_go_by = None, math.inf, math.inf
        held, self._holding = self._holding, False
        if self.state == "injecting" and not problem:
            self._injected(readings)
        elif self.state == "injecting" or (self.state == "injected" and held):
            self._fail(problem or "it was let go", readings, now, early=early)
        elif self.state == "undoing":
            self._final = self._stuck = False  # whatever undo runs now began too early to count
            self._pass(now)
        elif self.state == "dirty" and self._stuck:  # now it cannot land any more: heal it after all
            self._begin_undo(now)

    def _injected(self, readings: tuple[Reading, ...]) -> None:
        self._do_by = math.inf
        self._turn("injected", _sentence(readings))
        self._emit(Say(messages.Injected(request=self._injector, readings=readings)))

    def _fail(self, problem: str, readings: tuple[Reading, ...], now: float, *, early: Early = "") -> None:
        injecting = self.state == "injecting"
        self._turn("failed", problem, early="" if injecting else early)
        if injecting:
            self._emit(Say(messages.Failed(request=self._injector, reason=problem, readings=readings)))
        self._begin_undo(now)

    def _begin_undo(self, now: float) -> None:
        injecting, self._stuck, self._failures = self.state == "injecting", False, 0
        if injecting:
            self._emit(Say(messages.Failed(request=self._injector, reason="cut short by its undo")))
        for task in self._confirming:
            self._emit(Kill(task))
        self._do_by = math.inf
        self._quiet_by, self._overdue = now + self.act.deadline, False
        self._turn("undoing")
        if self._holding:
            self._let_go_by = now + LET_GO
            self._emit(Release(self.doing or 0))
            return
        self._kill_doer()
        self._pass(now)

    def _kill_doer(self) -> None:
        if self.doing is not None:
            self._emit(Kill(self.doing))

    def _pass(self, now: float) -> None:
        """Start an undo, unless one runs or an early one would change nothing."""
        if self.undoing is not None or self.state != "undoing":
            return
        self._final, self._retry_at = self.doing is None or self._stuck, math.inf
        ample = self._quiet_by if self._quiet_by < math.inf else now
        self._undo_by = max(ample, now + min(self.act.deadline, RETRY_DEADLINE))
        operations = self._way_back()
        if operations:
            self.undoing = self._perform(operations, "undo")
        elif self._final:
            self._verified(
                "its runner is gone: nothing is started again" if self.act.undo else "nothing to undo"
            )

    def _way_back(self) -> tuple[Operation, ...]:
        if not self.taken_over:
            return self.act.undo
        return tuple(step for step in self.act.undo if not _starts(step))

    def _abandon_undo(self, now: float) -> None:
        """Give up on a hand that hangs in an undo: another one shall do it. Undone late is no harm."""
        task, self.undoing = self.undoing, None
        if task is not None:
            self._emit(Kill(task))
            self._judge_failure(f"the undo hung; before, {self._why}" if self._why else "the undo hung", now)

    def _undo_ended(self, readings: tuple[Reading, ...], problem: str, now: float) -> None:
        self.undoing, self._undo_by = None, math.inf
        if not self._final:
            if self.doing is None or self._stuck:
                self._pass(now)
        elif problem or not any(reading.ok for reading in readings):
            self._judge_failure(problem or "no reading verifies the undo", now)
        else:
            self._verified(_sentence(readings))

    def _verified(self, evidence: str) -> None:
        if self._stuck:
            self._settle("dirty", "the hand that injected it could not be ended: it may still land")
        else:
            self._settle("clean", evidence)

    def _judge_failure(self, problem: str, now: float) -> None:
        self._failures, self._why = self._failures + 1, problem
        if self._failures >= ATTEMPTS:
            self._settle("dirty", problem)
        else:
            self._retry_at = now + AGAIN[self._failures - 1]

    def _settle(self, state: ActState, evidence: str) -> None:
        self._undo_by = self._retry_at = self._quiet_by = self._let_go_by = math.inf
        mend = remedy(self.act) if state == "dirty" else ""
        self._turn(state, evidence, mend)
        clean = state == "clean"
        self._outcome = messages.Undone(act=self.act.id, clean=clean, evidence=evidence, remedy=mend)
        self._answer()

    def _answer(self) -> None:
        for request in self._waiting:
            self.report(request)
        self._waiting.clear()

    def _confirmed(self, request: int, readings: tuple[Reading, ...], problem: str) -> None:
        if self.state != "injected":
            readings = (Reading(ok=None, evidence="cut short by the undo", looked=False),)
        elif problem and not any(reading.ok is False for reading in readings):
            readings = (*readings, Reading(ok=None, evidence=problem, looked=False))
        self._emit(Say(messages.WasConfirmed(request=request, act=self.act.id, readings=readings)))

    def _perform(self, operations: tuple[Operation, ...], purpose: Purpose) -> int:
        task = self._next_task()
        self._emit(Perform(task, operations, purpose, taken_over=self.taken_over))
        return task

    def _turn(self, state: ActState, evidence: str = "", mend: str = "", early: Early = "") -> None:
        self.state = state
        self._emit(Change(self.act, state, evidence, mend, early))
        if state != "armed":
            self._emit(Write(journal.Turned(act=self.act.id, state=state, evidence=evidence)))


def _starts(operation: Operation) -> bool:
    return isinstance(operation, Spawn) or (
        isinstance(operation, CheckProcess) and operation.expect == "born"
    )


def _sentence(readings: tuple[Reading, ...]) -> str:
    return "; ".join(reading.evidence for reading in readings if reading.evidence)
