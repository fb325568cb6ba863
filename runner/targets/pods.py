"""Which running pods, or which nodes, of a cluster a target means, and what owns them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from runner.errors import NobodyThere, Refused
from runner.faults.record import Instance, Pod
from runner.operations.cluster_objects import ready_replicas
from runner.operations.draining import evictable
from runner.places import Post
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.remote.selectors import selector_text
from runner.scenario import Helper, TargetSpec
from runner.targets.clients import client_of
from runner.targets.containers import HELPER_LABEL
from runner.targets.names import where
from runner.targets.rollouts import replaces_nobody, unavailable

PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
_KINDS = {"Deployment": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset"}


def resolve(spec: TargetSpec, helper: Helper | None = None) -> list[Instance]:
    """Find the running pods (or the nodes), in order of creation, then name. Raises Refused where there is none.

    ApiError is raised where the cluster does not answer, or does not let us look.
    """
    assert spec.kubernetes is not None
    client = client_of(spec.kubernetes.cluster)
    if spec.kubernetes.nodes:
        return _nodes(client, spec, helper or Helper())
    owners = _Owners(client, spec.kubernetes.namespace)
    found = _selected(client, spec, owners)
    running = [(pod, container) for pod in found if (container := _running(pod, spec.kubernetes.container))]
    if not running:
        raise NobodyThere(_nobody(spec, found))
    running.sort(key=lambda each: (each[0]["metadata"]["creationTimestamp"], each[0]["metadata"]["name"]))
    return [
        _instance(spec, index, pod, container, owners=owners, helper=helper or Helper())
        for index, (pod, container) in enumerate(running)
    ]


@dataclass(frozen=True, slots=True)
class _Owner:
    """What makes a pod: a workload, as `deployment/web` and its object; or *denied*, what it takes to know that."""

    workload: str = ""
    made: dict[str, Any] = field(default_factory=dict)
    denied: ApiError | None = None


class _Owners:
    """What owns pods: read once for each owner."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client, self._path = client, f"/apis/apps/v1/namespaces/{namespace}"
        self._known: dict[str, _Owner] = {}

    def workload(self, kind: str, name: str) -> dict[str, Any]:
        """Read a workload. Raises ApiError."""
        found: dict[str, Any] = self._client.get(f"{self._path}/{PLURALS[kind]}/{name}")
        self._known[found["metadata"]["uid"]] = _Owner(f"{kind}/{name}", found)
        return found

    def of(self, pod: dict[str, Any]) -> _Owner:
        """Say what makes this pod. Raises ApiError where the cluster does not answer."""
        owner = _controller(pod)
        if owner is None:
            return _Owner()
        if owner["uid"] not in self._known:
            self._known[owner["uid"]] = self._find(owner)
        return self._known[owner["uid"]]

    def _find(self, owner: dict[str, Any]) -> _Owner:
        try:
            if owner["kind"] == "ReplicaSet":
                made = self._client.get(f"{self._path}/replicasets/{owner['name']}")
                above = _controller(made) if made["metadata"]["uid"] == owner["uid"] else None
                return self._find(above) if above is not None else _Owner()
            kind = _KINDS.get(owner["kind"])
            if kind is not None and owner["uid"] not in self._known:
                self.workload(kind, owner["name"])
            return self._known.get(owner["uid"], _Owner())  # one made anew by its name owns other pods
        except ApiError as error:
            if error.status == 404:
                return _Owner()
            if error.status == 403:
                return _Owner(denied=error)
            raise


def _controller(made: dict[str, Any]) -> dict[str, Any] | None:
    owners = made["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _selected(client: ClusterClient, spec: TargetSpec, owners: _Owners) -> list[dict[str, Any]]:
    wanted = spec.kubernetes
    assert wanted is not None
    path = f"/api/v1/namespaces/{wanted.namespace}/pods"
    if not wanted.workload:
        return _foreign(client.get(path, labelSelector=wanted.selector)["items"])
    kind, _, name = wanted.workload.partition("/")
    try:
        workload = owners.workload(kind, name)
    except ApiError as error:
        if error.status == 404:
            raise Refused(
                f"{where(spec)}.kubernetes: no {kind} is called {name} in namespace {wanted.namespace};"
                " correct the name or the namespace"
            ) from None
        raise
    found = _foreign(client.get(path, labelSelector=selector_text(workload["spec"]["selector"]))["items"])
    denied = next((owners.of(pod).denied for pod in found if owners.of(pod).denied), None)
    if denied is not None and kind == "deployment":
        raise denied  # it may be one of them; those of other kinds name their owner themselves
    uid = workload["metadata"]["uid"]
    return [pod for pod in found if owners.of(pod).made.get("metadata", {}).get("uid") == uid]


def ended(pod: Pod) -> str:
    """Say how a pod has ended; empty while it lasts: its network outlives its containers. Raises OperationFailed."""
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
    try:
        found = ClusterClient(pod.cluster).get(path)
    except ApiError as error:
        if error.status == 404:
            return f"pod {pod.name} is gone"
        raise
    if found["metadata"]["uid"] != pod.uid:
        return f"pod {pod.name} is another one"
    return f"pod {pod.name} has ended" if found["status"].get("phase") in ("Failed", "Succeeded") else ""


def _foreign(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pod for pod in pods if HELPER_LABEL not in (pod["metadata"].get("labels") or {})]


def _running(pod: dict[str, Any], container: str) -> dict[str, Any] | None:
    """The status of the container that is meant, where it and its pod run."""
    if pod["status"].get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return None
    wanted = container or pod["spec"]["containers"][0]["name"]
    for status in pod["status"].get("containerStatuses") or ():
        if status["name"] == wanted and "running" in (status.get("state") or {}):
            found: dict[str, Any] = status
            return found
    return None


def _nobody(spec: TargetSpec, found: list[dict[str, Any]]) -> str:
    wanted = spec.kubernetes
    assert wanted is not None
    what = wanted.workload or f"the selector {wanted.selector}"
    head = f"{where(spec)}.kubernetes: no pod of {what} runs in namespace {wanted.namespace}"
    if not found:
        return f"{head}: there is none; correct the selection or the namespace, or start them"
    if wanted.container and all(
        wanted.container not in [one["name"] for one in pod["spec"]["containers"]] for pod in found
    ):
        names = ", ".join(one["name"] for one in found[0]["spec"]["containers"])
        return f"{head} with a container {wanted.container}; they have {names}"
    states = ", ".join(f"{pod['metadata']['name']} is {_state(pod)}" for pod in found[:6])
    return f"{head}: {states}; see why with kubectl describe pod"


def _state(pod: dict[str, Any]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "being deleted"
    for status in pod["status"].get("containerStatuses") or ():
        if reason := (status.get("state") or {}).get("waiting", {}).get("reason"):
            return str(reason)
    return str(pod["status"].get("phase", "unknown"))


def _instance(
    spec: TargetSpec,
    index: int,
    pod: dict[str, Any],
    status: dict[str, Any],
    *,
    owners: _Owners,
    helper: Helper,
) -> Instance:
    assert spec.kubernetes is not None
    cluster, meta = spec.kubernetes.cluster, pod["metadata"]
    owner = owners.of(pod)
    kind, made = owner.workload.partition("/")[0], owner.made
    identity, node = str(status.get("containerID", "")).rpartition("//")[2], pod["spec"].get("nodeName", "")
    return Instance(
        target=spec.name,
        name=f"{spec.name}.{index}",
        known_as=meta["name"],
        platform="pod",
        address=pod["status"].get("podIP", ""),
        ready=_ready(pod),
        created=meta["creationTimestamp"],
        container=identity,
        started=status["state"]["running"].get("startedAt", ""),
        pod=Pod(
            cluster=cluster,
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            node=node,
            evictable=evictable(pod),
            tolerations=json.dumps(pod["spec"].get("tolerations") or [], sort_keys=True),
            workload=owner.workload,
            workload_uid=made.get("metadata", {}).get("uid", ""),
            workload_unread=str(owner.denied or ""),
            replicas=made.get("spec", {}).get("replicas") or 0,
            ready_replicas=ready_replicas(kind, made),
            unavailable=unavailable(kind, made),
            replaces_nobody=replaces_nobody(kind, made),
        ),
        post=_post(spec, helper, container=identity, node=node, pod=meta["uid"]),
        reverter=_reverter(spec, helper),
        lease=helper.lease,
        shared_network="the node" if pod["spec"].get("hostNetwork") else "",
    )


def _ready(made: dict[str, Any]) -> bool:
    conditions = made["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _nodes(client: ClusterClient, spec: TargetSpec, helper: Helper) -> list[Instance]:
    wanted = spec.kubernetes
    assert wanted is not None
    selector = None if wanted.nodes == "*" else wanted.nodes
    found: list[dict[str, Any]] = client.get("/api/v1/nodes", labelSelector=selector)["items"]
    if not found:
        raise Refused(
            f"{where(spec)}.kubernetes: no node has {wanted.nodes}; label one, or correct the selector"
        )
    found.sort(key=lambda node: (node["metadata"]["creationTimestamp"], node["metadata"]["name"]))
    return [
        Instance(
            target=spec.name,
            name=f"{spec.name}.{index}",
            known_as=node["metadata"]["name"],
            platform="node",
            ready=_ready(node) and not node["spec"].get("unschedulable"),
            created=node["metadata"]["creationTimestamp"],
            pod=Pod(
                cluster=wanted.cluster,
                node=node["metadata"]["name"],
                node_uid=node["metadata"]["uid"],
                unschedulable=bool(node["spec"].get("unschedulable")),
                taints=json.dumps(node["spec"].get("taints") or [], sort_keys=True),
            ),
            post=_post(spec, helper, container="", node=node["metadata"]["name"]),
            reverter=_reverter(spec, helper),
            lease=helper.lease,
        )
        for index, node in enumerate(found)
    ]


def _post(spec: TargetSpec, helper: Helper, *, container: str, node: str, pod: str = "") -> Post | None:
    assert spec.kubernetes is not None
    if not helper.image:
        return None
    return Post(
        cluster=spec.kubernetes.cluster,
        image=helper.image,
        container=container,
        namespace=helper.namespace,
        node=node,
        pod=pod,
    )


def _reverter(spec: TargetSpec, helper: Helper) -> Post | None:
    assert spec.kubernetes is not None
    if not helper.image:
        return None
    return Post(
        cluster=spec.kubernetes.cluster,
        image=helper.image,
        shape="api",
        namespace=helper.namespace,
        service_account=helper.service_account,
    )
