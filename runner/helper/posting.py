"""Posting helpers: what they are called, what they may do, and the ground they are posted on."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec

from runner.errors import OperationFailed
from runner.helper.on_cluster import ClusterGround
from runner.helper.on_engine import EngineGround
from runner.helper.protocol import Report, Role
from runner.operations.record import AfarGone
from runner.places import Post
from runner.remote.stream import Stream

Standing = Literal["running", "ended", "gone"]


class Ground(Protocol):
    """Where helpers of one post are: an engine, or a namespace of a cluster."""

    def post(self, name: str, labels: dict[str, str]) -> Stream:
        """Create a helper, start it, attach to it. Raises OperationFailed."""

    def attach(self, name: str) -> Stream:
        """Attach to one that runs. Raises OperationFailed."""

    def standing(self, name: str) -> Standing:
        """Read whether a helper runs. Raises OperationFailed where that cannot be told."""

    def reports(self, name: str) -> list[Report]:
        """Read the last that a helper said; nothing where it is gone."""

    def remove(self, name: str, *, wait: bool = True) -> None:
        """End it and take it away; one that is gone is fine. *wait* until its processes are gone, too."""

    def target_gone(self) -> str:
        """Say in a sentence that the target ended, with all that was done to it; empty where it may be there."""

    def record(self, name: str, data: dict[str, str], labels: dict[str, str]) -> None:
        """Leave the way back where it is found without us, if there is such a place."""

    def recorded(self, name: str) -> bool | None:
        """Read whether a way back was left there; None where there is no such place."""

    def forget(self, name: str) -> None:
        """Take that record away."""


def ground(post: Post) -> Ground:
    """Find the ground of a post. Raises OperationFailed."""
    if post.engine is not None:
        return EngineGround(post, post.engine)
    if post.cluster is not None:
        return ClusterGround(post, post.cluster)
    raise OperationFailed("a post needs an engine or a cluster")


def name_of(run: str, act: str, role: Role | Literal["record"]) -> str:
    """The name of a helper, the same whenever it is asked for; of the record that belongs to an act."""
    stem = f"squall-{_plain(run)[:40]}-{short(act)}"
    return stem if role == "record" else f"{stem}-{role}"


def labels_of(run: str, act: str, role: str) -> dict[str, str]:
    """The labels by which what is ours is found."""
    return {"squall.run": _plain(run)[:63], "squall.act": short(act), "squall.role": role}


def short(act: str) -> str:
    """Eight digits for an act, whose id is no name for a container."""
    return hashlib.sha256(act.encode()).hexdigest()[:8]


def data_of(operation: AfarGone) -> dict[str, str]:
    """What the record of how to undo an act holds."""
    return {
        "undo": msgspec.json.encode(operation).decode(),
        "owner": f"{os.environ.get('USER') or os.getuid()}@{socket.gethostname()}, process {os.getpid()}",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "lease": f"{operation.lease:g}",
    }


def _plain(run: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", run.lower()).strip("-") or "none"
