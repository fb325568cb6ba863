"""Faults of a node: closed to new pods, marked, or emptied; undone exactly, by a helper in the cluster."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from runner.errors import Refused
from runner.faults.afar import afar
from runner.faults.meant import the_node
from runner.faults.record import Fault, Instance, Pod, Steps
from runner.faults.subjects import in_cluster, pod_of, suited
from runner.operations.record import CheckDrained, CheckKube, Drain, KubeCall


class _NodeFault(Fault, frozen=True, kw_only=True):
    """Something about a node."""

    platforms: ClassVar[frozenset[str]] = frozenset({"node"})

    def _node(self, instance: Instance) -> Pod:
        suited(self, instance)
        return pod_of(instance, str(self.__struct_config__.tag))


class Cordon(_NodeFault, frozen=True, kw_only=True, tag="cordon"):
    """Let no new pod come to the node; those that are there stay."""

    property: ClassVar[str] = "schedulable"

    def compile(self, instance: Instance) -> Steps:
        node = self._node(instance)
        do, undo, check = _closing(instance, node)
        return afar(instance, "api", do=(do,), undo=(undo,), confirm=(check,))

    def does(self) -> str:
        return "no new pod comes to the node"


class DrainNode(_NodeFault, frozen=True, kw_only=True, tag="drain"):
    """Close the node and evict its pods, as their budgets allow, as long as the fault lasts; then open it again.

    Pods of daemon sets, of the node itself and without a controller stay. What was evicted does not come back to the
    node by itself: its controllers made new pods elsewhere, or wait for the node to open.
    """

    property: ClassVar[str] = "schedulable"  # of which cordon is the smaller part: one owner for both
    recovers_from: ClassVar[str] = "injection"

    def compile(self, instance: Instance) -> Steps:
        node = self._node(instance)
        do, undo, check = _closing(instance, node)
        cluster = in_cluster(node.cluster)
        return afar(
            instance,
            "api",
            do=(do, Drain(cluster=cluster, node=node.node, uid=node.node_uid)),
            undo=(undo,),
            confirm=(check, CheckDrained(cluster=cluster, node=node.node)),
        )

    def does(self) -> str:
        return "no new pod comes to the node, and those there are evicted as their budgets allow"


class Taint(_NodeFault, frozen=True, kw_only=True, tag="taint"):
    """Put the taint *key*=*value*:*effect* on the node; `NoExecute` drives away who does not tolerate it."""

    property: ClassVar[str] = "taints"

    key: str = "squall"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"

    def __post_init__(self) -> None:
        if not self.key or len(self.key) > 253 or not self.key[0].isalnum():
            raise ValueError("key must be the name of a taint, such as squall or example.com/broken")

    def tolerated_by(self, pod: Pod) -> bool:
        """Say whether a pod tolerates it for good; one that does for some seconds is driven away after those."""
        matching = [each for each in json.loads(pod.tolerations or "[]") if self._matches(each)]
        return bool(matching) and all(each.get("tolerationSeconds") is None for each in matching)

    def _matches(self, toleration: dict[str, Any]) -> bool:
        """As core/v1 documents it: no key and no effect mean every one, and Exists every value."""
        get = toleration.get
        named = get("key") in (None, "", self.key) and get("effect") in (None, "", self.effect)
        equal = get("operator") in (None, "", "Equal") and (get("value") or "") == self.value
        return named and (get("operator") == "Exists" or equal)

    def compile(self, instance: Instance) -> Steps:
        node = self._node(instance)
        there = json.loads(node.taints or "[]")
        if any((each.get("key"), each.get("effect")) == (self.key, self.effect) for each in there):
            raise Refused(
                f"{instance.name}: node {node.node} has a taint {self.key}:{self.effect} already; choose another key"
            )
        value = {"key": self.key, "effect": self.effect} | ({"value": self.value} if self.value else {})
        text, meant = json.dumps(value, sort_keys=True), the_node(instance, "taint")
        return afar(
            instance,
            "api",
            do=(meant.call("taint", text, strict=True),),
            undo=(meant.call("taint", expect=text, gone_is_fine=True),),
            confirm=(meant.check("taint", text),),
        )

    def does(self) -> str:
        return f"taint the node with {self.key}{'=' if self.value else ''}{self.value}:{self.effect}"


def _closing(instance: Instance, node: Pod) -> tuple[KubeCall, KubeCall, CheckKube]:
    """Close, open again, and look. Raises Refused where it is closed already: it is not ours to open."""
    if node.unschedulable:
        raise Refused(
            f"{instance.name}: node {node.node} is cordoned already; choose another, or uncordon it first"
        )
    meant = the_node(instance, "cordon")
    return (
        meant.call("cordon", "true", expect="false", strict=True),
        meant.call("cordon", "false", expect="true", gone_is_fine=True),
        meant.check("cordon", "true"),
    )
