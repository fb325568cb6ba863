"""What runner, guardian and hands say to each other: typed values, one packet each."""

from __future__ import annotations

import msgspec

from runner.clock import TimeAnchor
from runner.operations.record import Act, Operation, Reading
from runner.timeline import ActChanged


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """From the runner. *request* comes back in the reply."""

    request: int = 0


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """Begin: *lease* seconds of silence mean that the runner hangs. *journal*: roll this one back instead."""

    run: str
    lease: float
    anchor: TimeAnchor
    report: str  # folder; empty where there is none
    state: str  # folder of this machine's state
    journal: str = ""


class Listen(_Request, frozen=True, kw_only=True, tag="listen"):
    """Hold a listening socket by *name*; port 0 takes any."""

    name: str
    host: str
    port: int


class Adopt(_Request, frozen=True, kw_only=True, tag="adopt"):
    """A process of the load: to be killed when the runner is gone."""

    pid: int


class Arm(_Request, frozen=True, kw_only=True, tag="arm"):
    """Bring the way back of *act* on record and into memory."""

    act: Act


class Inject(_Request, frozen=True, kw_only=True, tag="inject"):
    """Do an armed act."""

    act: str


class Confirm(_Request, frozen=True, kw_only=True, tag="confirm"):
    """Read whether an injected act has its effect."""

    act: str


class Undo(_Request, frozen=True, kw_only=True, tag="undo"):
    """Undo one act."""

    act: str


class UndoAll(_Request, frozen=True, kw_only=True, tag="undo-all"):
    """Undo all acts of at least this rank, higher ranks first."""

    rank_at_least: int = 0


class Beat(_Request, frozen=True, kw_only=True, tag="beat"):
    """The runner's watch loop turns."""


class Expect(_Request, frozen=True, kw_only=True, tag="expect"):
    """So many acts will be injected at once: their hands shall be warm by then."""

    acts: int


class Bye(_Request, frozen=True, kw_only=True, tag="bye"):
    """The run is over: undo what is left, close the journal, end."""


Request = Hello | Listen | Adopt | Arm | Inject | Confirm | Undo | UndoAll | Beat | Expect | Bye


class _Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """From the guardian. *moment*: monotonic seconds at which it happened there."""

    request: int = 0
    moment: float = 0.0


class Ready(_Reply, frozen=True, kw_only=True, tag="ready"):
    """The guardian can arm."""


class Listening(_Reply, frozen=True, kw_only=True, tag="listening"):
    """The socket is held, on this port."""

    port: int


class Refusal(_Reply, frozen=True, kw_only=True, tag="refused"):
    """The request cannot be met; nothing was touched."""

    reason: str


class IsArmed(_Reply, frozen=True, kw_only=True, tag="armed"):
    """The way back is on disk and in memory, and a warm hand waits for it."""


class Injected(_Reply, frozen=True, kw_only=True, tag="injected"):
    """The act was done."""

    readings: tuple[Reading, ...]


class Failed(_Reply, frozen=True, kw_only=True, tag="failed"):
    """The act was not, or not wholly done; it is being undone all the same."""

    reason: str
    readings: tuple[Reading, ...] = ()


class WasConfirmed(_Reply, frozen=True, kw_only=True, tag="confirmed"):
    """What the act's confirmation read."""

    act: str
    readings: tuple[Reading, ...]


class Undone(_Reply, frozen=True, kw_only=True, tag="undone"):
    """An act is clean, or dirty with a *remedy* for a human."""

    act: str
    clean: bool
    evidence: str = ""
    remedy: str = ""


class AllUndone(_Reply, frozen=True, kw_only=True, tag="all-undone"):
    """An `undo-all` is through; the Undone of each act came before."""


class Alive(_Reply, frozen=True, kw_only=True, tag="beat"):
    """The guardian's loop turns."""


class Happened(_Reply, frozen=True, kw_only=True, tag="happened"):
    """An act changed its state."""

    event: ActChanged


class Ended(_Reply, frozen=True, kw_only=True, tag="ended"):
    """The last word; *notes* say what was odd about the journal or what was left over."""

    dirty: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Reply = (
    Ready | Listening | Refusal | IsArmed | Injected | Failed | WasConfirmed
    | Undone | AllUndone | Alive | Happened | Ended
)  # fmt: skip


class Task(msgspec.Struct, frozen=True, kw_only=True, tag="task"):
    """Operations for a hand. *listeners* names the descriptors that come with the packet, in their order.

    *to_the_end*: go on after an operation that fails (a way back), else stop there.
    """

    task: int
    operations: tuple[Operation, ...]
    to_the_end: bool = False
    taken_over: bool = False
    listeners: tuple[str, ...] = ()


class LetGo(msgspec.Struct, frozen=True, kw_only=True, tag="let-go"):
    """Release what the task holds."""

    task: int


ToHand = Task | LetGo


class HandReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Everything is imported."""


class TaskDone(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The task is over; *problem* says which operation failed, if one did. *lost*: what it held is out of reach."""

    task: int
    readings: tuple[Reading, ...]
    problem: str = ""
    lost: bool = False


class TaskHeld(msgspec.Struct, frozen=True, kw_only=True, tag="held"):
    """The task's effect lasts while this hand lives."""

    task: int
    readings: tuple[Reading, ...]


FromHand = HandReady | TaskDone | TaskHeld

PACKET = 1 << 20  # bytes; the kernel refuses what does not fit the socket's buffer, nothing is cut silently

_encoder = msgspec.msgpack.Encoder()
pack = _encoder.encode
read_request = msgspec.msgpack.Decoder(Request).decode
read_reply = msgspec.msgpack.Decoder(Reply).decode
read_to_hand = msgspec.msgpack.Decoder(ToHand).decode
read_from_hand = msgspec.msgpack.Decoder(FromHand).decode
