"""Kill: processes end at once, without a chance to say goodbye."""

from __future__ import annotations

from typing import ClassVar, Literal

from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import process_of
from runner.operations.record import CheckProcess, Signal


class Kill(Fault, frozen=True, kw_only=True, tag="kill"):
    """End the process by SIGKILL.

    A managed process is started again by the undo, unless *restart* is `never`. A process that already ran when
    Squall came cannot be brought back by us: that is left to its own supervisor.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"process"})
    property: ClassVar[str] = "life"
    recovers_from: ClassVar[str] = "injection"

    restart: Literal["always", "never"] = "always"

    def compile(self, instance: Instance) -> Steps:
        process = process_of(instance, "kill")
        again = (instance.spawn,) if instance.spawn is not None and self.restart == "always" else ()
        return Steps(
            do=(Signal(process=process, signal="KILL", gone_is_fine=False),),
            undo=again,
            confirm=(CheckProcess(expect="gone", process=process),),
        )

    def does(self) -> str:
        if self.restart == "never":
            return "SIGKILL, not started again"
        return "SIGKILL; then a managed process is started again, any other is left to its own supervisor"
