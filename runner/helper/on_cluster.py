"""Helpers as pods of a cluster, each with the least that its shape needs."""

from __future__ import annotations

from typing import Literal

from runner.errors import OperationFailed
from runner.helper.protocol import Report
from runner.places import Cluster, Post
from runner.remote.stream import Stream


class ClusterGround:
    """The helpers' namespace of one cluster."""

    def __init__(self, post: Post, cluster: Cluster) -> None:
        raise OperationFailed("helpers in a cluster: not here yet")

    def post(self, name: str, labels: dict[str, str]) -> Stream:
        raise NotImplementedError

    def standing(self, name: str) -> Literal["running", "ended", "gone"]:
        raise NotImplementedError

    def reports(self, name: str) -> list[Report]:
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def target_gone(self) -> str:
        raise NotImplementedError

    def record(self, name: str, text: str, labels: dict[str, str]) -> None:
        raise NotImplementedError

    def recorded(self, name: str) -> bool | None:
        raise NotImplementedError

    def forget(self, name: str) -> None:
        raise NotImplementedError
