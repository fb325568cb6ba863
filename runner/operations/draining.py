"""A node emptied by evictions, round after round, while a hand lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.errors import OperationFailed
from runner.operations.clusters import evict
from runner.operations.context import Held
from runner.operations.record import CheckDrained, Drain, Reading
from runner.remote.kubernetes import ClusterClient

ROUND = 1.0  # seconds between two rounds: a budget allows more when those evicted before are replaced
_LISTED = 5  # names in a sentence
_STAYS = ("DaemonSet", "Node")  # who makes a new one on the same node at once
_OURS = "squall.role"


class Draining:
    """Evictions that go on as long as they are held; ending them brings nobody back, and opens no node."""

    def __init__(self, operation: Drain) -> None:
        self._client, self._operation = ClusterClient(operation.cluster), operation
        self._evicted: set[str] = set()
        self._refused: dict[str, str] = {}  # by uid: who may not go yet, and why
        self.reading = Reading()
        node = self._client.get(f"/api/v1/nodes/{operation.node}")
        if operation.uid and node["metadata"]["uid"] != operation.uid:
            raise OperationFailed(f"node {operation.node} is another one by now: nobody was evicted")
        self._queue = self._round()
        self._evict_next()  # what forbids every eviction is to be known at once

    def tick(self) -> float:
        """Evict one of those who are left, so that a halt is heard before the next; an API that fails is asked again."""
        try:
            self._evict_next()
            if self._queue:
                return 0.0
            self._queue = self._round()
        except OperationFailed as error:
            self.reading = Reading(ok=None, evidence=f"evicting waits: {error}")
        return ROUND

    def release(self) -> None:
        """Evict nobody any more."""

    def _round(self) -> list[dict[str, Any]]:
        """Who is to be evicted next, one after the other."""
        found = [pod["metadata"] for pod in _evictable(self._client, self._operation.node)]
        left = [facts for facts in found if not facts.get("deletionTimestamp")]
        uids = {facts["uid"] for facts in left}
        self._refused = {uid: words for uid, words in self._refused.items() if uid in uids}
        return left

    def _evict_next(self) -> None:
        if self._queue:
            facts = self._queue.pop(0)
            uid = facts["uid"]
            came, words = evict(self._client, facts["namespace"], facts["name"], uid)
            self._refused.pop(uid, None)
            if came == "refused":
                self._refused[uid] = f"{facts['name']}: {words}"
            elif came == "evicted":
                self._evicted.add(uid)
        refused = list(self._refused.values())
        waits = f"; {len(refused)} may not go yet: {refused[0]}" if refused else ""
        self.reading = Reading(
            evidence=f"{len(self._evicted)} pods evicted from {self._operation.node}{waits}"
        )


def perform_drain(operation: Drain | CheckDrained) -> Reading | Held:
    """Begin to evict, or look what is left. Raises OperationFailed."""
    if isinstance(operation, Drain):
        return Draining(operation)
    left = [pod["metadata"]["name"] for pod in _evictable(ClusterClient(operation.cluster), operation.node)]
    if not left:
        return Reading(evidence=f"nobody is left to evict from {operation.node}")
    more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
    return Reading(ok=None, evidence=f"still on {operation.node}: {', '.join(left[:_LISTED])}{more}")


def _evictable(client: ClusterClient, node: str) -> Iterator[dict[str, Any]]:
    """The pods of a node that a drain ends; those that are ending already included."""
    found = client.get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
    yield from (pod for pod in found["items"] if evictable(pod))


def evictable(pod: dict[str, Any]) -> bool:
    """Say whether a drain ends a pod: one that somebody brings back elsewhere."""
    facts = pod["metadata"]
    owners = [owner["kind"] for owner in facts.get("ownerReferences") or () if owner.get("controller")]
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    ours = _OURS in (facts.get("labels") or {})
    return bool(owners) and owners[0] not in _STAYS and not ended and not ours
