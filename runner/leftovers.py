"""What runs of any machine left in the engines and clusters of an environment, and how it is undone from here.

A record in a cluster can be written by whoever may write there, so it is obeyed only as far as it can do no harm:
undoing operations of a closed set, by helpers of the environment's own image, in the environment's own namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from runner.errors import OperationFailed
from runner.helper.posting import ground
from runner.operations.afar_end import perform_afar_gone
from runner.operations.record import (
    AfarGone,
    FillGone,
    KubeCall,
    NetemGone,
    Operation,
    SignalTarget,
    TableGone,
    WriteFile,
)
from runner.places import Cluster, Engine, Post
from runner.remote.docker import EngineClient
from runner.remote.kubernetes import ClusterClient
from runner.scenario import Environment

_REVERTS = {"scale", "cordon", "taint"}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A fault that a run left there. *lives*: its helper still holds it. *problem*: why it is not touched."""

    run: str
    name: str
    where: str
    operation: AfarGone | None = None
    lives: bool = False
    problem: str = ""

    def mend(self) -> str:
        """Undo it and take its helpers away; say who undid it. Raises OperationFailed."""
        if self.operation is None:
            raise OperationFailed(self.problem)
        return perform_afar_gone(self.operation).evidence


def leftovers(environment: Environment) -> list[Leftover]:
    """Find them all. Raises OperationFailed where an engine or a cluster does not answer."""
    found: list[Leftover] = []
    for cluster in _distinct(
        spec.kubernetes.cluster for spec in environment.targets.values() if spec.kubernetes
    ):
        found += _in_cluster(cluster, environment)
    for engine in _distinct(spec.docker.engine for spec in environment.targets.values() if spec.docker):
        found += _on_engine(engine)
    return found


def _distinct(places: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(places))


def _in_cluster(cluster: Cluster, environment: Environment) -> Iterator[Leftover]:
    client, helper = ClusterClient(cluster), environment.helper
    known = msgspec.structs.replace(cluster, uid=client.uid())
    path = f"/api/v1/namespaces/{helper.namespace}/configmaps"
    for item in client.get(path, labelSelector="squall.role=record").get("items", ()):
        meta = item["metadata"]
        name, labels = meta["name"], meta.get("labels", {})
        where = f"{helper.namespace}/{name}"
        try:
            told = msgspec.json.decode(item.get("data", {}).get("undo", ""), type=AfarGone)
            operation = _harmless(told, known, environment)
            lives = _lives(operation, f"{name}-hand")
        except (msgspec.DecodeError, OperationFailed) as error:
            yield Leftover(labels.get("squall.run", "?"), name, where, problem=f"{where}: {error}")
        else:
            yield Leftover(told.run, name, where, operation, lives)


def _lives(operation: AfarGone, hand: str) -> bool:
    """Tell whether somebody still holds it: its hand helper runs and has not been told to go."""
    place = ground(operation.post)
    reports = place.reports(hand)
    return place.standing(hand) == "running" and bool(reports) and reports[-1].state in ("done", "seen")


def _harmless(told: AfarGone, cluster: Cluster, environment: Environment) -> AfarGone:
    """Keep what the record says is to be undone and where; everything else is the environment's. Raises OperationFailed."""
    helper = environment.helper
    for step in told.undo:
        if not _reverts(step):
            raise OperationFailed(
                f"the record asks for {step.__struct_config__.tag}, which undoes nothing: somebody else wrote it;"
                " look at it by hand, then delete it"
            )
    post = msgspec.structs.replace(
        told.post,
        engine=None,
        cluster=cluster,
        image=helper.image or told.post.image,
        namespace=helper.namespace,
        service_account=helper.service_account,
    )
    return msgspec.structs.replace(told, post=_plain(post), undo=told.undo)


def _plain(post: Post) -> Post:
    if not post.image:
        raise OperationFailed("no helper can be posted: give the environment a `helper` with an image")
    return post


def _reverts(step: Operation) -> bool:
    match step:
        case NetemGone() | TableGone() | FillGone():
            return True
        case WriteFile():
            return step.path.startswith("cgroup:/") and ".." not in step.path
        case SignalTarget():
            return step.signal == "CONT"
        case KubeCall():
            return step.verb in _REVERTS
        case _:
            return False


def _on_engine(engine: Engine) -> Iterator[Leftover]:
    """Helpers of ours that are still there: an engine has no place for records."""
    client = EngineClient(engine)
    filters = msgspec.json.encode({"label": ["squall.run", "squall.role=hand"]}).decode()
    for item in client.get("/containers/json", all="true", filters=filters):
        labels, name = item["Labels"], item["Names"][0].lstrip("/")
        lives = item["State"] == "running"
        yield Leftover(
            labels["squall.run"],
            name,
            engine.url,
            lives=lives,
            problem=f"{name} on {engine.url}: `squall rollback` on the machine that ran {labels['squall.run']} undoes it;"
            f" where that machine is lost, read `docker logs {name}`: it undid by itself when its lease ended",
        )
