"""A hand: a warm process that performs operations for the guardian, one task at a time."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import signal
import socket
import sys
from pathlib import Path

import msgspec

from runner.errors import OutOfReach
from runner.guardian.messages import PACKET, HandReady, LetGo, Task, TaskDone, TaskHeld, pack, read_to_hand
from runner.operations import Context, Held, perform
from runner.operations.record import Reading

_LONGEST = 500  # characters of a sentence that a hand sends back
_MOST_LISTENERS = 64


def work(task: Task, listeners: dict[str, int]) -> tuple[list[Reading], list[Held], str]:
    """Perform the operations of *task*: readings, what is held from now on, and the first problem."""
    context = Context(listeners=listeners, taken_over=task.taken_over)
    readings: list[Reading] = []
    held: list[Held] = []
    problem = ""
    for operation in task.operations:
        try:
            result = perform(operation, context)
        except Exception as error:  # noqa: BLE001 - whatever an operation raises is an answer to the guardian
            name = type(operation).__struct_config__.tag
            problem = problem or f"{name}: {error or type(error).__name__}"[:_LONGEST]
        else:
            if not isinstance(result, Reading):
                held.append(result)
                result = result.reading
            readings.append(_short(result))
        if not task.to_the_end and (problem or (readings and readings[-1].ok is False)):
            break
    return readings, held, problem


class Hand:
    """The loop of one hand: tasks in, results out, and the ticking of what it holds."""

    def __init__(self, guardian: socket.socket) -> None:
        self._guardian = guardian
        self._woken, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)  # one just before the wait would be lost in it
        self._held: list[Held] = []
        self._task = 0

    def run(self) -> None:
        """Work until the guardian hangs up; then let go of everything."""
        self._guardian.send(pack(HandReady()))
        poll = select.poll()
        poll.register(self._guardian, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            due = self._tick()
            patience = None if due == math.inf else max(0.0, due) * 1000
            ready = [descriptor for descriptor, _ in poll.poll(patience)]
            if self._woken in ready:
                os.read(self._woken, 512)
            if self._guardian.fileno() not in ready:
                continue
            packet, descriptors, _, _ = socket.recv_fds(
                self._guardian, PACKET, _MOST_LISTENERS, socket.MSG_CMSG_CLOEXEC
            )
            if not packet:
                return
            try:
                self._obey(read_to_hand(packet), descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def let_go(self) -> str:
        """Release what is held; return the first problem."""
        problem = ""
        while self._held:
            try:
                self._held.pop().release()
            except Exception as error:  # noqa: BLE001 - the others must be released all the same
                problem = problem or str(error)
        return problem

    def _obey(self, order: Task | LetGo, descriptors: list[int]) -> None:
        if isinstance(order, LetGo):
            if order.task == self._task and self._held:
                self._guardian.send(pack(TaskDone(task=order.task, readings=(), problem=self.let_go())))
            return
        self._task = order.task
        readings, self._held, problem = work(order, dict(zip(order.listeners, descriptors, strict=True)))
        if problem or not self._held:
            problem = problem or self.let_go()
            self.let_go()
            self._guardian.send(pack(TaskDone(task=order.task, readings=tuple(readings), problem=problem)))
        else:
            self._guardian.send(pack(TaskHeld(task=order.task, readings=tuple(readings))))

    def _tick(self) -> float:
        try:
            return min((held.tick() for held in self._held), default=math.inf)
        except Exception as error:  # noqa: BLE001 - what cannot be held any more is over, and the guardian told
            problem, lost = self.let_go() or str(error), isinstance(error, OutOfReach)
            self._guardian.send(pack(TaskDone(task=self._task, readings=(), problem=problem, lost=lost)))
            return math.inf


def main() -> None:
    """Serve the socket given as first argument; the second is the OOM score to go back to."""
    descriptor, score = int(sys.argv[1]), sys.argv[2]
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(
            number, lambda _number, _frame: None
        )  # a function: what we start begins with the default
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(score, encoding="ascii")
    os.set_inheritable(descriptor, False)
    gc.freeze()
    hand = Hand(socket.socket(fileno=descriptor))
    try:
        hand.run()
    except (BrokenPipeError, ConnectionError):
        pass  # the guardian is gone: the same as its hanging up
    finally:
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        hand.let_go()


def _leave(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    raise SystemExit(0)


def _short(reading: Reading) -> Reading:
    if len(reading.evidence) <= _LONGEST:
        return reading
    return msgspec.structs.replace(reading, evidence=reading.evidence[:_LONGEST] + "…")
