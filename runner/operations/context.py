"""What performing an operation needs from its hand, and gives back to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from runner.operations.record import Reading


@dataclass(frozen=True, slots=True)
class Stand:
    """The container that a helper is posted to, as seen from the helper.

    *pid* of its main process in the helper's pid namespace (0: not seen), *cgroups*: controller (`v2` for the
    unified hierarchy) -> directory. A path `cgroup:/memory.max` means that file of the container's cgroup.
    """

    container: str
    pid: int = 0
    cgroups: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What an operation cannot know by itself.

    *listeners*: name -> descriptor of the guardian's sockets that this process inherited.
    *taken_over*: the runner is dead; what managed targets lost is not started again.
    *stand*: where a helper stands; None in a hand of the guardian.
    """

    listeners: dict[str, int] = field(default_factory=dict)
    taken_over: bool = False
    stand: Stand | None = None


class Held(Protocol):
    """An effect that lasts only while it is held: the hand calls tick() when due, release() at the end."""

    @property
    def reading(self) -> Reading:
        """What it has done so far."""

    def tick(self) -> float:
        """Do what is due; return the seconds until the next tick, inf if there is none."""

    def release(self) -> None:
        """Let go of everything. Safe to repeat."""
