"""Measures of containers and pods, as the engine and the kubelet tell them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runner.errors import OperationFailed
from runner.faults.record import Instance, Pod
from runner.indicators.probe import Reading
from runner.remote.docker import EngineClient
from runner.remote.kubernetes import ClusterClient


class Elsewhere:
    """Reads one measure of containers and pods. `cpu` is the share of the cores that each may use.

    Of pods, the kubelet's summary is read through the API server: that needs `get` on nodes/proxy.
    """

    def __init__(self, measure: str) -> None:
        self._measure = measure
        self._spent: dict[str, tuple[float, float]] = {}  # container -> its and the machine's CPU time

    def read(self, instances: Sequence[Instance]) -> list[Reading]:
        """One reading for each instance; the first of `cpu` gives none for containers."""
        summaries: dict[tuple[object, str], Any] = {}
        readings = [self._reading(each, summaries) for each in instances]
        return [reading for reading in readings if reading is not None]

    def _reading(self, instance: Instance, summaries: dict[tuple[object, str], Any]) -> Reading | None:
        try:
            if instance.pod is not None:
                value = _of_pod(instance.pod, summaries).get(self._measure)
            else:
                value = self._of_container(instance)
                if value is None and self._measure == "cpu":
                    return None
        except OperationFailed as error:
            return Reading(instance=instance.name, error=str(error))
        if value is None:
            return Reading(instance=instance.name, error=f"{instance.name}: its {self._measure} is not told")
        return Reading(
            instance=instance.name, value=value / instance.cores if self._measure == "cpu" else value
        )

    def _of_container(self, instance: Instance) -> float | None:
        if instance.engine is None:
            raise OperationFailed(f"{instance.name}: no engine is known for it")
        path, once = f"/containers/{instance.container}/stats", {"stream": "false", "one-shot": "true"}
        stats = EngineClient(instance.engine).get(path, **once)
        memory = (stats.get("memory_stats") or {}).get("stats") or {}
        match self._measure:
            case "rss":
                return _number(memory.get("total_rss", memory.get("anon")))  # cgroup v1, v2
            case "threads":
                return _number((stats.get("pids_stats") or {}).get("current"))
            case "cpu":
                return self._cores_used(instance.container, stats.get("cpu_stats") or {})
        return None

    def _cores_used(self, container: str, stats: dict[str, Any]) -> float | None:
        now = (float(stats["cpu_usage"]["total_usage"]), float(stats.get("system_cpu_usage", 0.0)))
        before, self._spent[container] = self._spent.get(container), now
        if before is None or now[1] <= before[1]:
            return None
        return (now[0] - before[0]) / (now[1] - before[1]) * float(stats.get("online_cpus", 1))


def _number(told: object) -> float | None:
    return float(told) if isinstance(told, int | float) else None


def _of_pod(pod: Pod, summaries: dict[tuple[object, str], Any]) -> dict[str, float | None]:
    key = (pod.cluster, pod.node)
    if key not in summaries:
        summaries[key] = ClusterClient(pod.cluster).get(f"/api/v1/nodes/{pod.node}/proxy/stats/summary")
    for each in summaries[key].get("pods", ()):
        if each.get("podRef", {}).get("uid") == pod.uid:
            parts = each.get("containers", ())
            return {
                "rss": _sum(part.get("memory", {}).get("rssBytes") for part in parts),
                "cpu": _sum((part.get("cpu", {}).get("usageNanoCores") for part in parts), scale=1e-9),
                "threads": _number(each.get("process_stats", {}).get("process_count")) or None,
            }
    raise OperationFailed(f"{pod.name}: the kubelet of {pod.node} does not know it (yet)")


def _sum(told: Iterable[object], scale: float = 1.0) -> float | None:
    numbers = [number for each in told if (number := _number(each)) is not None]
    return sum(numbers) * scale if numbers else None
