"""What a fault needs of an instance before it can be compiled for it."""

from __future__ import annotations

from runner.errors import Refused
from runner.faults.record import Fault, Instance, Pod
from runner.operations.record import Identity
from runner.places import Cluster, Engine


def process_of(instance: Instance, kind: str) -> Identity:
    """The process of *instance*. Raises Refused where it has none."""
    if instance.process is None:
        raise Refused(f"{instance.name}: {kind} needs a process; choose a target that has `processes`")
    return instance.process


def socket_of(instance: Instance, kind: str) -> str:
    """The control socket of a link. Raises Refused where *instance* is no link."""
    if not instance.socket:
        raise Refused(f"{instance.name}: {kind} needs a link; choose a target that has a `link`")
    return instance.socket


def suited(fault: Fault, instance: Instance) -> None:
    """Raise Refused where the platform of *instance*, or the knobs on it, cannot be had."""
    kind = str(fault.__struct_config__.tag)
    if instance.platform not in fault.platforms:
        raise Refused(
            f"{instance.name}: {kind} needs a {' or '.join(sorted(fault.platforms))},"
            f" and this is a {instance.platform}"
        )
    if why := fault.unsuited(instance.platform):
        raise Refused(f"{instance.name}: {kind}: {why}")


def at_post(instance: Instance) -> bool:
    """Say whether only a helper can reach it: a container or a pod."""
    return instance.platform in ("container", "pod")


def engine_of(instance: Instance, kind: str) -> Engine:
    """The engine of a container. Raises Refused where it has none."""
    if instance.engine is None or not instance.container:
        raise Refused(f"{instance.name}: {kind} needs a container; choose a target that has `docker`")
    return instance.engine


def pod_of(instance: Instance, kind: str) -> Pod:
    """The pod or node. Raises Refused where it is none."""
    if instance.pod is None:
        raise Refused(f"{instance.name}: {kind} needs a pod; choose a target that has `kubernetes`")
    return instance.pod


def in_cluster(cluster: Cluster) -> Cluster:
    """The same cluster, as a helper in it sees it."""
    return Cluster(kubeconfig="in-cluster", uid=cluster.uid)
