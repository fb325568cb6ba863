"""Pause: processes stand still with all their connections open, as in a long garbage collection."""

from __future__ import annotations

from typing import ClassVar

from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import process_of
from runner.operations.record import CheckProcess, Signal


class Pause(Fault, frozen=True, kw_only=True, tag="pause"):
    """Stop the process by SIGSTOP; SIGCONT lets it go on."""

    platforms: ClassVar[frozenset[str]] = frozenset({"process"})
    property: ClassVar[str] = "cpu"  # a squeezed process is continued by its squeezer: one owner for both

    def compile(self, instance: Instance) -> Steps:
        process = process_of(instance, "pause")
        return Steps(
            do=(Signal(process=process, signal="STOP", gone_is_fine=False),),
            undo=(Signal(process=process, signal="CONT"),),
            confirm=(CheckProcess(expect="stopped", process=process),),
        )

    def does(self) -> str:
        return "SIGSTOP, then SIGCONT"
