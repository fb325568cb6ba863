"""Helpers as containers of a Docker engine, each with the least that its shape needs."""

from __future__ import annotations

from typing import Any, Literal

from runner.errors import OperationFailed
from runner.helper.protocol import Report, read_report
from runner.places import Engine, Post
from runner.remote.docker import ApiError, EngineClient
from runner.remote.stream import Stream

COMMAND = ("python3", "-m", "runner.helper")
STARTING = 20.0  # seconds that an engine has to start a container
_CGROUPS = "/sys/fs/cgroup"
_SAID = 20  # lines


class EngineGround:
    """One engine."""

    def __init__(self, post: Post, engine: Engine) -> None:
        self._post, self._client = post, EngineClient(engine)

    def post(self, name: str, labels: dict[str, str]) -> Stream:
        """Create, attach, start: in this order nothing that it says is lost."""
        made = self._client.post("/containers/create", container_of(self._post, labels), name=name)["Id"]
        stream = self._client.attach(made)
        try:
            self._client.post(f"/containers/{made}/start", timeout=STARTING)
        except OperationFailed:
            stream.close()
            raise
        return stream

    def attach(self, name: str) -> Stream:
        """Attach to one that runs."""
        return self._client.attach(name)

    def standing(self, name: str) -> Literal["running", "ended", "gone"]:
        """Read whether it runs; one that was never started has ended."""
        try:
            state = self._client.get(f"/containers/{name}/json")["State"]
        except ApiError as error:
            if error.status == 404:
                return "gone"
            raise
        return "running" if state["Running"] else "ended"

    def reports(self, name: str) -> list[Report]:
        """Read the end of its log."""
        try:
            lines = self._client.logs(name, tail=_SAID)
        except ApiError as error:
            if error.status == 404:
                return []
            raise
        return [report for line in lines if (report := read_report(line)) is not None]

    def remove(self, name: str, *, wait: bool = True) -> None:  # noqa: ARG002 - an engine does not answer before
        """Kill it and remove it."""
        try:
            self._client.delete(f"/containers/{name}", force=1, v=1)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or being removed
                raise

    def target_gone(self) -> str:
        """A container that does not run has neither network nor processes; one that is removed has no disk either."""
        if not self._post.container:
            return ""
        try:
            state = self._client.get(f"/containers/{self._post.container}/json")["State"]
        except ApiError as error:
            if error.status == 404:
                return f"container {self._post.container[:12]} is gone"
            raise
        if state["Running"] or self._post.shape == "disk":
            return ""
        return f"container {self._post.container[:12]} does not run"

    def record(self, name: str, data: dict[str, str], labels: dict[str, str]) -> None:
        """Nowhere: who reaches the engine reaches its helpers, which stay until they are read."""

    def recorded(self, name: str) -> None:
        """Nowhere."""

    def forget(self, name: str) -> None:
        """Nothing."""


def container_of(post: Post, labels: dict[str, str]) -> dict[str, Any]:
    """The container of a helper, as the engine takes it."""
    if post.shape == "api":
        raise OperationFailed("a helper that calls a cluster's API cannot stand on a Docker engine")
    return {
        "Image": post.image,
        "Cmd": [*COMMAND],
        "Entrypoint": [],
        "User": "0:0",
        "Labels": labels,
        "OpenStdin": True,
        "StdinOnce": True,  # its input ends when we hang up, however we do
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": post.shape == "look",  # of the others the log is the evidence
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            **_privileges(post),
        },
    }


def _privileges(post: Post) -> dict[str, Any]:
    seeing = {"NetworkMode": "none", "PidMode": "host", "CgroupnsMode": "host"}
    match post.shape:
        case "look":  # NET_ADMIN in a network of its own, to try what the kernel can do there
            return {**seeing, "Binds": [f"{_CGROUPS}:{_CGROUPS}:ro"], "CapAdd": ["NET_ADMIN"]}
        case "network":
            return {"NetworkMode": f"container:{post.container}", "CapAdd": ["NET_ADMIN"]}
        case "cgroup":
            return {**seeing, "Binds": [f"{_CGROUPS}:{_CGROUPS}:rw"]}
        case "process":
            return {**seeing, "Binds": [f"{_CGROUPS}:{_CGROUPS}:ro"], "CapAdd": ["KILL"]}
        case _:
            binds = [f"{_CGROUPS}:{_CGROUPS}:ro"]
            return {**seeing, "Binds": binds, "CapAdd": ["SYS_PTRACE", "DAC_OVERRIDE"]}
