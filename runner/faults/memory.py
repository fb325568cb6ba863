"""Memory: processes get no more of it, or the machine has less of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from runner.cgroups import HELD
from runner.errors import Refused
from runner.faults.cgroup import Setting, first_file, set_there
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import at_post, process_of, suited
from runner.operations.record import (
    Ballast,
    CheckCounter,
    CheckFile,
    CheckLimit,
    CheckMost,
    Holding,
    SetLimit,
    Spawn,
    WriteFile,
)
from runner.units import Size, written

_PAGE = 64 * 1024  # the largest page of any kernel that it may run on: cgroup limits are whole pages


class Memory(Fault, frozen=True, kw_only=True, tag="memory"):
    """Limit the memory of the process, or take memory from the whole machine. Exactly one of the two.

    *limit* by `prlimit`: its private data (RLIMIT_DATA): beyond it, allocations fail. By `cgroup`: the whole
    cgroup of its own (memory.max): beyond it, the kernel reclaims, then kills. `auto` takes prlimit.
    A managed process that dies of it is started again by the undo.
    Containers and pods are limited by their cgroup, never by less than they hold, shared memory, what is in tmpfs and
    the kernel's own for them included: the kernel would kill at once.
    Where they held more when the plan looked, they are slowed down at that limit (memory.high, version 2), or it is
    refused; where they hold more by the time it is to be set, it is not set.
    *ballast*: so much memory is held, every page touched, while the fault lasts; never so much that less than
    10 % of the machine's is left.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"process", "container", "pod"})
    property: ClassVar[str] = "memory"
    is_limit: ClassVar[bool] = True

    limit: Size | None = None
    ballast: Size | None = None
    by: Literal["auto", "prlimit", "cgroup"] = "auto"

    def __post_init__(self) -> None:
        if (self.limit is None) == (self.ballast is None):
            raise ValueError("give exactly one of limit and ballast, for example limit: 256MiB")
        if (self.limit or self.ballast or 0) < _PAGE:
            raise ValueError("the size is less than a page may be; write at least 64KiB")
        if self.ballast is not None and self.by != "auto":
            raise ValueError(f"by: {self.by} is for a limit; a ballast is held by Squall itself")

    def unsuited(self, platform: str) -> str:
        if platform == "process":
            return ""
        if self.ballast is not None:
            return f"ballast takes memory of the machine that Squall runs on; a {platform} can have a limit"
        if self.by == "prlimit":
            return f"by: prlimit is for a process; a {platform} has its cgroup: leave `by` out"
        return ""

    def compile(self, instance: Instance) -> Steps:
        if at_post(instance):
            suited(self, instance)
            return self._there(instance)
        process_of(instance, "memory")
        if self.ballast is not None:
            return Steps(do=(Ballast(size=self.ballast),), undo=(), expiry=True)
        return self._by_cgroup(instance) if self.by == "cgroup" else self._by_prlimit(instance)

    def does(self) -> str:
        if self.ballast is not None:
            return f"{written('size', self.ballast)} of the machine's memory are held"
        how = "its cgroup" if self.by == "cgroup" else "private data; of a container all it holds"
        return f"at most {written('size', self.limit or 0)} of memory ({how})"

    def _there(self, instance: Instance) -> Steps:
        name, limit = first_file(instance, tuple(HELD), "memory"), (self.limit or 0) // _PAGE * _PAGE
        before = instance.cgroup_files[name]
        if before != "max" and int(before) <= limit:
            raise Refused(
                f"{instance.name}: has a limit of {written('size', int(before))} already; write less than that"
            )
        if limit > instance.held:
            now = "memory.current" if name == "memory.max" else "memory.usage_in_bytes"
            kept = CheckMost(path=f"cgroup:/{now}", most=limit)
            held = Holding(path="cgroup:/memory.stat", of="memory", keys=HELD[name])
            return set_there(instance, (Setting(name, str(limit), before, held=held),), confirm=(kept,))
        if "memory.high" not in instance.cgroup_files:
            raise Refused(
                f"{instance.name}: holds {written('size', instance.held)} now, and its kernel would kill rather"
                f" than slow down: write a limit above that, not {written('size', limit)}"
            )
        slowed = CheckCounter(path="cgroup:/memory.events", keys=("high",))
        high = Setting("memory.high", str(limit), instance.cgroup_files["memory.high"])
        return set_there(instance, (high,), confirm=(slowed,))

    def _by_prlimit(self, instance: Instance) -> Steps:
        process, limit = process_of(instance, "memory"), self.limit or 0
        soft, hard = instance.limits.get("DATA", (-1, -1))
        if hard != -1 and limit > hard:
            raise Refused(
                f"{instance.name}: its hard limit is {written('size', hard)};"
                f" write a memory limit below it, not {written('size', limit)}"
            )
        return Steps(
            do=(SetLimit(process=process, resource="DATA", soft=limit, expect=soft, gone_is_fine=False),),
            undo=(SetLimit(process=process, resource="DATA", soft=soft, expect=limit), *_again(instance)),
            confirm=(CheckLimit(process=process, resource="DATA", soft=limit),),
        )

    def _by_cgroup(self, instance: Instance) -> Steps:
        name = next((name for name in HELD if name in instance.cgroup_files), None)
        if not instance.cgroup or name is None:
            raise Refused(
                f"{instance.name}: has no memory cgroup of its own that we may write; write by: prlimit"
            )
        path, before = f"{instance.cgroup}/{name}", instance.cgroup_files[name]
        value = str((self.limit or 0) // _PAGE * _PAGE)
        return Steps(
            do=(WriteFile(path=path, value=value, expect=before),),
            undo=(WriteFile(path=path, value=before, expect=value, gone_is_fine=True), *_again(instance)),
            confirm=(CheckFile(path=path, expect=value),),
        )


def _again(instance: Instance) -> tuple[Spawn, ...]:
    """Start a managed process that died of the limit; one that lives is left as it is."""
    return () if instance.spawn is None else (instance.spawn,)
