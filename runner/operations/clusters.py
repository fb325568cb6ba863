"""Calls about one object of a cluster: only to the one that is meant, only from the value expected, verified by reading."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

from runner import clock
from runner.errors import NothingDone
from runner.operations.cluster_objects import grace_of, object_of, path_of, property_of, same_taint, taint_in
from runner.operations.record import KubeCall, Reading
from runner.operations.waiting import pause
from runner.remote.kubernetes import ApiError, ClusterClient

VERIFIED = 5.0  # seconds for a deleted pod to be gone
LOOK = 0.1  # seconds between two looks
TRIES = 5  # of a write that others were quicker than
STAMP = "kubectl.kubernetes.io/restartedAt"  # what `kubectl rollout restart` writes
CONFLICT, TOO_MANY = 409, 429

Evicted = Literal["evicted", "gone", "refused"]


def perform_kube_call(operation: KubeCall) -> Reading:
    """Make the call unless its effect is there already. Raises OperationFailed, NothingDone where a strict one must not."""
    client = ClusterClient(operation.cluster)
    if operation.verb in ("delete-pod", "evict-pod"):
        return _end_pod(client, operation)
    for _ in range(TRIES):
        there = object_of(client, operation, scale=operation.verb == "scale")
        if there is None:
            return Reading(ok=operation.gone_is_fine, evidence=f"{_named(operation)} is gone")
        reading = _changed(client, operation, there)
        if reading is not None:
            return reading
        pause(LOOK)
    return Reading(ok=False, evidence=f"{_named(operation)}: others kept changing it; nothing was written")


def evict(client: ClusterClient, namespace: str, name: str, uid: str = "") -> tuple[Evicted, str]:
    """Ask that a pod be evicted: what came of it, and the cluster's words where its budget forbids it."""
    body: dict[str, Any] = {"kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    if uid:
        body["deleteOptions"] = {"preconditions": {"uid": uid}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    for version in ("policy/v1", "policy/v1beta1"):  # the first since 1.22
        try:
            client.post(path, {"apiVersion": version, **body})
        except ApiError as error:
            if error.status == TOO_MANY:
                return "refused", str(error)
            if error.status == CONFLICT and uid and _is_gone(client, namespace, name, uid):
                return "gone", ""
            if version == "policy/v1" and _speaks_not(error):
                continue
            if error.status == 404:
                return "gone", ""
            raise
        return "evicted", ""
    return "gone", ""


def _end_pod(client: ClusterClient, operation: KubeCall) -> Reading:
    """Order its end, only of the uid that is meant; then read that it is so."""
    where = (operation.namespace, operation.name, operation.uid)
    if operation.verb == "evict-pod":
        came, words = evict(client, *where)
        if came == "refused":
            return Reading(ok=False, evidence=f"{_named(operation)} may not be evicted: {words}")
    else:
        preconditions = {"preconditions": {"uid": operation.uid}} if operation.uid else {}
        try:
            client.delete(path_of(operation), {"gracePeriodSeconds": 0, **preconditions})
        except ApiError as error:
            if error.status not in (404, CONFLICT):  # gone, or another one bears its name now
                raise
    until = clock.now() + VERIFIED
    while True:
        there = object_of(client, operation)
        if there is None:
            return Reading(evidence=f"{_named(operation)} is gone")
        grace = grace_of(there)
        if grace is not None and (operation.verb == "evict-pod" or not grace):
            return Reading(evidence=f"{_named(operation)} is ending, with {grace:g} s of grace")
        if clock.now() >= until:
            return Reading(ok=False, evidence=f"{_named(operation)} is there, and nobody ends it")
        pause(LOOK)


def _is_gone(client: ClusterClient, namespace: str, name: str, uid: str) -> bool:
    try:
        pod = client.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    except ApiError as error:
        if error.status == 404:
            return True
        raise
    return bool(uid) and pod["metadata"]["uid"] != uid


def _changed(client: ClusterClient, operation: KubeCall, there: dict[str, Any]) -> Reading | None:
    """Write where the expected value stands; None where somebody was quicker and it has to be read again."""
    if operation.verb == "restart":
        change, wanted = _stamp(operation), operation.value
    elif operation.verb == "taint":
        return _taint(client, operation, there)
    else:
        now = property_of(operation.verb, there)
        if now == operation.value:
            return _so_already(operation, f"{operation.verb} reads {now} already")
        if operation.expect is not None and now != operation.expect:
            return _foreign(operation, now)
        wanted = operation.value
        spec = {"replicas": int(wanted)} if operation.verb == "scale" else {"unschedulable": wanted == "true"}
        change = {"spec": spec}
    after = _write(client, operation, there, change)
    if after is None:
        return None
    now = property_of(operation.verb, after)
    return Reading(
        ok=not wanted or now == wanted, evidence=f"{_named(operation)}: {operation.verb} reads {now}"
    )


def _taint(client: ClusterClient, operation: KubeCall, there: dict[str, Any]) -> Reading | None:
    """Add or take away one taint. One of the same key and effect but another value is somebody else's."""
    ours = json.loads(operation.value or operation.expect or "{}")
    taints = there["spec"].get("taints") or []
    now = taint_in(there, ours)
    if now is not None and now.get("value", "") != ours.get("value", ""):
        return _foreign(operation, json.dumps(now))
    if (now is not None) == bool(operation.value):
        return _so_already(operation, "its taints are so already")
    kept = [taint for taint in taints if not same_taint(taint, ours)]
    after = _write(client, operation, there, {"spec": {"taints": [*kept, ours] if operation.value else kept}})
    if after is None:
        return None
    ok = (taint_in(after, ours) is not None) == bool(operation.value)
    return Reading(
        ok=ok, evidence=f"{_named(operation)}: its taints are {json.dumps(after['spec'].get('taints') or [])}"
    )


def _write(
    client: ClusterClient, operation: KubeCall, there: dict[str, Any], change: dict[str, Any]
) -> dict[str, Any] | None:
    """Patch exactly what was read; None where it is another by now."""
    version = {"resourceVersion": there["metadata"]["resourceVersion"]}
    path = path_of(operation) + ("/scale" if operation.verb == "scale" else "")
    try:
        after: dict[str, Any] = client.patch(path, {"metadata": version, **change})
    except ApiError as error:
        if error.status == CONFLICT:
            return None
        raise
    return after


def _stamp(operation: KubeCall) -> dict[str, Any]:
    stamp = operation.value or datetime.now(UTC).isoformat(timespec="seconds")
    return {"spec": {"template": {"metadata": {"annotations": {STAMP: stamp}}}}}


def _speaks_not(error: ApiError) -> bool:
    """Say whether a server refused the version, not the pod."""
    return error.status in (400, 404, 415, 422) and "pods" not in str(error).rpartition(", ")[2]


def _so_already(operation: KubeCall, seen: str) -> Reading:
    """What was to be is there: fine for an undo. Raises NothingDone for a strict call, which would not own it."""
    if operation.strict:
        raise NothingDone(f"{_named(operation)}: {seen}: somebody else did that; left alone")
    return Reading(evidence=f"{_named(operation)}: {seen}")


def _foreign(operation: KubeCall, now: str) -> Reading:
    """Leave alone what somebody else changed. Raises NothingDone for a strict call."""
    expected = f", not {operation.expect} as expected" if operation.expect is not None else ""
    evidence = (
        f"{_named(operation)}: {operation.verb} reads {now}{expected}:"
        f" somebody else changed it; left alone, {operation.value or 'none'} was wanted"
    )
    if operation.strict:
        raise NothingDone(evidence)
    return Reading(ok=False, evidence=evidence)


def _named(operation: KubeCall) -> str:
    return f"{operation.kind} {operation.namespace and operation.namespace + '/'}{operation.name}"
