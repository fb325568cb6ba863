"""Objects of a cluster as they read now, and what of them is as expected."""

from __future__ import annotations

import json
from typing import Any

from runner.operations.record import CheckKube, KubeCall, Reading
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.remote.selectors import selector_text

_PLURALS = {
    "deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets",
}  # fmt: skip


def path_of(meant: KubeCall | CheckKube) -> str:
    """Where the API has an object."""
    match meant.kind:
        case "node":
            return f"/api/v1/nodes/{meant.name}"
        case "pod":
            return f"/api/v1/namespaces/{meant.namespace}/pods/{meant.name}"
        case kind:
            return f"/apis/apps/v1/namespaces/{meant.namespace}/{_PLURALS[kind]}/{meant.name}"


def object_of(
    client: ClusterClient, meant: KubeCall | CheckKube, *, scale: bool = False
) -> dict[str, Any] | None:
    """Read the object that is meant, or its scale; None where it is gone, though another may bear its name."""
    try:
        there: dict[str, Any] = client.get(path_of(meant) + ("/scale" if scale else ""))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return None if meant.uid and there["metadata"]["uid"] != meant.uid else there


def perform_check_kube(operation: CheckKube) -> Reading:
    """Read the object and compare."""
    named, client = f"{operation.kind} {operation.name}", ClusterClient(operation.cluster)
    there = object_of(client, operation, scale=operation.expect == "scale")
    if there is None:
        return Reading(ok=operation.expect in ("gone", "ending"), evidence=f"{named} is gone")
    match operation.expect:
        case "gone" | "ending":
            grace = grace_of(there)
            if grace is None:
                return Reading(ok=False, evidence=f"{named} is there")
            ok = operation.expect == "ending" or not grace
            return Reading(ok=ok, evidence=f"{named} is ending, with {grace:g} s of grace")
        case "ready":
            ok, seen = _ready(operation.kind, there)
            return Reading(ok=ok, evidence=f"{named}: {seen}")
        case "back":
            count, wanted = ready_replicas(operation.kind, there), _wanted(operation.kind, there)
            needed = min(int(operation.value), wanted)
            if count >= needed:  # or so the controller says, which counts a pod for some time after its end
                count = min(count, _ready_pods(client, operation.namespace, there))
            return Reading(
                ok=count >= needed,
                evidence=f"{named}: {count} of {wanted} replicas ready, {operation.value} were",
            )
        case "taint":
            ours = json.loads(operation.value)
            now = taint_in(there, ours)
            ok = now is not None and now.get("value", "") == ours.get("value", "")
            return Reading(ok=ok, evidence=f"{named} is {'' if ok else 'not '}tainted with {operation.value}")
        case name:
            seen = property_of(name, there)
            return Reading(ok=seen == operation.value, evidence=f"{named}: {name} reads {seen}")


def grace_of(there: dict[str, Any]) -> float | None:
    """How many seconds what is being deleted has left; without any, only its finalizers keep the object. None: it stays."""
    meta = there["metadata"]
    return float(meta.get("deletionGracePeriodSeconds") or 0) if meta.get("deletionTimestamp") else None


def property_of(name: str, there: dict[str, Any]) -> str:
    """Read a property as KubeCall writes it."""
    match name:
        case "scale":
            return str(there["spec"].get("replicas", 0))  # of a Scale, which leaves a zero out
        case "cordon":
            return str(bool(there["spec"].get("unschedulable"))).lower()
        case _:
            annotations = there["spec"]["template"]["metadata"].get("annotations") or {}
            return str(annotations.get("kubectl.kubernetes.io/restartedAt", ""))


def ready_replicas(kind: str, there: dict[str, Any]) -> int:
    """How many pods of a workload are ready, as its controller counts them."""
    status = there.get("status", {})
    return int(status.get("numberReady" if kind == "daemonset" else "readyReplicas", 0))


def _ready_pods(client: ClusterClient, namespace: str, workload: dict[str, Any]) -> int:
    """How many pods that a workload selects are ready now, and stay."""
    found = client.get(
        f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector_text(workload["spec"]["selector"])
    )
    return sum(_is_ready(pod) and grace_of(pod) is None for pod in found["items"])


def _is_ready(there: dict[str, Any]) -> bool:
    conditions = there.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _wanted(kind: str, there: dict[str, Any]) -> int:
    """How many pods of a workload there are to be by now: somebody may have scaled it meanwhile."""
    if kind == "daemonset":
        return int(there.get("status", {}).get("desiredNumberScheduled", 0))
    return int(there["spec"].get("replicas", 1))


def taint_in(node: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any] | None:
    """Find the taint of the same key and effect; a node has at most one."""
    taints = node["spec"].get("taints") or []
    return next((taint for taint in taints if same_taint(taint, ours)), None)


def same_taint(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether two are of the same key and effect."""
    return (one.get("key"), one.get("effect")) == (other.get("key"), other.get("effect"))


def _ready(kind: str, there: dict[str, Any]) -> tuple[bool, str]:
    status = there.get("status", {})
    if kind in ("pod", "node"):
        ready = _is_ready(there)
        return ready, "ready" if ready else f"not ready ({status.get('phase', 'its node says so')})"
    updated = status.get("updatedNumberScheduled" if kind == "daemonset" else "updatedReplicas", 0)
    wanted, ready_ones = _wanted(kind, there), ready_replicas(kind, there)
    seen_by_controller = status.get("observedGeneration", 0) >= there["metadata"].get("generation", 0)
    total = status.get("replicas", ready_ones)
    ready = seen_by_controller and updated == ready_ones == wanted and total in (wanted, ready_ones)
    return ready, f"{ready_ones} of {wanted} replicas ready, {updated} of the newest template"
