"""The negative control: an instance that a fault must not touch is read by the fault's own checks while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runner.errors import OperationFailed, Refused
from runner.faults.record import Instance
from runner.helper.glance import glance
from runner.operations import Context, Held, perform
from runner.operations.record import Act, Afar, Operation, Reading
from runner.plan_record import Window
from runner.running.acts import compile_act
from runner.scenario import FaultUse
from runner.timeline import Control

SETTLED = 3.0  # seconds after which most faults that break a halt rule at once have done so


class Bystander(threading.Thread):
    """Looks once, on a thread of its own: an undo waits for nothing. What it sees later than the undo is not said.

    It waits a third of the window before, at most SETTLED: its helper is not posted while the harm itself is, or a halt.
    """

    def __init__(
        self,
        use: FaultUse,
        window: Window,
        instance: Instance,
        *,
        run: str,
        at: Callable[[], float],
        record: Callable[[Control], object],
    ) -> None:
        super().__init__(
            name=f"{window.fault}/{window.occurrence}/control"
        )  # awaited: its helper goes with it
        self._window, self._instance, self._run_id, self._at, self._record = window, instance, run, at, record
        self._checks = _checks(compile_act(use, instance, window.occurrence, run=run))
        self._over = threading.Event()

    def run(self) -> None:
        if self._over.wait(min(SETTLED, (self._window.end - self._window.start) / 3)):
            return
        try:
            readings = self._look()
        except (OperationFailed, Refused) as error:
            readings = (Reading(ok=None, evidence=str(error)),)
        if self._over.is_set() or not readings:
            return
        oks = [reading.ok for reading in readings]
        self._record(
            Control(
                at=self._at(),
                fault=self._window.fault,
                occurrence=self._window.occurrence,
                instance=self._instance.name,
                leaked=all(ok is True for ok in oks) if None not in oks or False in oks else None,
                evidence="; ".join(reading.evidence for reading in readings if reading.evidence),
            )
        )

    def over(self) -> None:
        """The fault is being undone: what is seen from now on says nothing."""
        self._over.set()

    def _look(self) -> tuple[Reading, ...]:
        here, there = self._checks
        seen: tuple[Reading, ...] = ()
        for check in here:
            result = perform(check, Context())
            seen += (result,) if isinstance(result, Reading) else (_let_go(result),)
        for afar in there:
            seen += glance(afar.post, afar.confirm, self._run_id, over=self._over.is_set)
        return seen


def controls(use: FaultUse, names: tuple[str, ...], touched: frozenset[str]) -> tuple[str, ...]:
    """Who of a target's *names* can tell that a fault stays where it belongs: nobody that any fault touches meanwhile."""
    if use.fault.executes or use.fault.of_workload or use.fault.spreads:
        return ()
    return tuple(name for name in names if name not in touched)


def _checks(act: Act) -> tuple[tuple[Operation, ...], tuple[Afar, ...]]:
    """The checks that can be made from here, and those that a helper makes there."""
    there = tuple(step for step in act.do if isinstance(step, Afar) and step.confirm)
    here = tuple(step for step in act.confirm if not there or step.__struct_config__.tag != "check-afar")
    return here, there


def _let_go(held: Held) -> Reading:
    held.release()
    return held.reading
