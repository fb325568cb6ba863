"""What the record of an undo may ask for: the operations that faults undo by at a post, on what is ours alone.

A record is text that others may have edited. Paths, names and values that elsewhere are taken as they come, since
they come from us, are bounded here.
"""

from __future__ import annotations

import re

import msgspec

from runner.cgroups import LIMITS
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
from runner.places import Post

_PLACE = "cgroup:/"  # where alone files of a record may lie
_THAWED = {"cgroup.freeze": "0", "freezer.state": "THAWED"}  # of a freezer, nothing else is an undo
_FILL = re.compile(r"squall-fill-[0-9a-f]{12}")
_TABLE = re.compile(r"squall_[a-z0-9_]+")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")  # of an object in a cluster
_CONTAINER = re.compile(r"[0-9a-f]{64}|")
_POD = re.compile(r"[0-9a-f-]{32,36}|")
_UNDOES = {  # verb: kinds that have it, and the values that undo
    "scale": (("deployment", "statefulset"), re.compile(r"[0-9]+")),
    "cordon": (("node",), re.compile("false")),
    "taint": (("node",), re.compile("")),
}
_LONGEST = 200  # characters of an operation that are shown


def stranger_in(undo: AfarGone) -> str:
    """Say what in it no record of ours has; empty where it may be performed."""
    post = undo.post
    if not (_CONTAINER.fullmatch(post.container) and _POD.fullmatch(post.pod) and _is_name(post.node)):
        return f"no post is at {_shown(_where(post))}: somebody wrote it in"
    for operation in undo.undo:
        if not _is_ours(operation):
            return f"no undo at a post is {_shown(operation)}: somebody wrote it in"
    return ""


def _is_ours(operation: Operation) -> bool:
    match operation:
        case WriteFile(path=path, value=value):
            file = path.removeprefix(_PLACE)
            return path.startswith(_PLACE) and file in LIMITS and value == _THAWED.get(file, value)
        case FillGone(name=name):
            return bool(_FILL.fullmatch(name))
        case TableGone(table=table):
            return bool(_TABLE.fullmatch(table))
        case KubeCall():
            return _is_call_of_ours(operation)
        case NetemGone() | SignalTarget(signal="CONT"):
            return True
        case _:
            return False


def _is_call_of_ours(call: KubeCall) -> bool:
    """Whether it is the reverter's, about one object, and sets what an undo sets."""
    kinds, values = _UNDOES.get(call.verb, ((), _NAME))
    return (
        call.cluster.kubeconfig == "in-cluster"
        and call.kind in kinds
        and bool(call.name and _is_name(call.name) and _is_name(call.namespace))
        and bool(values.fullmatch(call.value))
    )


def _is_name(text: str) -> bool:
    return not text or bool(_NAME.fullmatch(text))


def _where(post: Post) -> dict[str, str]:
    return {"node": post.node, "pod": post.pod, "container": post.container}


def _shown(what: object) -> str:
    return msgspec.json.encode(what).decode()[:_LONGEST]
