"""The hands of the guardian: warm child processes, so that an undo needs no fork."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping

from runner import clock
from runner.guardian import marks
from runner.guardian.birth import Birth, Hand
from runner.guardian.messages import (
    PACKET,
    FromHand,
    HandReady,
    LetGo,
    Task,
    TaskDone,
    TaskHeld,
    pack,
    read_from_hand,
)  # fmt: skip
from runner.guardian.orders import Done, Event, Hands, Holding, Lost, Perform, Want
from runner.operations.record import Spawn

AGAIN = 0.5  # seconds before another try to start a hand
PATIENCE = 0.5  # seconds that an undo waits for a hand before it is done without one
BRIEF = 1.0  # seconds that a hand whose task holds nothing is waited for, before another is started


class Pool:
    """All hands. Events go to *tell*; descriptors to watch are read from `sockets`."""

    def __init__(
        self, run: str, *, tell: Callable[[Event], None], inherited: Mapping[str, int], score: str
    ) -> None:
        self._run, self._tell, self._inherited = run, tell, inherited
        self._birth = Birth(run, score)
        self.start_hand = self._birth.start
        self._hands: dict[int, Hand] = {}  # by pid
        self._ended: list[Hand] = []  # reaped, but perhaps not all that they started
        self._waiting: deque[tuple[Perform, float]] = deque()
        self._want, self._failed_at, self._said = Want(1, 0), -AGAIN, -1
        self.inline: Callable[[Perform], None] | None = None  # performs an undo when there is no hand

    @property
    def sockets(self) -> list[socket.socket]:
        """What to watch for."""
        return [hand.socket for hand in self._hands.values()]

    @property
    def next_look(self) -> float:
        """Seconds until tend() has something to do by itself."""
        if self._ended:
            return 0.01
        return 0.1 if self._waiting or self._returning() or self._missing() > 0 else 60.0

    def want(self, order: Want) -> None:
        """Keep so many warm."""
        self._want, self._failed_at = order, -AGAIN
        self.tend()

    def perform(self, order: Perform) -> None:
        """Give a task to a hand as soon as there is one; undos first."""
        if order.purpose == "undo":
            self._waiting.appendleft((order, clock.now()))
        else:
            self._waiting.append((order, clock.now()))
        self._dispatch()

    def release(self, task: int) -> None:
        """Ask whoever holds *task* to let go; a hand that cannot be asked is killed."""
        for hand in self._with(task):
            try:
                hand.socket.send(pack(LetGo(task=task)), socket.MSG_DONTWAIT)
            except OSError:
                self._kill(hand, "it could not be asked to let go")

    def kill(self, task: int) -> None:
        """Kill the hand that has *task*; Lost follows when it and what it started have ended."""
        for entry in [entry for entry in self._waiting if entry[0].task == task]:
            self._waiting.remove(entry)
            self._tell(Lost(task, "it never began"))
        for hand in self._with(task):
            self._kill(hand, "its hand was killed")

    def readable(self, ready: socket.socket) -> None:
        """Take what a hand says."""
        hand = next((hand for hand in self._hands.values() if hand.socket is ready), None)
        if hand is None:
            return
        try:
            packet = ready.recv(PACKET, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._heard(hand, read_from_hand(packet))
        else:
            self._kill(hand, "its hand hung up")
        self._dispatch()

    def stopped(self, pid: int) -> None:
        """A child was stopped: a hand that stands still is no hand."""
        if hand := self._hands.get(pid):
            self._kill(hand, "its hand was stopped")

    def ended(self, pid: int, how: str) -> None:
        """A child has ended."""
        hand = self._hands.pop(pid, None)
        if hand is None:
            return
        with contextlib.suppress(OSError):
            while packet := hand.socket.recv(PACKET, socket.MSG_DONTWAIT):
                self._heard(hand, read_from_hand(packet))
        hand.socket.close()
        hand.dying = hand.dying or f"its hand {how}"
        self._ended.append(hand)
        self.tend()

    def tend(self) -> None:
        """End what dead hands left behind, start hands that are missing, give out work."""
        self._ended = [hand for hand in self._ended if not self._gone(hand)]
        for _ in range(self._missing()):
            if clock.now() < self._failed_at + AGAIN or not self._start():
                break
        self._dispatch()

    def close(self, patience: float) -> None:
        """Hang up on all hands: they let go and leave; who does not is killed."""
        self._want = Want(0, 0)
        for hand in self._hands.values():
            hand.socket.close()
        until = clock.now() + patience
        for hand in self._hands.values():
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                while os.waitpid(hand.pid, os.WNOHANG)[0] == 0:
                    if clock.now() >= until:
                        os.kill(hand.pid, signal.SIGKILL)
                        os.waitpid(hand.pid, os.WNOHANG)
                        break
                    select.select((), (), (), 0.005)
        self._hands.clear()

    @property
    def pids(self) -> list[int]:
        """The hands that live."""
        return list(self._hands)

    def _with(self, task: int) -> list[Hand]:
        return [hand for hand in self._hands.values() if hand.task and hand.task.task == task]

    def _idle(self) -> list[Hand]:
        return [hand for hand in self._hands.values() if hand.warm and hand.task is None and not hand.dying]

    def _missing(self) -> int:
        cold = sum(not hand.warm and not hand.dying for hand in self._hands.values())
        returning = self._returning()
        more = max(0, min(len(self._waiting), 4) - returning)
        return self._want.ready + more - len(self._idle()) - cold - returning

    def _returning(self) -> int:
        """How many hands are busy with what will soon be over: starting others would only be in their way.

        None as long as an undo waits: that waits for nobody.
        """
        if self._waiting and self._waiting[0][0].purpose == "undo":  # undos stand first
            return 0
        now = clock.now()
        return sum(
            hand.task is not None and not hand.dying and now < hand.given + BRIEF and not _keeps(hand.task)
            for hand in self._hands.values()
        )

    def _start(self) -> bool:
        """Start one hand; where the kernel refuses, say so and try again later."""
        try:
            hand = self.start_hand()
        except OSError as error:
            self._failed_at = clock.now()
            self._tell(Hands(len(self._idle()), f"no hand can be started: {error.strerror or error}"))
            return False
        self._hands[hand.pid] = hand
        return True

    def _dispatch(self) -> None:
        idle = sorted(self._idle(), key=lambda hand: hand.since)
        later: deque[tuple[Perform, float]] = deque()
        while self._waiting:
            order, since = self._waiting.popleft()
            undo = order.purpose == "undo"
            if idle and (undo or len(idle) > self._want.reserve):
                self._give(idle.pop(), order)
            elif undo and self.inline and not idle and self._hopeless(since):
                self.inline(order)
            else:
                later.append((order, since))
        self._waiting = later
        if len(self._idle()) != self._said:
            self._said = len(self._idle())
            self._tell(Hands(self._said))

    def _hopeless(self, since: float) -> bool:
        coming = any(not hand.dying for hand in self._hands.values())
        return clock.now() > since + PATIENCE or (not coming and clock.now() < self._failed_at + AGAIN)

    def _give(self, hand: Hand, order: Perform) -> None:
        hand.task, hand.given = order, clock.now()
        named = {name for step in order.operations if isinstance(step, Spawn) for name in step.listeners}
        names = tuple(sorted(named & self._inherited.keys()))
        task = Task(
            task=order.task,
            operations=order.operations,
            to_the_end=order.purpose == "undo",
            taken_over=order.taken_over,
            listeners=names,
        )
        try:
            descriptors = [self._inherited[name] for name in names]
            socket.send_fds(hand.socket, [pack(task)], descriptors, socket.MSG_DONTWAIT)
        except OSError as error:
            hand.task = None
            self._kill(hand, "it could not be reached")
            self._tell(Lost(order.task, f"it could not be given to a hand: {error.strerror or error}"))

    def _heard(self, hand: Hand, said: FromHand) -> None:
        match said:
            case HandReady():
                hand.warm = True
            case TaskHeld():
                self._tell(Holding(said.task, said.readings))
            case TaskDone() if hand.task and hand.task.task == said.task:
                starts, hand.task = _starts(hand.task), None
                if starts:  # its children shall be ours, and nothing of theirs the next task's
                    self._hang_up(hand)
                self._tell(Done(said.task, said.readings, said.problem, said.lost))

    def _hang_up(self, hand: Hand) -> None:
        hand.dying = "it did its work"
        with contextlib.suppress(OSError):
            hand.socket.shutdown(socket.SHUT_WR)

    def _kill(self, hand: Hand, why: str) -> None:
        hand.dying = hand.dying or why
        with contextlib.suppress(ProcessLookupError):
            os.kill(hand.pid, signal.SIGKILL)  # a child not reaped yet: the pid is still its own

    def _gone(self, hand: Hand) -> bool:
        """Say whether nothing that a dead hand had begun can land any more; kill what could."""
        if hand.task is None:
            return True
        self._birth.make_sure_of_descriptors()
        left = marks.marked(
            self._run,
            lambda has: has.get(marks.HAND) == str(hand.number) and not marks.is_managed(has),
        )
        for process in left:
            marks.kill(process)
        if left:
            return False
        self._tell(Lost(hand.task.task, hand.dying))
        return True


def _keeps(order: Perform) -> bool:
    """Whether the hand that performs it will not be there for another task afterwards."""
    return _starts(order) or any(step.holds for step in order.operations)


def _starts(order: Perform) -> bool:
    return any(step.__struct_config__.tag in ("spawn", "run") for step in order.operations)
