"""Which share of the replicas that a workload wants can be used, as its cluster says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import OperationFailed, ProbeFailed
from runner.faults.record import Instance, Pod
from runner.indicators.probe import Reading
from runner.remote.kubernetes import ClusterClient

_PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}


class Available:
    """Asks for the workloads of all pods ever seen, so that one without any pod left is still told of."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}  # by the uid of the workload, which no other ever has

    @property
    def known(self) -> bool:
        """Whether it has seen anybody yet."""
        return bool(self._pods)

    def read(self, instances: Sequence[Instance]) -> list[Reading]:
        """One reading for each workload. Raises ProbeFailed where none is known."""
        self._pods |= {
            each.pod.workload_uid: each.pod for each in instances if each.pod and each.pod.workload_uid
        }
        if not self._pods:
            raise ProbeFailed(
                "no workload is known: its pods are not there, nothing owns them, or that may not be read"
            )
        return [_reading(pod) for pod in self._pods.values()]


def _reading(pod: Pod) -> Reading:
    kind, _, name = pod.workload.partition("/")
    path = f"/apis/apps/v1/namespaces/{pod.namespace}/{_PLURALS[kind]}/{name}"
    try:
        told = ClusterClient(pod.cluster).get(path)
    except OperationFailed as error:
        return Reading(instance=pod.workload, error=str(error))
    if told["metadata"]["uid"] != pod.workload_uid:
        return Reading(instance=pod.workload, error=f"{pod.workload} is another one now")
    if told["status"].get("observedGeneration", 0) < told["metadata"].get("generation", 0):
        return Reading(
            instance=pod.workload, error=f"{pod.workload}: its status is of before the last change"
        )
    wanted, available = _numbers(told)
    if not wanted:
        return Reading(instance=pod.workload, error=f"{pod.workload} wants no replicas")
    return Reading(instance=pod.workload, value=available / wanted)


def _numbers(told: dict[str, Any]) -> tuple[int, int]:
    """Wanted and available; a daemon set has its own words."""
    status = told["status"]
    if "desiredNumberScheduled" in status:
        return int(status["desiredNumberScheduled"]), int(status.get("numberAvailable", 0))
    return int(told["spec"].get("replicas", 1)), int(status.get("availableReplicas", 0))
