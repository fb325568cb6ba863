"""Operations by the API of a Docker engine or of a cluster, as values."""

from __future__ import annotations

from typing import ClassVar, Literal

from runner.operations.record_base import BaseOperation
from runner.places import Cluster, Engine

ObjectKind = Literal["pod", "deployment", "statefulset", "daemonset", "node"]
KubeVerb = Literal["delete-pod", "evict-pod", "restart", "scale", "cordon", "taint"]
Expected = Literal["gone", "ending", "ready", "back", "scale", "cordon", "taint", "restart"]


class DockerCall(BaseOperation, frozen=True, kw_only=True, tag="docker-call"):
    """One call of a Docker engine about one container, by its full id.

    *started* (State.StartedAt) tells the life that is meant: `kill`, `stop` and `pause` of a later life are refused.
    `start` with it expects that life to end: one that still runs is believed only when no stop can be under way.
    """

    engine: Engine
    container: str
    verb: Literal["kill", "stop", "start", "restart", "pause", "unpause", "remove"]
    started: str = ""
    gone_is_fine: bool = False


class CheckContainer(BaseOperation, frozen=True, kw_only=True, tag="check-container"):
    """Read a container: is it as expected? `ended`: the life that began at *started* is over, whatever came after."""

    engine: Engine
    container: str
    expect: Literal["running", "ended", "paused", "gone"]
    started: str = ""


class KubeCall(BaseOperation, frozen=True, kw_only=True, tag="kube-call"):
    """One write to a cluster, only where the object still is the one meant (*uid*) and reads *expect*.

    `delete-pod` (grace 0), `evict-pod` (respects budgets), `restart` (rollout of a workload), `scale` (*value*:
    replicas), `cordon` (*value*: true or false), `taint` (*value*: JSON of one taint; empty takes away the taint
    that *expect* gives). A value that is neither *expect* nor *value* is left alone and reported. *strict*: so is
    *value* itself where it stands already; somebody else wrote that, too, and it is not ours to undo.
    """

    cluster: Cluster
    verb: KubeVerb
    kind: ObjectKind
    namespace: str = ""
    name: str
    uid: str = ""
    value: str = ""
    expect: str | None = None
    gone_is_fine: bool = False
    strict: bool = False


class CheckKube(BaseOperation, frozen=True, kw_only=True, tag="check-kube"):
    """Read an object of a cluster: `gone` (that uid), `ending` (or gone), `ready` (pod or all replicas), or a property that has *value*.

    `back`: as many pods of a workload as *value* are ready, of whichever template: what a rollout that somebody
    stopped halfway, or a pod that was not ready before, leaves possible; or as are wanted by now, where that is fewer.
    """

    cluster: Cluster
    kind: ObjectKind
    namespace: str = ""
    name: str
    uid: str = ""
    expect: Expected
    value: str = ""


class Await(BaseOperation, frozen=True, kw_only=True, tag="await"):
    """Check until it is as expected, at most *within* seconds: for what somebody else brings back."""

    check: CheckKube | CheckContainer
    within: float


class Drain(BaseOperation, frozen=True, kw_only=True, tag="drain"):
    """Evict the pods of a node, respecting budgets, again and again while the hand lives; never what nobody brings back.

    Left alone: pods of daemon sets, of the node itself, without a controller, ended ones, and Squall's own.
    """

    holds: ClassVar[bool] = True

    cluster: Cluster
    node: str
    uid: str = ""


class CheckDrained(BaseOperation, frozen=True, kw_only=True, tag="check-drained"):
    """Look which pods are left to evict from a node: True where none is, None where some still are."""

    cluster: Cluster
    node: str
