"""The one object of a cluster that a fault means: calls about it, and looks at it."""

from __future__ import annotations

from dataclasses import dataclass

from runner.errors import Refused
from runner.faults.record import Instance
from runner.faults.subjects import in_cluster, pod_of
from runner.operations.record import CheckKube, KubeCall
from runner.operations.record_remote import Expected, KubeVerb, ObjectKind
from runner.places import Cluster

WORKLOADS: dict[str, ObjectKind] = {
    "deployment": "deployment", "statefulset": "statefulset", "daemonset": "daemonset",
}  # fmt: skip  # what can be waited for, restarted and scaled by us


@dataclass(frozen=True, slots=True)
class Meant:
    """An object by its name and its uid: another one of the same name is not meant."""

    cluster: Cluster
    kind: ObjectKind
    name: str
    uid: str
    namespace: str = ""

    def call(
        self,
        verb: KubeVerb,
        value: str = "",
        *,
        expect: str | None = None,
        gone_is_fine: bool = False,
        strict: bool = False,
    ) -> KubeCall:
        """Write to it."""
        return KubeCall(
            cluster=self.cluster,
            verb=verb,
            kind=self.kind,
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            value=value,
            expect=expect,
            gone_is_fine=gone_is_fine,
            strict=strict,
        )

    def check(self, expect: Expected, value: str = "") -> CheckKube:
        """Read it."""
        return CheckKube(
            cluster=self.cluster,
            kind=self.kind,
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            expect=expect,
            value=value,
        )


def the_pod(instance: Instance, kind: str) -> Meant:
    """The pod itself. Raises Refused where it is none."""
    pod = pod_of(instance, kind)
    return Meant(pod.cluster, "pod", pod.name, pod.uid, pod.namespace)


def the_node(instance: Instance, kind: str) -> Meant:
    """The node, as the reverter in its cluster sees it. Raises Refused where it is none."""
    pod = pod_of(instance, kind)
    return Meant(in_cluster(pod.cluster), "node", pod.node, pod.node_uid)


def the_workload(instance: Instance, kind: str, *, inside: bool = False) -> Meant:
    """What owns the pod; *inside*: as the reverter in its cluster sees it. Raises Refused where we do not know that."""
    pod = pod_of(instance, kind)
    if pod.workload_unread:
        raise Refused(
            f"{instance.name}: what owns the pod {pod.name} may not be read: {pod.workload_unread};"
            f" ask for that permission, which {kind} needs"
        )
    word, _, name = pod.workload.partition("/")
    if word not in WORKLOADS or not name:
        owner = f"is owned by {word}/{name}" if word else "is owned by nothing"
        raise Refused(
            f"{instance.name}: {kind} needs the pod of a deployment, stateful set or daemon set; this one {owner}"
        )
    cluster = in_cluster(pod.cluster) if inside else pod.cluster
    return Meant(cluster, WORKLOADS[word], name, pod.workload_uid, pod.namespace)
