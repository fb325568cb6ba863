"""Helpers as pods of a cluster, in a namespace of their own."""

from __future__ import annotations

import select
from typing import Any, Literal

from runner import clock
from runner.errors import OperationFailed
from runner.helper.pods import CONTAINER, pod_of
from runner.helper.protocol import Report, read_report
from runner.places import Cluster, Post
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.remote.stream import Stream

STARTING = 25.0  # seconds for a pod to run
LEAVING = 20.0  # seconds for the processes of a deleted pod to be gone
LOOK = 0.05  # seconds between two looks
TRIES = 20  # of attaching: a pod may be said to run a moment before it can be attached to
_SAID = 20  # lines


class ClusterGround:
    """The helpers' namespace of one cluster."""

    def __init__(self, post: Post, cluster: Cluster) -> None:
        if not post.namespace:
            raise OperationFailed("a helper in a cluster needs a namespace; name one under `helper`")
        self._post, self._client = post, ClusterClient(cluster)
        if cluster.uid and cluster.kubeconfig != "in-cluster":
            self._client.uid()  # "nothing is left there" must not be read off another cluster
        self._pods = f"/api/v1/namespaces/{post.namespace}/pods"
        self._records = f"/api/v1/namespaces/{post.namespace}/configmaps"

    def post(self, name: str, labels: dict[str, str]) -> Stream:
        """Create the pod, wait until it runs, attach: it says nothing before it has its orders."""
        if not self._post.image:
            raise OperationFailed("a helper in a cluster needs an image; name one under `helper`")
        try:
            self._client.post(self._pods, pod_of(self._post, name, labels))
        except ApiError as error:
            raise OperationFailed(self._refusal(error)) from error
        self._await_running(name)
        for _ in range(TRIES):
            try:
                return self.attach(name)
            except ApiError as error:
                problem = error
                select.select((), (), (), LOOK)
        raise problem

    def attach(self, name: str) -> Stream:
        """Attach to one that runs."""
        return self._client.attach(self._post.namespace, name, CONTAINER)

    def standing(self, name: str) -> Literal["running", "ended", "gone"]:
        """Read whether it runs; a pod that waits to run may still do so."""
        pod = self._read(f"{self._pods}/{name}")
        if pod is None:
            return "gone"
        return "ended" if _ended(pod) else "running"

    def reports(self, name: str) -> list[Report]:
        """Read the end of its log; one that is lost is no sign that it said nothing."""
        try:
            lines = self._client.logs(self._post.namespace, name, tail=_SAID)
        except ApiError as error:
            if error.status in (400, 404):
                return [Report(state="failed", problem=f"its log is lost: {error}")]
            raise
        return [report for line in lines if (report := read_report(line)) is not None]

    def remove(self, name: str, *, wait: bool = True) -> None:
        """Delete it, and where it matters wait until its processes are gone: its sandbox may take its node much longer."""
        path, until, asked = f"{self._pods}/{name}", clock.now() + LEAVING, False
        while wait and (pod := self._read(path)) is not None and not _ended(pod):
            if not asked:
                asked = self._delete(path, {"gracePeriodSeconds": 1})
            elif clock.now() >= until:
                raise OperationFailed(f"the helper pod {name} still runs {LEAVING:g} s after it was deleted")
            select.select((), (), (), LOOK)
        self._delete(path, {"gracePeriodSeconds": 0})

    def target_gone(self) -> str:
        """Nothing is known of a target that only its runtime's id names; a fresh helper looks."""
        return ""

    def record(self, name: str, data: dict[str, str], labels: dict[str, str]) -> None:
        """Leave the way back in a ConfigMap."""
        body = {"metadata": {"name": name, "labels": labels}, "data": data}
        try:
            self._client.post(self._records, body)
        except ApiError as error:
            raise OperationFailed(self._refusal(error)) from error

    def recorded(self, name: str) -> bool:
        """Read whether a way back was left there."""
        return self._read(f"{self._records}/{name}") is not None

    def forget(self, name: str) -> None:
        """Delete it."""
        self._delete(f"{self._records}/{name}", None)

    def _read(self, path: str) -> Any:
        try:
            return self._client.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _delete(self, path: str, options: dict[str, Any] | None) -> bool:
        """Delete; say whether there was something to delete."""
        try:
            self._client.delete(path, options)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _await_running(self, name: str) -> None:
        until = clock.now() + STARTING
        while True:
            pod = self._read(f"{self._pods}/{name}")
            if pod is None:
                raise OperationFailed(f"the helper pod {name} was deleted before it ran")
            phase = pod["status"].get("phase")
            if phase == "Running":
                return
            if phase in ("Failed", "Succeeded") or clock.now() >= until:
                raise OperationFailed(f"the helper pod {name} does not run: {_waits_for(pod) or phase}")
            select.select((), (), (), LOOK)

    def _refusal(self, error: ApiError) -> str:
        space = self._post.namespace
        if error.status == 404 and f'namespaces "{space}" not found' in str(error):
            return f"there is no namespace {space!r} for helpers: create it with `kubectl create namespace {space}`"
        if error.status == 403:
            return f"helpers may not be posted in namespace {space!r}: {error}"
        return str(error)


def _ended(pod: dict[str, Any]) -> bool:
    """Say whether nothing of it runs any more, also where its node does not tell its phase."""
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return True
    states = [each.get("state", {}) for each in pod["status"].get("containerStatuses") or ()]
    return bool(states) and all("terminated" in state for state in states)


def _waits_for(pod: dict[str, Any]) -> str:
    """Why a pod does not run, as the cluster says it."""
    for each in pod["status"].get("containerStatuses") or ():
        for state in each.get("state", {}).values():
            if state.get("reason"):
                return f"{state['reason']} {state.get('message', '')}".strip()
    return " ".join(str(pod["status"].get(key, "")) for key in ("reason", "message")).strip()
