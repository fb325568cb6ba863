"""What a helper is told and what it says, as values: JSON, one to a line."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.operations.record import Operation, Reading
from runner.places import Post

Role = Literal["hand", "warden", "look", "undo"]
ROLES: tuple[Role, ...] = ("hand", "warden", "undo", "look")

CLEAN, DIRTY = 0, 5  # exit codes of a helper


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The first line that a helper reads. A hand does; a hand and a warden undo; `undo` only undoes; `look` looks."""

    role: Role
    post: Post
    do: tuple[Operation, ...] = ()
    undo: tuple[Operation, ...] = ()
    confirm: tuple[Operation, ...] = ()
    lease: float = 5.0
    containers: tuple[str, ...] = ()  # to look at


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """What comes after: a beat renews the lease; undo ends it, and says what became of the other helper.

    Leave ends it without an undo: the other helper has touched nothing.
    """

    say: Literal["beat", "undo", "leave"]
    other_gone: bool = False


class ContainerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a look sees of one container; *pid* in the pid namespace of the node, 0 where it is not there."""

    pid: int = 0
    cgroup_version: int = 0
    cgroups: dict[str, str] = {}  # controller (v2 for the unified hierarchy) -> directory
    files: dict[str, str] = {}  # limits that a fault may change, by file name, as they read now
    cores: float = 1.0
    held: int = 0  # bytes of memory that the kernel cannot take back


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a look sees of a node and of the containers asked for."""

    boot: str = ""
    kernel: tuple[str, ...] = ()
    containers: dict[str, ContainerFacts] = {}


State = Literal["ready", "done", "failed", "seen", "clean", "dirty", "facts"]
Why = Literal["", "told", "hung up", "silence", "signal", "failed", "nothing done"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a helper says. *why* it undid, or need not; *after_other*: it was told before that its other was gone.

    *at* is seconds on the clock of its node, good for differences only.
    """

    state: State
    readings: tuple[Reading, ...] = ()
    problem: str = ""
    why: Why = ""
    after_other: bool = False
    facts: NodeFacts | None = None
    at: float = 0.0


def line(value: Orders | Say | Report) -> bytes:
    """Write a value as one line."""
    return msgspec.json.encode(value) + b"\n"


read_orders = msgspec.json.Decoder(Orders).decode
read_say = msgspec.json.Decoder(Say).decode
_read_report = msgspec.json.Decoder(Report).decode


def read_report(text: bytes | str) -> Report | None:
    """Read a line of a helper; None where it is none of its reports."""
    try:
        return _read_report(text)
    except msgspec.DecodeError:
        return None
