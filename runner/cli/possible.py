"""Which fault kinds work here, on what: a table of kind and platform, and why not where they do not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from runner.errors import Refused, SquallError
from runner.faults import KINDS
from runner.faults.record import Fault, Instance, Pod
from runner.language import usual_engine, usual_kubeconfig
from runner.operations.kernel import kernel_features
from runner.operations.record import Identity, Spawn
from runner.places import Cluster, Engine, Post
from runner.planning.scouting import made_up
from runner.remote.docker import EngineClient
from runner.remote.kubernetes import ClusterClient
from runner.units import EXAMPLES, Quantity, parse

PLATFORMS = ("process", "link", "container", "pod", "node", "wire")
_PATIENCE = 1.5  # seconds that an engine or a cluster may take: this is a table, not an experiment
_YES, _NO, _NEVER = "yes", "no", "-"


class Here:
    """What this machine reaches, asked once."""

    def __init__(self) -> None:
        local = False
        try:
            engine = usual_engine()
            self.docker = _reason("Docker engine", engine.url, lambda: EngineClient(engine).ping())
            local = engine.url.startswith("unix:")
        except Refused as error:
            self.docker = str(error)
        where = usual_kubeconfig()
        self.cluster = _reason(
            "cluster", where, lambda: ClusterClient(Cluster(kubeconfig=where)).get("/version")
        )
        self.kernel = kernel_features() if local and os.geteuid() == 0 else None

    def why_not(self, kind: type[Fault], platform: str) -> str | None:
        """Say why a kind cannot be had on a platform here; "" where it can, None where it is not meant for it."""
        if platform not in kind.platforms:
            return None
        if platform in ("container", "wire") and self.docker and (platform == "container" or self.cluster):
            return self.docker if platform == "container" else f"{self.docker}; {self.cluster}"
        if platform in ("pod", "node") and self.cluster:
            return self.cluster
        fault = sample(kind)
        if fault is None:
            return ""
        reason = fault.unsuited(platform)
        try:
            fault.compile(self._instance(platform))
        except Refused as error:
            reason = reason or str(error).removeprefix("any.0: ")
        word = str(kind.__struct_config__.tag)  # without it, kinds that lack the same share a note
        return reason.removeprefix(f"{word}: ").removeprefix(f"{word} ")

    def _instance(self, platform: str) -> Instance:
        """An instance as there could be one here: on containers with the kernel of this machine."""
        post = Post(engine=Engine(), image="squall", container="0" * 64)
        made = made_up(
            Instance(
                target="any",
                name="any.0",
                platform=platform,  # type: ignore[arg-type]  # one of PLATFORMS
                process=Identity(pid=1, started=1, boot="") if platform == "process" else None,
                spawn=Spawn(run="", instance="any.0", argv=("true",)) if platform == "process" else None,
                socket="any.sock" if platform == "link" else "",
                limits={"AS": (-1, -1), "DATA": (-1, -1)},
                engine=Engine() if platform in ("container", "wire") else None,
                container="0" * 64,
                pod=_POD if platform in ("pod", "node") else None,
                post=post,
                reverter=post,
                peers=("192.0.2.1",),
                port=80,
            )
        )
        if platform == "process":
            return msgspec.structs.replace(made, cgroup_files={}, cgroup_version=0)
        if self.kernel is None or platform not in ("container", "wire"):
            return made  # what the kernel of a node can do, the plan finds out there
        return msgspec.structs.replace(made, kernel=tuple(self.kernel))


_POD = Pod(
    cluster=Cluster(),
    namespace="any",
    name="any",
    uid="any",
    node="any",
    node_uid="any",
    workload="deployment/any",
    workload_uid="any",
    replicas=2,
)


def table(here: Here) -> list[str]:
    """Make the table in lines, each reason a note below it."""
    notes: list[str] = []
    rows = [["", *PLATFORMS]]
    for word, kind in KINDS.items():
        rows.append([word, *(_cell(here.why_not(kind, platform), notes) for platform in PLATFORMS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    said = [f"({number}) {note}" for number, note in enumerate(notes, 1)]
    if not here.cluster:
        said.append("What the kernel of a node can do, `squall plan` finds out there.")
    return [*lines, "", *said, ""]


def _cell(reason: str | None, notes: list[str]) -> str:
    if reason is None:
        return _NEVER
    if not reason:
        return _YES
    if reason not in notes:
        notes.append(reason)
    return f"{_NO} ({notes.index(reason) + 1})"


def sample(kind: type[Fault]) -> Fault | None:
    """Make a fault of a kind with the least that it needs; None where that cannot be guessed."""
    given: dict[str, Any] = {
        field.name: _example(field.type) for field in msgspec.structs.fields(kind) if field.required
    }
    optional = [field for field in msgspec.structs.fields(kind) if not field.required and not field.default]
    for more in ({}, *({field.name: _example(field.type)} for field in optional)):
        try:
            return kind(**given, **more)
        except ValueError:
            continue
    return None


def _example(kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        mark = next((one for one in arguments[1:] if isinstance(one, Quantity)), None)
        return parse(mark.kind, EXAMPLES[mark.kind]) if mark else _example(arguments[0])
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return (_example(arguments[0]),)
    if arguments:
        return _example(next(one for one in arguments if one is not type(None)))
    return {int: 1, float: 1.0, str: "any", bool: True}.get(kind)


def _reason(what: str, where: str, ask: Callable[[], object]) -> str:
    """Say why *what* cannot be reached; "" where it answers in time."""
    found = [f"no {what} answered at {where} within {_PATIENCE:g}s"]

    def run() -> None:
        try:
            ask()
        except SquallError as error:
            found[0] = f"no {what} is reachable: {error}"
        else:
            found[0] = ""

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return found[0]
