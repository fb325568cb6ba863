"""Pids: a container can start almost no more processes and threads."""

from __future__ import annotations

from typing import ClassVar

from runner.errors import Refused
from runner.faults.cgroup import Setting, first_file, set_there
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import suited
from runner.operations.record import CheckMost, Holding


class Pids(Fault, frozen=True, kw_only=True, tag="pids"):
    """Let it have *headroom* more processes and threads than it had when the plan looked; beyond that, EAGAIN.

    Where it has more than that when the fault begins, nothing is set.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "pids"
    is_limit: ClassVar[bool] = True

    headroom: int

    def __post_init__(self) -> None:
        if not 0 <= self.headroom <= 100_000:
            raise ValueError(f"headroom is {self.headroom}; it must lie between 0 and 100000")

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        file = first_file(instance, ("pids.max",), "pids")
        now, before = instance.cgroup_files.get("pids.current", ""), instance.cgroup_files[file]
        if not now:
            raise Refused(f"{instance.name}: how many processes it has cannot be seen there")
        most = int(now) + self.headroom
        if before != "max" and int(before) <= most:
            raise Refused(
                f"{instance.name}: may have {before} at most already, and has {now}; write less headroom"
            )
        kept = CheckMost(path="cgroup:/pids.current", most=most)
        held = Holding(path="cgroup:/pids.current", of="processes")
        return set_there(instance, (Setting(file, str(most), before, held=held),), confirm=(kept,))

    def does(self) -> str:
        return f"at most {self.headroom} processes and threads more than when the plan looked"
