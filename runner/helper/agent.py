"""The life of a helper: it does, holds, renews its lease by beats, and undoes when told, hung up on or forgotten."""

from __future__ import annotations

import contextlib
import os

import msgspec

from runner import clock
from runner.helper import protocol, seeing
from runner.helper.ears import Ears
from runner.helper.protocol import Orders, Report, Why
from runner.helper.work import Work
from runner.operations.record import Reading

CHECKED = 0.25  # seconds between two looks at the effect
SAID = 1.0  # seconds after which the same is said again
WAITED = 30.0  # seconds for orders to come


class Agent:
    """One helper with its orders."""

    def __init__(self, orders: Orders, ears: Ears) -> None:
        self._orders, self._ears = orders, ears
        self._work = Work(orders)
        self._checked = self._said = 0.0
        self._seen: tuple[tuple[Reading, ...], str] = ((), "")
        self._after_other = False

    def run(self) -> int:
        """Do what is ordered until the end; return the exit code."""
        tell(Report(state="ready"))
        if self._orders.role == "undo":
            return self._end("told")
        if self._orders.role == "hand":
            if why := self._called_off():
                return self._end(why)
            readings, problem = self._work.do()
            if self._work.nothing_done:
                return self._leave(problem)
            if problem:
                tell(Report(state="failed", readings=readings, problem=problem))
                return self._end("failed")
            tell(Report(state="done", readings=readings))
        why = self._stay()
        return self._leave("") if why == "nothing done" else self._end(why)

    def _called_off(self) -> Why:
        """Why nothing is to be done after all: starting took time, and who gave the orders may be gone by now."""
        if any(say.say == "undo" for say in self._ears.listen(0)):
            return "told"
        return "signal" if self._ears.signalled else "hung up" if self._ears.ended else ""

    def _stay(self) -> Why:
        """Hold on until there is a reason to undo; what has come in is heard before the lease is judged."""
        until = clock.lease_now() + self._orders.lease
        while True:
            due, problem = self._work.tick()
            if problem:
                tell(Report(state="failed", problem=problem))
                return "failed"
            due = min(due, self._check(), until - clock.lease_now())
            heard = self._ears.listen(max(0.0, due))
            for say in heard:
                until = clock.lease_now() + self._orders.lease
                if say.say == "undo":
                    self._after_other = say.other_gone
                    return "told"
                if say.say == "leave":
                    return "nothing done"
            if self._ears.signalled:
                return "signal"
            if self._ears.ended:
                return "hung up"
            if clock.lease_now() >= until:
                return "silence"

    def _check(self) -> float:
        """Say what the effect looks like, when it is time to or has changed; return when to look again.

        A warden, which sees nothing, says so too: silence is how a connection that hangs is known.
        """
        now = clock.now()
        if now >= self._checked + CHECKED:
            self._checked = now
            seen = self._work.confirm()
            if seen != self._seen or now >= self._said + min(SAID, self._orders.lease / 5):
                self._seen, self._said = seen, now
                tell(Report(state="seen", readings=seen[0], problem=seen[1]))
        return self._checked + CHECKED - clock.now()

    def _leave(self, problem: str) -> int:
        """End without an undo, which would undo what somebody else did."""
        tell(Report(state="clean", problem=problem, why="nothing done"))
        return protocol.CLEAN

    def _end(self, why: Why) -> int:
        readings, problem = self._work.undo(
            on_trouble=lambda problem: tell(Report(state="failed", problem=problem))
        )
        state: protocol.State = "dirty" if problem else "clean"
        tell(Report(state=state, readings=readings, problem=problem, why=why, after_other=self._after_other))
        return protocol.DIRTY if problem else protocol.CLEAN


def tell(report: Report) -> None:
    """Write one line; a reader that stands still costs us its line, never our time."""
    text = protocol.line(msgspec.structs.replace(report, at=clock.now()))
    with contextlib.suppress(OSError):  # BlockingIOError: full; BrokenPipeError: nobody reads
        os.write(1, text)


def main() -> int:
    """Live one life of a helper on standard input and output."""
    ears = Ears(0)
    with contextlib.suppress(OSError):
        os.set_blocking(1, False)
    first = ears.first_line(WAITED)
    if first is None:
        return protocol.CLEAN  # nobody came: nothing was done
    try:
        orders = protocol.read_orders(first)
    except msgspec.DecodeError as error:
        tell(
            Report(
                state="failed",
                problem=f"these orders cannot be read: {error}; is the image as old as Squall?",
            )
        )
        return protocol.DIRTY
    if orders.role == "look":
        tell(Report(state="facts", facts=seeing.look(orders.containers)))
        return protocol.CLEAN
    return Agent(orders, ears).run()
