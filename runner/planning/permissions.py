"""What a run has to be allowed to do in clusters, read off what its acts would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from runner.faults.record import Instance
from runner.operations.record import (
    Afar,
    AfarGone,
    Await,
    CheckAfar,
    CheckDrained,
    CheckKube,
    Drain,
    KubeCall,
    Operation,
)
from runner.places import Cluster, Post

PLURALS = {
    "pod": "pods",
    "node": "nodes",
    "deployment": "deployments",
    "statefulset": "statefulsets",
    "daemonset": "daemonsets",
}
_GROUPS = {"deployment": "apps", "statefulset": "apps", "daemonset": "apps"}

# What each call needs: verbs on the object itself, and verbs on a part of it. Research and measurements: the README's table.
_CALLS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "delete-pod": (("get", "delete"), "", ()),
    "evict-pod": (("get",), "eviction", ("create",)),
    "restart": (("get", "patch"), "", ()),
    "scale": ((), "scale", ("get", "patch")),
    "cordon": (("get", "patch"), "", ()),
    "taint": (("get", "patch"), "", ()),
}
# What posting a helper needs in the namespace of helpers; the record is how another machine finds the way back.
_HELPERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("pods", ("create", "get", "delete")),
    ("pods/log", ("get",)),
    ("pods/attach", ("get", "create")),  # both since Kubernetes 1.35, by whichever protocol
    ("configmaps", ("create", "get", "delete")),
)


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One verb on one kind of object. *account*: of which service account (namespace:name); empty: our own."""

    cluster: Cluster
    verb: str
    resource: str  # pods, pods/eviction …
    group: str = ""
    namespace: str = ""  # empty: of the cluster itself, or in all namespaces
    name: str = ""  # empty: any
    account: str = ""

    def said(self) -> str:
        """Say it in a few words."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        what = (
            f"{self.resource}{'.' + self.group if self.group else ''}{' ' + self.name if self.name else ''}"
        )
        return f"{self.verb} {what}{where}"


def rights(operations: Iterable[Operation]) -> Iterator[Right]:
    """List every right that *operations* need, those of the helpers they post included."""
    for operation in operations:
        yield from _rights_of(operation, None, "")


def rights_of_measure(measure: str, instances: Iterable[Instance]) -> Iterator[Right]:
    """What measuring pods needs, of their kubelets' summaries or of themselves: of containers, nothing."""
    pods = [one.pod for one in instances if one.pod is not None]
    if measure in ("rss", "cpu", "threads"):
        for cluster, node in dict.fromkeys((pod.cluster, pod.node) for pod in pods):
            yield Right(cluster=cluster, verb="get", resource="nodes/proxy", name=node)
    if measure == "restarts":
        for cluster, space in dict.fromkeys((pod.cluster, pod.namespace) for pod in pods):
            yield Right(cluster=cluster, verb="get", resource="pods", namespace=space)


def posts(operations: Iterable[Operation]) -> Iterator[Post]:
    """List where *operations* post helpers."""
    for operation in operations:
        if isinstance(operation, Afar | AfarGone | CheckAfar):
            yield operation.post


def _rights_of(operation: Operation, cluster: Cluster | None, account: str) -> Iterator[Right]:
    """*cluster*: that of the helper which does it, where it only says `in-cluster`."""
    match operation:
        case Afar():
            yield from _of_helper(operation.post, (*operation.do, *operation.undo, *operation.confirm))
        case AfarGone():
            yield from _of_helper(operation.post, operation.undo)
        case CheckAfar():
            yield from _of_helper(operation.post, ())
        case Await():
            yield from _rights_of(operation.check, cluster, account)
        case KubeCall():
            yield from _of_call(operation, cluster or operation.cluster, account)
        case CheckKube():
            yield from _of_check(operation, cluster or operation.cluster, account)
        case Drain():
            there = cluster or operation.cluster
            yield Right(cluster=there, verb="get", resource="nodes", name=operation.node, account=account)
            yield Right(cluster=there, verb="list", resource="pods", account=account)
            yield Right(cluster=there, verb="get", resource="pods", account=account)
            yield Right(cluster=there, verb="create", resource="pods/eviction", account=account)
        case CheckDrained():
            yield Right(cluster=cluster or operation.cluster, verb="list", resource="pods", account=account)
        case _:
            return


def _of_helper(post: Post, inner: Iterable[Operation]) -> Iterator[Right]:
    if post.cluster is None:
        return
    for resource, verbs in _HELPERS:
        for verb in verbs:
            yield Right(cluster=post.cluster, verb=verb, resource=resource, namespace=post.namespace)
    if post.shape == "api":
        for operation in inner:
            yield from _rights_of(operation, post.cluster, f"{post.namespace}:{post.service_account}")


def _of_call(call: KubeCall, cluster: Cluster, account: str) -> Iterator[Right]:
    whole, part, verbs = _CALLS[call.verb]
    plural, group = PLURALS[call.kind], _GROUPS.get(call.kind, "")
    for resource, needed in ((plural, whole), (f"{plural}/{part}", verbs)):
        for verb in needed:
            yield Right(
                cluster=cluster,
                verb=verb,
                group=group,
                resource=resource,
                namespace=call.namespace,
                name="" if call.kind == "pod" else call.name,  # a pod's successor has another name
                account=account,
            )


def _of_check(check: CheckKube, cluster: Cluster, account: str) -> Iterator[Right]:
    plural = PLURALS[check.kind]
    yield Right(
        cluster=cluster,
        verb="get",
        group=_GROUPS.get(check.kind, ""),
        resource=f"{plural}/scale" if check.expect == "scale" else plural,
        namespace=check.namespace,
        name="" if check.kind == "pod" else check.name,
        account=account,
    )
    if check.expect == "back":
        yield Right(cluster=cluster, verb="list", resource="pods", namespace=check.namespace, account=account)
