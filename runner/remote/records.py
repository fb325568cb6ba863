"""Records in a cluster of how to undo what interrupted runs did there: written before the harm, deleted last.

Whoever may edit ConfigMaps in the helpers' namespace may edit them: only the closed set of operations that an undo
at a post is made of is taken from there, on what is ours alone, and never an image.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runner.operations.record import AfarGone
from runner.places import Cluster
from runner.remote.allowed import stranger_in
from runner.remote.kubernetes import ClusterClient

LABEL = "squall.role=record"


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """One record: what undoes it, who wrote it and when. *problem*: why it must not be performed."""

    name: str
    run: str
    act: str = ""
    owner: str = ""
    written: str = ""
    undo: AfarGone | None = None
    problem: str = ""


def leftovers(cluster: Cluster, namespace: str, image: str = "") -> list[Leftover]:
    """Read the records in the helpers' namespace; helpers that undo are to be made of *image*. Raises ApiError."""
    client = ClusterClient(cluster)
    uid = client.uid()
    here = msgspec.structs.replace(cluster, uid=uid)
    found = client.get(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector=LABEL)["items"]
    return [_leftover(each, here, namespace, image) for each in found]


def _leftover(record: dict[str, Any], cluster: Cluster, namespace: str, image: str) -> Leftover:
    data, meta = record.get("data") or {}, record["metadata"]
    found = Leftover(
        name=str(meta["name"]),
        run=str((meta.get("labels") or {}).get("squall.run", "")),
        owner=str(data.get("owner", "")),
        written=str(data.get("written", "")),
    )
    try:
        undo = msgspec.json.decode(data.get("undo", ""), type=AfarGone)
    except msgspec.DecodeError as error:
        return msgspec.structs.replace(found, problem=f"it cannot be read: {error}")
    if problem := _problem(undo, cluster, namespace):
        return msgspec.structs.replace(found, problem=problem)
    post = msgspec.structs.replace(undo.post, cluster=cluster, image=image)
    return msgspec.structs.replace(found, act=undo.act, undo=msgspec.structs.replace(undo, post=post))


def _problem(undo: AfarGone, cluster: Cluster, namespace: str) -> str:
    """Say what a record of ours would not say; empty where it may be performed."""
    post = undo.post
    if post.cluster is None or post.engine is not None or post.namespace != namespace:
        return "it does not belong to this namespace"
    if post.cluster.uid and post.cluster.uid != cluster.uid:
        return f"it belongs to another cluster ({post.cluster.uid})"
    return stranger_in(undo)
