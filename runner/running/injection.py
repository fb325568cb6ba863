"""One fault, carried out: compile, arm, inject, confirm, wait, confirm, undo."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar

from runner import clock
from runner.errors import GuardianLost, OperationFailed, Refused
from runner.faults.record import Instance
from runner.guardian.client import GuardianClient
from runner.operations.record import Act
from runner.plan_record import Window
from runner.running.acts import compile_act
from runner.running.brake import Brake, Halted
from runner.running.bystander import Bystander
from runner.running.decider import Decider
from runner.running.newcomers import Finder, Newcomers
from runner.scenario import FaultUse, Limits
from runner.timeline import Cause, Confirmed, Control, Escaped, Event, HaltPulled, Note

T = TypeVar("T")


CONFIRM_AGAIN = 0.25  # seconds between readings that cannot tell yet
FOLLOW = 1.0  # seconds between two looks for instances that came while a fault lasts
LATE = 60.0  # seconds that an undo may take beyond its time before what was planned after it is given up
PATIENCE = 5.0  # seconds beyond an act's own deadline after which the guardian itself is in doubt


class Passed(threading.Event):
    """A moment that has come, and when that was."""

    at = 0.0

    def set(self) -> None:
        """It is now."""
        self.at = self.at or clock.now()
        super().set()


@dataclass(frozen=True, slots=True)
class Follows:
    """What an injection's `at` counts from: the begin or the end of another, *gap* seconds before it."""

    other: Injection
    base: Literal["start", "end"]
    gap: float

    @property
    def moment(self) -> Passed:
        """When that was, or will have been."""
        return self.other.begun if self.base == "start" else self.other.over


class Injection(threading.Thread):
    """Carries out one window of the plan on a thread of its own; whatever goes wrong pulls the brake."""

    def __init__(
        self,
        use: FaultUse,
        window: Window,
        *,
        run: str,
        controls: tuple[str, ...],
        earlier: Sequence[Injection],
        zero: float,
        guardian: GuardianClient,
        victims: Finder,
        limits: Limits,
        record: Callable[[Event], object],
        brake: Brake,
        decider: Decider,
        at: Callable[[], float],
    ) -> None:
        super().__init__(name=f"{window.fault}/{window.occurrence}", daemon=True)
        self._use, self._window, self._zero, self._of = use, window, zero, run
        self._controls, self._earlier = controls, earlier
        self.begun, self.over = Passed(), Passed()
        self.follows: Follows | None = None
        self.ahead, self._decider = False, decider
        self._guardian, self._victims, self._brake, self._at = guardian, victims, brake, at
        self._record, self._limits = record, limits
        self._struck: list[tuple[Act, Instance]] = []

    def run(self) -> None:
        try:
            self._carry_out()
        except Halted:
            return  # the brake knows why, and the undo is on its way
        except GuardianLost as lost:
            self._pull("guardian", str(lost))
        except (OperationFailed, Refused) as error:
            self._pull("evidence", f"{self.name} could not be carried out: {error}")
        except Exception as error:  # noqa: BLE001 - a defect of ours must stop the run, whatever it is
            self._pull("defect", f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self.over.set()

    def _wait_for_its_time(self) -> None:
        """Wait for the planned time, for what was to end before, and for as long after its anchor as was planned.

        Where that anchor came sooner, since all was decided, this comes sooner too.
        """
        planned, anchor = self._zero + self._window.start, self.follows
        if anchor is not None and self._decider.moves:
            self._brake.wait_for(anchor.moment, seconds=max(0.0, planned - clock.now()))
            self.ahead = anchor.moment.is_set() and anchor.other.ahead
        if not self.ahead:
            self._brake.wait_until(planned)
        for other in self._earlier:
            if not self._brake.wait_for(other.over, seconds=LATE):
                raise OperationFailed(f"{other.name}, which was to end before it, is not undone yet")
        if self.follows is not None:
            if not self._brake.wait_for(self.follows.moment, seconds=LATE):
                raise OperationFailed(
                    f"{self.follows.other.name}, which it follows, has not come that far yet"
                )
            self._brake.wait_until(self.follows.moment.at + self.follows.gap)

    def _carry_out(self) -> None:
        self._wait_for_its_time()
        self.begun.set()
        newcomers = Newcomers(self._victims, self._use.target, self._limits) if self._lasts else None
        control = self._control()
        acts = self._hurt(self._victims.instance(name) for name in self._window.instances)
        ends = clock.now() + self._window.end - self._window.start
        try:
            if control:
                control.start()
            self._confirm(acts, until=min(clock.now() + 2.0, ends))
            acts += self._follow(newcomers, ends)
            self._read(acts)
        finally:
            if control:
                control.over()
        undoing = [self._guardian.undo(act.id) for act in acts]
        if newcomers:  # the undo has been ordered, and waits for neither
            self._look_back(newcomers)
            self._look_for_the_ended()
        results = self._settle(acts, undoing)
        if dirty := next((result for result in results if not result.clean), None):
            self._pull("evidence", f"{self.name} could not be undone: {dirty.evidence}")

    def _control(self) -> Bystander | None:
        """Prepare to read one that is not to be hurt; None where there is none, or none can be read: that is recorded."""
        problem = ""
        for name in self._controls:
            try:
                instance = self._victims.instance(name)
                return Bystander(
                    self._use, self._window, instance, run=self._of, at=self._at, record=self._record
                )
            except (OperationFailed, Refused) as error:
                problem = str(error)
        if problem:
            window, name = self._window, self._controls[-1]
            self._record(
                Control(
                    at=self._at(),
                    fault=window.fault,
                    occurrence=window.occurrence,
                    instance=name,
                    leaked=None,
                    evidence=problem,
                )
            )
        return None

    @property
    def _lasts(self) -> bool:
        """Say whether who comes later escapes: not a kill, whose undo it is, nor what its owner was told to do."""
        return self._use.fault.recovers_from == "undo" and not self._use.fault.of_workload

    def _hurt(self, instances: Iterable[Instance]) -> list[Act]:
        struck = [
            (compile_act(self._use, each, self._window.occurrence, run=self._of), each) for each in instances
        ]
        self._struck += struck
        acts = [act for act, _ in struck]
        self._settle(acts, [self._guardian.arm(act) for act in acts])
        self._brake.check()
        self._settle(acts, [self._guardian.inject(act.id) for act in acts])
        return acts

    def _follow(self, newcomers: Newcomers | None, ends: float) -> list[Act]:
        """Wait for the end; meanwhile hurt those that come, too, where that is asked for."""
        acts: list[Act] = []
        while True:
            until = min(ends, clock.now() + FOLLOW) if self._use.follow else ends
            name = (self._use.name, self._window.occurrence)
            decided = self._decider.wait(name, self._brake, until=until, ends=ends)
            self.ahead |= decided
            if decided or not self._use.follow or clock.now() >= ends:
                return acts
            came = newcomers.came() if newcomers else []
            hurt = {*self._window.instances, *(act.instance for act in acts)}
            joined = newcomers.within_limits(came, hurt) if newcomers else []
            acts += self._hurt(joined)
            self._came(joined, joined=True)
            self._came([each for each in came if each not in joined], joined=False)

    def _look_back(self, newcomers: Newcomers) -> None:
        """Say who else came while it lasted."""
        try:
            self._came(newcomers.came(), joined=False)
        except (OperationFailed, Refused) as error:
            text = f"nobody can tell who came to {self._use.target} while {self.name} lasted: {error}"
            self._record(Note(at=self._at(), level="warning", text=text))

    def _look_for_the_ended(self) -> None:
        """Who did not live to the end was not hurt to the end, whatever was counted before."""
        for act, instance in self._struck:
            try:
                ended = self._victims.ended(instance)
            except OperationFailed as error:
                text = f"nobody can tell whether {instance.name} lived as long as {self.name} lasted: {error}"
                self._record(Note(at=self._at(), level="warning", text=text))
                return
            if ended:
                self._record(
                    Confirmed(
                        at=self._at(),
                        act=act.id,
                        fault=self._use.name,
                        instance=instance.name,
                        occurrence=self._window.occurrence,
                        ok=False,
                        evidence=f"none to its end: {ended}",
                    )
                )

    def _came(self, instances: Sequence[Instance], *, joined: bool) -> None:
        """Put on record who came while it lasted."""
        if instances:
            self._record(
                Escaped(
                    at=self._at(),
                    fault=self._use.name,
                    occurrence=self._window.occurrence,
                    instances=tuple(each.name for each in instances),
                    joined=joined,
                )
            )

    def _confirm(self, acts: list[Act], *, until: float) -> None:
        """Read until every act is confirmed, or for a while: some show only once traffic passes."""
        while not self._read(acts) and clock.now() + CONFIRM_AGAIN < until:
            self._brake.wait_until(clock.now() + CONFIRM_AGAIN)

    def _read(self, acts: list[Act]) -> bool:
        """Read every act that can be confirmed, once; say whether all are."""
        readable = [act for act in acts if act.confirm]
        readings = self._settle(readable, [self._guardian.confirm(act.id) for act in readable])
        return all(reading.ok is True for seen in readings for reading in seen)

    def _settle(self, acts: list[Act], futures: list[Future[T]]) -> list[T]:
        return [_result(future, act, self._brake) for act, future in zip(acts, futures, strict=True)]

    def _pull(self, cause: Cause, reason: str) -> None:
        self._brake.pull(HaltPulled(at=self._at(), cause=cause, reason=reason))


def _result(future: Future[T], act: Act, brake: Brake) -> T:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not brake.wait_for(done, seconds=act.deadline + PATIENCE):
        raise GuardianLost(f"the guardian gave no answer about {act.id}")
    return future.result()
