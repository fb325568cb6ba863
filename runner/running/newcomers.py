"""Who comes to a target while a fault lasts, and how many of them may be hurt too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from runner.faults.record import Instance
from runner.scenario import Limits


class Finder(Protocol):
    """Who knows the targets of a living run."""

    def instance(self, name: str) -> Instance: ...

    def present(self, target: str) -> Mapping[str, Instance]: ...

    def ended(self, instance: Instance) -> str: ...


class Newcomers:
    """Those of one target, from now on."""

    def __init__(self, victims: Finder, target: str, limits: Limits) -> None:
        self._victims, self._target, self._limits = victims, target, limits
        self._known = set(victims.present(target))

    def came(self) -> list[Instance]:
        """Who lives now and was not known; known from now on. Raises OperationFailed where nobody can say."""
        present = self._victims.present(self._target)
        came = [each for key, each in present.items() if key not in self._known]
        self._known.update(present)
        return came

    def within_limits(self, came: list[Instance], hurt: Collection[str]) -> list[Instance]:
        """Those of *came* that may join those *hurt*: as many as the environment allows of all that are there.

        Who is not ready does not count; those that are hurt may not be ready for that very reason.
        """
        present = self._victims.present(self._target).values() if came else ()
        struck = sum(one.name in hurt for one in present)
        well = sum(one.ready and one.name not in hurt for one in present)
        most, left = len(came), len(came)
        if self._limits.pick is not None:
            most = int(self._limits.pick * (struck + well) + 1e-9) - struck
        if self._limits.ready is not None:
            left = well - self._limits.ready
        return came[: max(0, min(most, left))]
