"""Indicators of processes: memory, CPU, threads and open files of each instance of a target."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

import psutil

from runner.clock import lease_now
from runner.errors import OperationFailed, ProbeFailed
from runner.faults.record import Instance
from runner.indicators.available import Available
from runner.indicators.elsewhere import Elsewhere
from runner.indicators.probe import Reading
from runner.indicators.restarts import Restarts
from runner.operations.record import Identity
from runner.processes import identify, state_of
from runner.scenario import Indicator
from runner.targets.cgroups import quota
from runner.targets.family import family

_GAUGES: dict[str, Callable[[psutil.Process], float]] = {
    "rss": lambda process: process.memory_info().rss,
    "threads": lambda process: process.num_threads(),
    "fds": lambda process: process.num_fds(),
}
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class ProcessProbe:
    """Reads one measure of a target's processes, asking each time who they are now.

    One reading for each instance: its process and that process's descendants together. `cpu` is the share of the cores
    that it may use. An instance that has ended gives an error.
    """

    def __init__(self, indicator: Indicator, instances: Callable[[str], Sequence[Instance]]) -> None:
        self._target = indicator.target
        self._instances = instances
        self._measure = _Cpu() if indicator.measure == "cpu" else _Gauge(_GAUGES[indicator.measure])
        self._elsewhere = Elsewhere(indicator.measure)

    def read(self) -> list[Reading]:
        """Read now. Raises ProbeFailed where no process of the target lives."""
        everyone = self._instances(self._target)
        if elsewhere := [each for each in everyone if each.container or each.pod is not None]:
            return self._elsewhere.read(elsewhere)
        living = [each for each in everyone if each.process is not None]
        if not living:
            raise ProbeFailed(f"{self._target}: none of its processes runs")
        return self._measure.read(_members(living))

    def close(self) -> None:
        """Nothing is held."""


class LifeProbe:
    """Reads what the lives of a target's instances are: how often they began anew, how many of them can be used."""

    def __init__(self, indicator: Indicator, instances: Callable[[str], Sequence[Instance]]) -> None:
        self._target, self._instances = indicator.target, instances
        self._measure = Restarts() if indicator.measure == "restarts" else Available()

    def read(self) -> list[Reading]:
        """Read now. Raises ProbeFailed where nobody is known."""
        try:
            return self._measure.read(self._instances(self._target))
        except OperationFailed as error:  # nobody of the target runs, or nobody could be asked
            if self._measure.known:
                return self._measure.read(())
            raise ProbeFailed(f"{self._target}: {error}") from error

    def close(self) -> None:
        """Nothing is held."""


class _Gauge:
    def __init__(self, measure: Callable[[psutil.Process], float]) -> None:
        self._measure = measure

    def read(self, members: dict[str, list[psutil.Process]]) -> list[Reading]:
        return [self._instance(name, processes) for name, processes in members.items()]

    def _instance(self, name: str, processes: list[psutil.Process]) -> Reading:
        if not processes:
            return Reading(instance=name, error=f"{name} ended")
        try:
            return Reading(instance=name, value=float(sum(self._measure(process) for process in processes)))
        except psutil.NoSuchProcess:
            return Reading(instance=name, error=f"{name} ended")
        except psutil.AccessDenied:
            return Reading(instance=name, error=f"{name} may not be read: run Squall as its user")


class _Cpu:
    """CPU time since the last reading, as a share of the cores that may be used; the first reading gives none."""

    def __init__(self) -> None:
        self._spent: dict[Identity, float] = {}
        self._read_at: float | None = None  # seconds since boot, as the starts of processes are

    def read(self, members: dict[str, list[psutil.Process]]) -> list[Reading]:
        since, self._read_at = self._read_at, lease_now()
        before = self._spent
        spent = {name: _spent(processes) for name, processes in members.items()}
        self._spent = {process: seconds for each in spent.values() for process, seconds in each.items()}
        if since is None:
            return []
        return [self._instance(name, spent[name], before, since) for name in members]

    def _instance(
        self, name: str, spent: dict[Identity, float], before: dict[Identity, float], since: float
    ) -> Reading:
        if not spent:
            return Reading(instance=name, error=f"{name} ended")
        elapsed = (self._read_at or since) - since
        head = next(iter(spent))
        return Reading(instance=name, value=_used(spent, before, since) / elapsed / _cores(head.pid))


def _used(spent: dict[Identity, float], before: dict[Identity, float], since: float) -> float:
    """Seconds of CPU since *since*: of a process not seen then, all of it where it was born after, else nothing."""
    return sum(
        seconds - before.get(process, 0.0 if process.started * _TICK >= since - _TICK else seconds)
        for process, seconds in spent.items()
    )


def _spent(processes: list[psutil.Process]) -> dict[Identity, float]:
    found = {}
    for process in processes:
        identity = identify(process.pid)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            if identity is not None:
                found[identity] = times.user + times.system
    return found


def _cores(pid: int) -> float:
    """The cores that a process may use: its CPUs, or less by its cgroups."""
    try:
        return max(0.001, min(float(len(os.sched_getaffinity(pid))), quota(pid)))
    except OSError:  # it ended meanwhile
        return 1.0


def _members(instances: Sequence[Instance]) -> dict[str, list[psutil.Process]]:
    """The processes of each instance, its own first; a child that is an instance itself is counted once."""
    heads = {each.process.pid for each in instances if each.process is not None}
    members: dict[str, list[psutil.Process]] = {}
    for each in instances:
        if each.process is None:
            continue
        head = each.process.pid
        own = [head, *sorted(family(head) - heads)] if state_of(each.process) else []
        members[each.name] = [process for pid in own if (process := _process(pid))]
    return members


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
