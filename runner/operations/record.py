"""The closed set of operations: everything that Squall can do to a target, as values.

A fault kind compiles to them, the plan prints them, the journal stores them, hands perform them.
An operation that sets something names the value it expects to find when it is undone.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from runner.operations.record_base import BaseOperation, Identity
from runner.operations.record_files import CheckCounter, CheckFile, CheckMost, Holding, WriteFile
from runner.operations.record_network import (
    CheckNetem,
    CheckTable,
    Cut,
    Match,
    Netem,
    NetemGone,
    Serve,
    TableGone,
)
from runner.operations.record_post import CheckFill, CheckTarget, Fill, FillGone, SignalTarget
from runner.operations.record_remote import (
    Await,
    CheckContainer,
    CheckDrained,
    CheckKube,
    DockerCall,
    Drain,
    KubeCall,
)
from runner.places import Post

__all__ = [
    "Act",
    "Afar",
    "AfarGone",
    "Await",
    "Ballast",
    "CheckAfar",
    "CheckContainer",
    "CheckCounter",
    "CheckDrained",
    "CheckFile",
    "CheckFill",
    "CheckKube",
    "CheckLimit",
    "CheckLink",
    "CheckMost",
    "CheckNetem",
    "CheckProcess",
    "CheckShare",
    "CheckTable",
    "CheckTarget",
    "Cut",
    "DockerCall",
    "Drain",
    "Fill",
    "FillGone",
    "Holding",
    "Identity",
    "KubeCall",
    "LinkSet",
    "Match",
    "Netem",
    "NetemGone",
    "Operation",
    "Reading",
    "Run",
    "Serve",
    "SetLimit",
    "Signal",
    "SignalTarget",
    "Spawn",
    "Squeeze",
    "Stop",
    "TableGone",
    "WriteFile",
]


class Signal(BaseOperation, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to a process by pidfd. A process that is gone is fine where *gone_is_fine*."""

    process: Identity
    signal: Literal["KILL", "STOP", "CONT", "TERM", "INT", "HUP", "USR1", "USR2"]
    gone_is_fine: bool = True


class Spawn(BaseOperation, frozen=True, kw_only=True, tag="spawn"):
    """Start a process in a session of its own, unless one of this *run* and *instance* lives already.

    Its environment carries SQUALL_RUN=run and SQUALL_INSTANCE=instance. *env* holds plain values,
    *env_from* names variables taken from the guardian's environment (never recorded).
    *listeners*: names of listening sockets of the guardian, passed as fds; their numbers are in
    SQUALL_LISTENERS as name=fd,name=fd. Skipped when the guardian has taken over from a dead runner.
    """

    run: str
    instance: str
    argv: tuple[str, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    cwd: str = ""
    log: str = ""
    listeners: tuple[str, ...] = ()


class Stop(BaseOperation, frozen=True, kw_only=True, tag="stop"):
    """End every process of *run* and *instance* and their sessions: TERM, then KILL after *grace* seconds."""

    run: str
    instance: str
    grace: float = 1.0


class SetLimit(BaseOperation, frozen=True, kw_only=True, tag="set-limit"):
    """Set a soft resource limit by prlimit (bytes; -1 is unlimited), only where it is *expect* (None: whatever).

    A limit that is neither *expect* nor *soft* is left alone and reported.
    """

    process: Identity
    resource: Literal["AS", "DATA", "NOFILE", "CPU"]
    soft: int
    expect: int | None = None
    gone_is_fine: bool = True


class Squeeze(BaseOperation, frozen=True, kw_only=True, tag="squeeze"):
    """Hold processes to *share* of the CPU they may use by SIGSTOP and SIGCONT in turn, while the hand lives."""

    holds: ClassVar[bool] = True

    processes: tuple[Identity, ...]
    share: float
    period: float = 0.05


class Ballast(BaseOperation, frozen=True, kw_only=True, tag="ballast"):
    """Hold *size* bytes of touched memory while the hand lives."""

    holds: ClassVar[bool] = True

    size: int


class LinkSet(BaseOperation, frozen=True, kw_only=True, tag="link-set"):
    """Set one property of a link of ours by its control socket; *value* None heals it.

    property: latency, bandwidth, blackhole, reset, refuse, slow_close. A link that is gone is healed.
    With *expect*, a value that is neither *expect* nor healed is left alone and reported.
    With *replace*, a proxy that hangs while it is to be healed is killed: a Spawn that follows replaces it.
    """

    link: str
    socket: str  # path of the proxy's control socket
    property: str
    value: dict[str, float | str | bool] | None = None
    expect: dict[str, float | str | bool] | None = None
    replace: bool = False


class Run(BaseOperation, frozen=True, kw_only=True, tag="run"):
    """Run a user's command (argv, never a shell of ours) to its end; exit 0 is success."""

    argv: tuple[str, ...]
    cwd: str = ""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    timeout: float = 10.0


class CheckProcess(BaseOperation, frozen=True, kw_only=True, tag="check-process"):
    """Read a process: expect `gone`, `stopped`, `running`, or `born` (a living process of run and instance)."""

    expect: Literal["gone", "stopped", "running", "born"]
    process: Identity | None = None
    run: str = ""
    instance: str = ""


class CheckLimit(BaseOperation, frozen=True, kw_only=True, tag="check-limit"):
    """Read a soft limit and expect a value."""

    process: Identity
    resource: Literal["AS", "DATA", "NOFILE", "CPU"]
    soft: int


class CheckLink(BaseOperation, frozen=True, kw_only=True, tag="check-link"):
    """Read a link: is the property set, and what did it do (its counter) since it was set?

    True: set and its counter moved. None: set, but nothing passed by that it could have hurt. False: not set.
    """

    link: str
    socket: str
    property: str


class CheckShare(BaseOperation, frozen=True, kw_only=True, tag="check-share"):
    """Measure the CPU share that processes get over *window* seconds. True where at most *most*.

    None where they asked for less anyway and the mechanism cannot be seen at work. *stops*: it works by stopping
    them, and only that counts: who happens to use about as much is not held back.
    """

    processes: tuple[Identity, ...]
    most: float
    stops: bool = False
    window: float = 0.5


class Afar(BaseOperation, frozen=True, kw_only=True, tag="afar"):
    """Hold an effect at another place by two helpers there: one does and undoes, a warden undoes for it.

    Both undo when we let go, hang up, or are silent for *lease* seconds; either does for the other.
    """

    holds: ClassVar[bool] = True

    run: str = ""
    act: str = ""
    post: Post
    do: tuple[Operation, ...]
    undo: tuple[Operation, ...]
    confirm: tuple[Operation, ...] = ()
    lease: float = 5.0


class AfarGone(BaseOperation, frozen=True, kw_only=True, tag="afar-gone"):
    """Make sure that both helpers undid and left; where none says so, a fresh one undoes. Then none is there."""

    run: str = ""
    act: str = ""
    post: Post
    undo: tuple[Operation, ...]
    lease: float = 5.0


class CheckAfar(BaseOperation, frozen=True, kw_only=True, tag="check-afar"):
    """Read what the helper's own checks saw last."""

    run: str = ""
    act: str = ""
    post: Post


Operation = (
    Signal | Spawn | Stop | SetLimit | WriteFile | Squeeze | Ballast | LinkSet | Run
    | CheckProcess | CheckLimit | CheckFile | CheckLink | CheckShare | CheckCounter | CheckMost
    | Await | Drain | CheckDrained | SignalTarget | CheckTarget | Netem | NetemGone | CheckNetem | Cut | Serve | TableGone | CheckTable
    | Fill | FillGone | CheckFill | DockerCall | CheckContainer | KubeCall | CheckKube
    | Afar | AfarGone | CheckAfar
)  # fmt: skip


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation saw. ok: True as wanted, False not, None cannot be told. *evidence* is one sentence.

    *processes*: identities of what was spawned or found, for the runner. *looked*: whether anybody could look at all.
    """

    ok: bool | None = True
    evidence: str = ""
    processes: tuple[Identity, ...] = ()
    looked: bool = True


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One fault on one instance (or one managed process), compiled: what is done, undone and confirmed.

    *id* is unique in the run: `kill-one/0/shop.1` (fault, occurrence, instance) or `start/shop.1`.
    *owns* names the property of the instance that this act owns, e.g. `shop.1 life`, `store latency`.
    *rank*: acts of higher rank are undone first (faults 1, managed processes and proxies 0).
    *deadline*: seconds that do, and undo, may each take.
    *expiry*: true where the effect ends by itself when guardian and hands are gone.
    """

    id: str
    fault: str
    kind: str
    instance: str
    occurrence: int = 0
    owns: str = ""
    do: tuple[Operation, ...]
    undo: tuple[Operation, ...]
    confirm: tuple[Operation, ...] = ()
    rank: int = 1
    deadline: float = 10.0
    expiry: bool = False
