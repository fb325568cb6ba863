"""Reads what stands around the pods that a run would hurt: disruption budgets, services, zones. Who may not read does without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.errors import OperationFailed
from runner.faults.record import Instance, Pod
from runner.places import Cluster
from runner.planning.blast import Budget, Front, Surroundings
from runner.remote.kubernetes import ApiError
from runner.remote.selectors import selector_text
from runner.targets.clients import client_of

_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_POLICIES = ("v1", "v1beta1")  # clusters before 1.21 have the second only


def survey(touched: Iterable[Instance], everyone: Iterable[Instance], warnings: list[str]) -> Surroundings:
    """Read budgets and services where those *touched* are, zones where *everyone* is; what may not be read: *warnings*."""
    pods = [body.pod for body in touched if body.pod is not None]
    spaces = {(pod.cluster.uid or pod.cluster, pod.namespace): pod for pod in pods if pod.namespace}.values()
    others = [body.pod for body in everyone if body.pod is not None and body.pod.uid]
    nodes = dict.fromkeys((pod.cluster, pod.node) for pod in (*pods, *others) if pod.node)
    return Surroundings(
        budgets=tuple(one for pod in spaces for one in _budgets(pod.cluster, pod.namespace, warnings)),
        fronts=tuple(one for pod in spaces for one in _fronts(pod, (*pods, *others), warnings)),
        zones={(cluster, node): zone for cluster, node in nodes if (zone := _zone(cluster, node))},
    )


def _budgets(cluster: Cluster, namespace: str, warnings: list[str]) -> list[Budget]:
    client = client_of(cluster)
    for version in _POLICIES:
        path = f"/apis/policy/{version}/namespaces/{namespace}/poddisruptionbudgets"
        try:
            found = client.get(path)["items"]
        except ApiError as error:
            if error.status == 404:
                continue
            if error.status == 403:
                warnings.append(f"the disruption budgets of namespace {namespace} may not be read")
                return []
            raise
        return [_budget(cluster, namespace, one) for one in found if one["spec"].get("selector") is not None]
    return []


def _budget(cluster: Cluster, namespace: str, one: dict[str, Any]) -> Budget:
    text = selector_text(one["spec"].get("selector") or {})
    pods = client_of(cluster).get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=text or None)["items"]
    status = one.get("status") or {}
    return Budget(
        name=one["metadata"]["name"],
        allowed=status.get("disruptionsAllowed", 0),
        desired=status.get("desiredHealthy", 0),
        healthy=status.get("currentHealthy", 0),
        pods=frozenset(pod["metadata"]["uid"] for pod in pods),
    )


def _fronts(beside: Pod, known: Iterable[Pod], warnings: list[str]) -> list[Front]:
    cluster, namespace = beside.cluster, beside.namespace
    try:
        found = client_of(cluster).get(f"/api/v1/namespaces/{namespace}/endpoints")["items"]
    except ApiError as error:
        if error.status != 403:
            raise
        warnings.append(f"the endpoints of namespace {namespace} may not be read")
        return []
    uids = {
        pod.name: pod.uid for pod in known if pod.namespace == namespace and not pod.cluster.differs(cluster)
    }
    return [
        Front(name=one["metadata"]["name"], pods=pods)
        for one in found
        if (
            pods := frozenset(
                _uid(address["targetRef"], uids)
                for subset in one.get("subsets") or ()
                for address in subset.get("addresses") or ()
                if (address.get("targetRef") or {}).get("kind") == "Pod"
            )
        )
    ]


def _uid(reference: dict[str, Any], uids: Mapping[str, str]) -> str:
    """Whom an endpoint means: what Kubernetes did not write itself may only say a name."""
    name = str(reference.get("name", ""))
    return str(reference.get("uid") or uids.get(name, name))


def _zone(cluster: Cluster, node: str) -> str:
    try:
        labels = client_of(cluster).get(f"/api/v1/nodes/{node}")["metadata"].get("labels") or {}
    except OperationFailed:
        return ""  # least privilege has no nodes; zones are an extra
    return next((labels[key] for key in _ZONES if key in labels), "")
