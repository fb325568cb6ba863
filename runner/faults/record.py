"""What every fault kind is: a frozen record of its knobs that compiles to operations, purely."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from runner.operations.record import Identity, Operation, Spawn
from runner.places import Cluster, Engine, Post


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod, or with an empty *name* only its workload; a node is a pod of no name and no workload."""

    cluster: Cluster
    namespace: str = ""
    name: str = ""
    uid: str = ""
    node: str = ""
    node_uid: str = ""
    evictable: bool = True  # a drain of its node ends it
    tolerations: str = ""  # JSON of its list
    workload: str = ""  # deployment/web: what owns it, if anything
    workload_uid: str = ""
    workload_unread: str = ""  # why we do not know what owns it
    replicas: int = 0  # of the workload, as it asks for
    ready_replicas: int = 0  # and as are ready
    unavailable: int = 0  # of the workload: how many pods a rollout has down at once, at worst
    replaces_nobody: str = ""  # why a rollout of the workload changes no pod
    unschedulable: bool = False  # of a node
    taints: str = ""  # of a node: JSON of its list


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be hurt, with the facts read from it: of a process just before compiling, else by the plan.

    *platform* says which of the parts below are filled; a `url` has none. A `wire` is the way from one instance
    (a container or a pod) to *peers* and *port*.
    """

    target: str
    name: str  # "shop.1"; a link's is its target's name
    known_as: str = ""  # where it lives: the container's, the pod's or the node's own name
    platform: Literal["process", "link", "url", "container", "pod", "node", "wire"] = "url"
    process: Identity | None = None
    spawn: Spawn | None = None  # how a managed process is started again
    socket: str = ""
    address: str = ""  # host:port it serves on, where known; of containers and pods their IP
    ready: bool = True  # takes traffic, as far as its engine or cluster says
    created: str = ""  # when, as its engine or cluster writes it
    limits: dict[str, tuple[int, int]] = {}  # resource -> (soft, hard), for AS and DATA
    held: int = 0  # bytes of memory that the kernel cannot take back; of a process all that is resident
    cores: float = 1.0  # that it may use
    cgroup: str = ""  # directory of a cgroup of its own that we may write; empty: none
    cgroup_version: int = 0
    cgroup_files: dict[str, str] = {}  # current values of files a fault may change, by file name
    engine: Engine | None = None  # container
    container: str = ""  # container and pod: the runtime's id
    started: str = ""  # container: State.StartedAt of the life that is meant
    vanishes: bool = False  # container: its engine removes it as soon as it ends (docker run --rm)
    pod: Pod | None = None  # pod and node
    post: Post | None = None  # where a helper can stand for it; its shape is up to the fault
    reverter: Post | None = None  # of shape api, for what only the cluster's API can undo
    lease: float = 5.0
    kernel: tuple[
        str, ...
    ] = ()  # what the kernel there has: netem, tbf, nft-owner, nft-timeout, cgroup-v1, cgroup-v2
    shared_network: str = ""  # whose network namespace it uses, where that is not its own: "the host"
    peers: tuple[str, ...] = ()  # wire: addresses of the other end
    port: int = 0  # wire


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault on one instance does, how it is undone, how it is confirmed."""

    do: tuple[Operation, ...]
    undo: tuple[Operation, ...]
    confirm: tuple[Operation, ...] = ()
    expiry: bool = False
    deadline: float = 10.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A kind of fault; the fields of a subclass are its knobs in YAML, annotated with units."""

    platforms: ClassVar[frozenset[str]] = frozenset()  # of Instance.platform
    property: ClassVar[str] = ""  # what of the instance it owns: life, cpu, memory, latency, …
    recovers_from: ClassVar[str] = "undo"  # recovery counts from "undo" or from "injection"
    executes: ClassVar[bool] = False  # runs code that the scenario brought
    of_workload: ClassVar[bool] = (
        False  # hurts what owns the pods (a Deployment), once, however many are picked
    )

    is_limit: ClassVar[bool] = False  # stands whether or not anybody reaches it: who never did needed no more
    spreads: ClassVar[bool] = False  # others feel it too, where they share what is hurt: nobody is a control

    def unsuited(self, platform: str) -> str:
        """Say why these knobs cannot be had on *platform*, though the kind can; empty: they can. For the plan."""
        del platform
        return ""

    def compile(self, instance: Instance) -> Steps:
        """Turn the knobs and the facts of *instance* into operations. Touches nothing. Raises Refused."""
        raise NotImplementedError

    def does(self) -> str:
        """Say in a few words what this does, for plan and report: `delay 80ms ± 20ms`."""
        raise NotImplementedError

    def owns(self, platform: str) -> str:  # noqa: ARG002 - a kind may own another property on another platform
        """Name what of an instance of *platform* this owns while it lasts."""
        return self.property
