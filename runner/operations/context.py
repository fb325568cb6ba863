"""What performing an operation needs from its hand, and gives back to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from runner.operations.record import Reading


@dataclass(frozen=True, slots=True)
class Context:
    """What an operation cannot know by itself.

    *listeners*: name -> descriptor of the guardian's sockets that this process inherited.
    *taken_over*: the runner is dead; what managed targets lost is not started again.
    """

    listeners: dict[str, int] = field(default_factory=dict)
    taken_over: bool = False


class Held(Protocol):
    """An effect that lasts only while it is held: the hand calls tick() when due, release() at the end."""

    @property
    def reading(self) -> Reading:
        """What it has done so far."""

    def tick(self) -> float:
        """Do what is due; return the seconds until the next tick, inf if there is none."""

    def release(self) -> None:
        """Let go of everything. Safe to repeat."""
