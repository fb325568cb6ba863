"""What every fault kind is: a frozen record of its knobs that compiles to operations, purely."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from runner.operations.record import Identity, Operation, Spawn


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be hurt, with the facts read from it just before compiling.

    Exactly one of *process* and *socket* (a link's control socket) is set; neither for a target that is only a url.
    """

    target: str
    name: str  # "shop.1"; a link's is its target's name
    process: Identity | None = None
    spawn: Spawn | None = None  # how a managed process is started again
    socket: str = ""
    address: str = ""  # host:port it serves on, where known
    limits: dict[str, tuple[int, int]] = {}  # resource -> (soft, hard), for AS and DATA
    rss: int = 0  # bytes
    cores: float = 1.0  # that it may use
    cgroup: str = ""  # directory of a cgroup of its own that we may write; empty: none
    cgroup_version: int = 0
    cgroup_files: dict[str, str] = {}  # current values of files a fault may change, by file name


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault on one instance does, how it is undone, how it is confirmed."""

    do: tuple[Operation, ...]
    undo: tuple[Operation, ...]
    confirm: tuple[Operation, ...] = ()
    expiry: bool = False
    deadline: float = 10.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A kind of fault; the fields of a subclass are its knobs in YAML, annotated with units."""

    platforms: ClassVar[frozenset[str]] = frozenset()  # of "process", "link"
    property: ClassVar[str] = ""  # what of the instance it owns: life, cpu, memory, latency, …
    recovers_from: ClassVar[str] = "undo"  # recovery counts from "undo" or from "injection"
    executes: ClassVar[bool] = False  # runs code that the scenario brought

    def compile(self, instance: Instance) -> Steps:
        """Turn the knobs and the facts of *instance* into operations. Touches nothing. Raises Refused."""
        raise NotImplementedError

    def does(self) -> str:
        """Say in a few words what this does, for plan and report: `delay 80ms ± 20ms`."""
        raise NotImplementedError
