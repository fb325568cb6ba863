"""The guardian's mind: messages and time in, orders out, no effects, so that every interleaving can be driven."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

from runner.guardian import journal, messages
from runner.guardian.life import Life
from runner.guardian.orders import (
    Done,
    Event,
    Finish,
    Hands,
    Holding,
    KillRunner,
    Lost,
    Order,
    Purge,
    Purged,
    RunnerGone,
    Say,
    Tick,
    Want,
    Write,
    WriteFailed,
    Written,
)  # fmt: skip
from runner.operations.record import Act

BEAT = 0.2  # seconds between two beats to the runner
MOST_HANDS = 16  # warm hands kept for undos
STOPPERS = 3  # warm hands kept for ending what was started, whatever its number
SURPLUS = 8  # warm hands kept for injections that are armed
ALL = -(1 << 31)  # a rank below every other
ARMING = 10.0  # seconds to bring a way back on record


class Sweep:
    """An `undo-all` under way: rank by rank, from the highest."""

    def __init__(self, request: int, floor: int) -> None:
        self.request, self.floor = request, floor
        self.begun: set[str] = set()

    def covers(self, lives: Iterable[Life]) -> list[Life]:
        return [life for life in lives if life.act.rank >= self.floor]

    def advance(self, lives: Iterable[Life], now: float) -> bool:
        """Begin what may begin now; True when everything is clean or dirty."""
        mine = self.covers(lives)
        for rank in sorted({life.act.rank for life in mine}, reverse=True):
            wave = [life for life in mine if life.act.rank == rank]
            for life in wave:
                if life.act.id not in self.begun:
                    self.begun.add(life.act.id)
                    life.undo(None, now)
            if any(life.blocks for life in wave):
                return False
        return all(life.settled for life in mine)


class Core:
    """Everything the guardian decides. Time is CLOCK_BOOTTIME: a suspended machine lets leases run out."""

    def __init__(self, *, lease: float, now: float) -> None:
        self.acts: dict[str, Life] = {}
        self.taken_over = ""  # why
        self.finished = False
        self._lease, self._heard, self._beat_at = lease, now, now
        self._orders: list[Order] = []
        self._arming: dict[str, tuple[int, float]] = {}  # act -> request, latest moment
        self._tickets: dict[int, str] = {}
        self._unwritten: set[str] = set()
        self._numbers = itertools.count(1)
        self._sweeps: list[Sweep] = []
        self._idle, self._no_hands = 0, ""
        self._wanted, self._expected = Want(0, 0), 0
        self._bye: int | None = None
        self._purging = False
        self._halted: float = math.inf  # the lowest rank from which everything is or was undone

    def step(self, event: Event, now: float) -> list[Order]:
        """Take one event; return what is to be done about it, in order."""
        self._take(event, now)
        for life in tuple(self.acts.values()):
            life.expire(now)
        self._arm_what_is_safe(now)
        self._advance(now)
        self._want_hands()
        orders, self._orders = self._orders, []
        return orders

    def next_deadline(self) -> float:
        """The moment at which the core wants a Tick, if nothing happens before."""
        moments = [life.deadlines() for life in self.acts.values()]
        moments += [latest for _, latest in self._arming.values()]
        moments.append(self._beat_at)
        if not self.taken_over:
            moments.append(self._heard + self._lease)
        return min(moments)

    def restore(self, acts: Iterable[Act]) -> None:
        """Begin with the acts of a journal."""
        for act in acts:
            self.acts[act.id] = self._life(act)
            self.acts[act.id].restore()

    def _life(self, act: Act) -> Life:
        return Life(act, self._emit, self._number)

    def _emit(self, order: Order) -> None:
        self._orders.append(order)

    def _number(self) -> int:
        return next(self._numbers)

    def _take(self, event: Event, now: float) -> None:
        match event:
            case Tick():
                self._look_at_the_lease(now)
            case Written():
                self._unwritten.discard(self._tickets.pop(event.ticket, ""))
            case WriteFailed():
                self._refuse_arming(self._tickets.pop(event.ticket, ""), event.why)
            case Hands():
                self._idle, self._no_hands = event.idle, event.problem or self._no_hands
            case Done():
                self._tell(lambda life: life.done(event, now))
            case Lost():
                self._tell(lambda life: life.done(Done(event.task, (), event.why, lost=True), now))
            case Holding():
                self._tell(lambda life: life.held(event.task, event.readings))
            case RunnerGone():
                self._take_over(event.why, kill=not event.lives)
            case Purged():
                self._finish(event.left)
            case _ if not self.taken_over:
                self._heard = now
                self._asked(event, now)

    def _asked(self, event: Event, now: float) -> None:
        match event:
            case messages.Arm():
                self._arm(event, now)
            case messages.Inject():
                self._inject(event, now)
            case messages.Confirm(request=request, act=name):
                if life := self._known(request, name, "injected"):
                    life.confirm(request)
            case messages.Undo(request=request, act=name):
                if life := self._known(request, name):
                    life.undo(request, now)
            case messages.UndoAll():
                self._sweep(event.request, event.rank_at_least)
            case messages.Expect():
                self._expected = event.acts
            case messages.Bye():
                self._bye = event.request
                self._sweep(0, ALL)
            case _:
                pass  # a beat: being heard is all it is for

    def _tell(self, tell: Callable[[Life], bool]) -> None:
        any(tell(life) for life in self.acts.values())

    def _arm(self, event: messages.Arm, now: float) -> None:
        name = event.act.id
        if name in self.acts:
            self._refuse(event.request, f"{name} is armed already")
            return
        if event.act.rank >= self._halted:
            self._refuse(event.request, f"{name}: everything is being undone")
            return
        self.acts[name] = self._life(event.act)
        self._no_hands = ""
        ticket = self._number()
        self._arming[name], self._tickets[ticket] = (event.request, now + ARMING), name
        self._unwritten.add(name)
        self._orders.append(Write(journal.Armed(act=event.act), ticket))

    def _arm_what_is_safe(self, now: float) -> None:
        """Armed is: on disk, in memory, and a warm hand for the way back."""
        for name, (request, latest) in tuple(self._arming.items()):
            life = self.acts[name]
            if life.settled:  # undone before it was armed
                self._refuse_arming(name, "it was undone meanwhile")
            elif name not in self._unwritten and self._idle >= self._reserve():
                del self._arming[name]
                life.armed()
                self._orders.append(Say(messages.IsArmed(request=request)))
            elif now >= latest or self._no_hands:
                self._refuse_arming(name, self._no_hands or f"its way back is not safe after {ARMING:g} s")

    def _refuse_arming(self, name: str, why: str) -> None:
        request, _ = self._arming.pop(name, (0, 0.0))
        if not request:
            return
        self._unwritten.discard(name)
        if not self.acts[name].settled:
            del self.acts[name]
            self._orders.append(Write(journal.Turned(act=name, state="clean", evidence="it was not armed")))
        self._refuse(request, f"{name} cannot be armed: {why}")

    def _inject(self, event: messages.Inject, now: float) -> None:
        life = self._known(event.request, event.act, "armed")
        if life and life.act.rank >= self._halted:
            self._refuse(event.request, f"{event.act}: everything is being undone")
        elif life:
            life.inject(event.request, now)

    def _known(self, request: int, name: str, state: str = "") -> Life | None:
        life = self.acts.get(name)
        if life is None or (state and life.state != state):
            has = "unknown" if life is None else life.state or "not armed yet"
            self._refuse(request, f"{name} is {has}" + (f", not {state}" if state else ""))
            return None
        return life

    def _refuse(self, request: int, reason: str) -> None:
        self._orders.append(Say(messages.Refusal(request=request, reason=reason)))

    def _look_at_the_lease(self, now: float) -> None:
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._orders.append(Say(messages.Alive()))
        if not self.taken_over and now >= self._heard + self._lease:
            self._take_over(f"the runner was silent for {now - self._heard:.1f} s")

    def _take_over(self, why: str, *, kill: bool = True) -> None:
        if self.taken_over:
            return
        self.taken_over, self._sweeps = why, []
        self._sweep(0, ALL)
        if kill:
            self._orders.append(KillRunner())
        for life in self.acts.values():
            life.taken_over = True

    def _sweep(self, request: int, floor: int) -> None:
        """Undo all from *floor* up; one way: none of them is injected any more."""
        self._halted = min(self._halted, floor)
        self._sweeps.append(Sweep(request, floor))

    def _advance(self, now: float) -> None:
        for sweep in tuple(self._sweeps):
            if not sweep.advance(self.acts.values(), now):
                continue
            self._sweeps.remove(sweep)
            if sweep.request:
                self._report(sweep)
        if not self._sweeps and not self._purging and (self.taken_over or self._bye is not None):
            self._purging = True
            if self.taken_over:
                self._orders.append(Purge())
            else:
                self._finish(())

    def _report(self, sweep: Sweep) -> None:
        for life in sweep.covers(self.acts.values()):
            life.report(sweep.request)
        self._orders.append(Say(messages.AllUndone(request=sweep.request)))

    def _finish(self, left: tuple[str, ...]) -> None:
        self.finished = True
        dirty = tuple(name for name, life in self.acts.items() if life.state == "dirty")
        self._orders.append(Finish(dirty, self._bye or 0, left))

    def _reserve(self) -> int:
        """Warm hands that undos may need at once: one for each fault with one; what was merely started shares a few."""
        lives = [life for life in self.acts.values() if life.state != "clean" and life.act.undo]
        started = sum(life.act.rank <= 0 for life in lives)
        return min(MOST_HANDS, len(lives) - started + min(STOPPERS, started))

    def _want_hands(self) -> None:
        reserve = self._reserve()
        coming = sum(life.state in (None, "armed") for life in self.acts.values())
        expected = min(MOST_HANDS, self._expected) + min(SURPLUS, self._expected)
        want = Want(max(reserve + min(SURPLUS, coming), expected), reserve)
        if want != self._wanted and not self.taken_over:
            self._wanted = want
            self._orders.append(want)
