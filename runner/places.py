"""Where a target lives that is not a process of this machine: an engine, a cluster, and the post of a helper there."""

from __future__ import annotations

from typing import Literal

import msgspec


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A Docker engine. *url* is unix:///path or tcp://host:port; *certificates*: folder of ca.pem, cert.pem, key.pem."""

    url: str = "unix:///var/run/docker.sock"
    certificates: str = ""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes cluster, by reference: credentials are read where they are needed and never recorded.

    *kubeconfig* and *context* as kubectl takes them; `in-cluster` as kubeconfig is a pod's own service account.
    *uid* is that of the namespace kube-system: a call to any other cluster is refused. Empty: not known yet.
    """

    kubeconfig: str = ""
    context: str = ""
    uid: str = ""

    def differs(self, other: Cluster) -> bool:
        """Say whether it is known to be another cluster: two contexts may lead to one, and only uids tell."""
        return bool(self.uid and other.uid) and self.uid != other.uid


Shape = Literal["look", "network", "cgroup", "process", "disk", "api"]


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """Where a helper stands and what it may do there. Exactly one of *engine* and *cluster* is set.

    *shape* gives its privileges: `look` reads a node, `network` works in the target's network namespace,
    `cgroup` writes the target's cgroup, `process` signals its processes, `disk` writes into its file system,
    `api` calls the cluster's API with *service_account* and needs no target.
    *container* is the runtime's id of the target container (64 hexadecimal digits).
    """

    engine: Engine | None = None
    cluster: Cluster | None = None
    image: str
    shape: Shape = "look"
    container: str = ""
    namespace: str = ""  # of the helper, in a cluster
    node: str = ""  # in a cluster
    pod: str = ""  # uid of the target pod: its network outlives its containers
    service_account: str = ""
