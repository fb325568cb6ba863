"""Cpu: processes get only a share of the CPU they may use."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from runner.errors import Refused
from runner.faults.cgroup import Setting, first_file, set_there
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import at_post, process_of, suited
from runner.operations.record import (
    CheckCounter,
    CheckFile,
    CheckShare,
    Identity,
    Operation,
    Signal,
    Squeeze,
    WriteFile,
)
from runner.units import Share, written

_LEAST_QUOTA = 1000  # microseconds; the kernel refuses less
_OVERDRAWN = 100_000  # microseconds; every core may run on until its next tick, and pays for it later


class Cpu(Fault, frozen=True, kw_only=True, tag="cpu"):
    """Hold the process to *limit*, a share of the CPU it may use.

    *by* `cgroup`: the kernel's quota over all the cores it may use (a cgroup of its own that we may write).
    *by* `signals`: it runs that share of the time, by SIGSTOP and SIGCONT in turn; needs no privileges.
    `auto` takes the cgroup where there is one. Containers and pods always have one.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"process", "container", "pod"})
    property: ClassVar[str] = "cpu"
    is_limit: ClassVar[bool] = True

    limit: Share
    by: Literal["auto", "signals", "cgroup"] = "auto"

    def __post_init__(self) -> None:
        if not 0.01 <= self.limit < 1:
            raise ValueError(
                f"limit is {written('share', self.limit)}; it must be at least 1% and less than 100%"
                " (to stop a process altogether, use the kind pause)"
            )

    def unsuited(self, platform: str) -> str:
        if self.by == "signals" and platform != "process":
            return f"by: signals is for a process; a {platform} has its cgroup: leave `by` out"
        return ""

    def compile(self, instance: Instance) -> Steps:
        if at_post(instance):
            suited(self, instance)
            return self._there(instance)
        process = process_of(instance, "cpu")
        quota = _quota_file(instance)
        if self.by == "cgroup" and quota is None:
            raise Refused(f"{instance.name}: has no cgroup of its own that we may write; write by: signals")
        if self.by == "signals" or quota is None:
            return self._by_signals(process)
        return self._by_cgroup(instance, quota, process)

    def does(self) -> str:
        how = {"signals": " by SIGSTOP and SIGCONT in turn", "cgroup": " by cgroup quota"}.get(self.by, "")
        return f"at most {written('share', self.limit)} of the CPU it may use{how}"

    def _there(self, instance: Instance) -> Steps:
        """The quota of a container: it stands, somebody was held back, and nobody got more."""
        name = first_file(instance, ("cpu.max", "cpu.cfs_quota_us"), "cpu")
        quota, period = self._quota(instance, name)
        pace, burst = quota / period * 1e6, 2 * quota + _OVERDRAWN  # one is had late, and one early
        used = (
            CheckCounter(path="cgroup:/cpu.stat", keys=("usage_usec",), fastest=pace, burst=burst)
            if name == "cpu.max"
            else CheckCounter(path="cgroup:/cpuacct.usage", fastest=pace * 1e3, burst=burst * 1e3)
        )
        return set_there(
            instance,
            (Setting(name, _line(name, quota, period), instance.cgroup_files[name]),),
            confirm=(CheckCounter(path="cgroup:/cpu.stat", keys=("nr_throttled",)), used),
        )

    def _by_signals(self, process: Identity) -> Steps:
        return Steps(
            do=(Squeeze(processes=(process,), share=self.limit),),
            undo=(Signal(process=process, signal="CONT"),),
            confirm=(CheckShare(processes=(process,), most=self.limit, stops=True),),
        )

    def _by_cgroup(self, instance: Instance, name: str, process: Identity) -> Steps:
        path, before = f"{instance.cgroup}/{name}", instance.cgroup_files[name]
        quota, period = self._quota(instance, name)
        value, most = _line(name, quota, period), quota / period
        confirm: tuple[Operation, ...] = (CheckFile(path=path, expect=value),)
        if most < 1:  # a share of one CPU: what CheckShare can tell of a process with any number of threads
            confirm = (*confirm, CheckShare(processes=(process,), most=most))
        return Steps(
            do=(WriteFile(path=path, value=value, expect=before),),
            undo=(WriteFile(path=path, value=before, expect=value, gone_is_fine=True),),
            confirm=confirm,
        )

    def _quota(self, instance: Instance, name: str) -> tuple[int, int]:
        """Microseconds of CPU, and of the period in which they may be had."""
        files = instance.cgroup_files
        period = int(files[name].split()[1] if name == "cpu.max" else files["cpu.cfs_period_us"])
        return max(_LEAST_QUOTA, math.floor(self.limit * instance.cores * period)), period


def _line(name: str, quota: int, period: int) -> str:
    """A quota as that file takes it."""
    return f"{quota} {period}" if name == "cpu.max" else str(quota)


def _quota_file(instance: Instance) -> str | None:
    """The file of the instance's own cgroup that holds its CPU quota."""
    files = instance.cgroup_files
    if not instance.cgroup:
        return None
    if "cpu.max" in files:
        return "cpu.max"
    return "cpu.cfs_quota_us" if {"cpu.cfs_quota_us", "cpu.cfs_period_us"} <= set(files) else None
