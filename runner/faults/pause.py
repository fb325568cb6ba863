"""Pause: processes stand still with all their connections open, as in a long garbage collection."""

from __future__ import annotations

from typing import ClassVar

from runner.errors import Refused
from runner.faults.cgroup import Setting, first_file, set_there
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import at_post, process_of
from runner.operations.record import CheckFile, CheckProcess, Signal

_FREEZERS = ("freezer.state", "cgroup.freeze")
_WORDS = {"freezer.state": ("THAWED", "FROZEN"), "cgroup.freeze": ("0", "1")}


class Pause(Fault, frozen=True, kw_only=True, tag="pause"):
    """Stop the process by SIGSTOP; SIGCONT lets it go on. A container's or pod's container is frozen as a whole.

    By the freezer of its cgroup and a helper beside it, not by the engine's own `pause`: that has no end of its own
    when everything of Squall dies, and the engine would then show a paused container for ever. One that is frozen
    already (`docker pause`) is left to whom froze it.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"process", "container", "pod"})
    property: ClassVar[str] = "cpu"  # a squeezed process is continued by its squeezer: one owner for both

    def compile(self, instance: Instance) -> Steps:
        if at_post(instance):
            file = first_file(instance, _FREEZERS, "pause")
            runs, stands = _WORDS[file]
            if instance.cgroup_files[file] in (stands, "FREEZING"):
                raise Refused(
                    f"{instance.name}: is frozen already, by somebody who will thaw it: wait until it runs"
                )
            # Version 2 says in another file when the last one stands; version 1 in the same.
            reached = (CheckFile(path="cgroup:/cgroup.events", key="frozen", expect="1"),)
            return set_there(
                instance,
                (Setting(file, stands, runs),),
                confirm=reached if file == "cgroup.freeze" else (),
            )
        process = process_of(instance, "pause")
        return Steps(
            do=(Signal(process=process, signal="STOP", gone_is_fine=False),),
            undo=(Signal(process=process, signal="CONT"),),
            confirm=(CheckProcess(expect="stopped", process=process),),
        )

    def does(self) -> str:
        return "SIGSTOP, then SIGCONT; a container is frozen, then thawed"
