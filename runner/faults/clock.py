"""Clock: what cannot be done, said as such."""

from __future__ import annotations

from typing import ClassVar

from runner.errors import Refused
from runner.faults.record import Fault, Instance, Steps
from runner.units import Duration, written

WHY = (
    "no safe way to skew the clock of processes that run: the kernel has no clock of its own for a container's"
    " wall time, and rewriting the code of a live process leaves it broken when the writer dies"
)


class Clock(Fault, frozen=True, kw_only=True, tag="clock"):
    """Cannot be had: there is no safe way to skew the clock of a process that runs. Refused by the plan."""

    platforms: ClassVar[frozenset[str]] = frozenset({"process", "container", "pod"})
    property: ClassVar[str] = "clock"

    skew: Duration

    def unsuited(self, platform: str) -> str:
        return f"a {platform} cannot have it: {WHY}; start it with a library that shifts its clock"

    def compile(self, instance: Instance) -> Steps:
        raise Refused(f"{instance.name}: clock: {self.unsuited(instance.platform)}")

    def does(self) -> str:
        return f"nothing: a clock cannot safely be skewed by {written('duration', self.skew)}"
