"""What goes into the guardian's core and comes out of it: events and orders, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from runner.guardian import messages
from runner.operations.record import Act, Operation, Reading

ActState = Literal["armed", "injecting", "injected", "failed", "undoing", "clean", "dirty"]
Early = Literal[
    "", "over", "lost"
]  # of failed: it had been injected, and ended by itself, or nobody can tell
Purpose = Literal["do", "undo", "confirm"]


@dataclass(frozen=True, slots=True)
class Written:
    """A record that was waited for is on disk."""

    ticket: int


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """A record that was waited for is not on disk."""

    ticket: int
    why: str


@dataclass(frozen=True, slots=True)
class Hands:
    """So many hands are warm and idle now; *problem*: why no more can be started."""

    idle: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A task is over, with or without a problem; its hand can do nothing more about it. *lost*: it is out of reach."""

    task: int
    readings: tuple[Reading, ...] = ()
    problem: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A task did its work and lasts until it is released."""

    task: int
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A task's hand has ended, with all it started, without a result: what it did is unknown."""

    task: int
    why: str


@dataclass(frozen=True, slots=True)
class RunnerGone:
    """The runner has ended, hung up, or never was (a rollback); or it *lives*, but the guardian has to give up."""

    why: str
    lives: bool = False


@dataclass(frozen=True, slots=True)
class Purged:
    """What carried the run's mark has ended, but for what is named."""

    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    messages.Arm | messages.Inject | messages.Confirm | messages.Undo | messages.UndoAll | messages.Beat
    | messages.Expect
    | messages.Bye | Written | WriteFailed | Hands | Done | Holding | Lost | RunnerGone | Purged | Tick
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the runner."""

    reply: messages.Reply


@dataclass(frozen=True, slots=True)
class Change:
    """Put on the timeline that an act changed its state."""

    act: Act
    state: ActState
    evidence: str = ""
    remedy: str = ""
    early: Early = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Put a record into the journal. With a *ticket*, say when it is on disk."""

    record: Any  # a journal.Record; the core need not know the journal
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Perform:
    """Give operations to a hand."""

    task: int
    operations: tuple[Operation, ...]
    purpose: Purpose
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """Ask the hand that holds a task to let go."""

    task: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the hand that has a task, and what it started; then say Lost."""

    task: int


@dataclass(frozen=True, slots=True)
class Want:
    """Keep *ready* hands warm and idle; never give the last *reserve* of them to anything but an undo."""

    ready: int
    reserve: int


@dataclass(frozen=True, slots=True)
class KillRunner:
    """Kill what is left of the runner and of the load."""


@dataclass(frozen=True, slots=True)
class Purge:
    """Kill whatever still carries the run's mark; then say Purged."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the journal (it stays armed where acts are *dirty*) and end."""

    dirty: tuple[str, ...] = ()
    request: int = 0
    notes: tuple[str, ...] = ()


Order = Say | Change | Write | Perform | Release | Kill | Want | KillRunner | Purge | Finish
