"""Who was found before a run and who stands in for them now: names stay, containers and pods come and go."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec

from runner import clock
from runner.errors import NobodyThere, OperationFailed, Refused
from runner.faults.record import Instance
from runner.operations.record import Identity
from runner.scenario import Environment
from runner.targets.elsewhere import resolve

FRESH = 0.3  # seconds that one look at an engine or a cluster is good for: a fault on 50 pods looks once


@dataclass(frozen=True, slots=True)
class Lineup:
    """What preparation found: processes that already run, and instances elsewhere with their facts, by target."""

    processes: dict[str, tuple[Identity, ...]] = field(default_factory=dict)
    elsewhere: dict[str, tuple[Instance, ...]] = field(default_factory=dict)

    def count(self, target: str) -> int:
        """How many instances of a target were found."""
        return len(self.processes.get(target, ())) or len(self.elsewhere.get(target, ()))

    def bodies(self) -> dict[str, Instance]:
        """The instances elsewhere by their names."""
        return {one.name: one for found in self.elsewhere.values() for one in found}


class Whereabouts:
    """Finds the instances of targets elsewhere again. Safe to use from several threads."""

    def __init__(self, environment: Environment, lineup: Lineup) -> None:
        self._environment = environment
        self._rooms = {name: _Room(name, found) for name, found in lineup.elsewhere.items()}
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, list[Instance]]] = {}

    def knows(self, target: str) -> bool:
        """Tell whether a target's instances live elsewhere."""
        return target in self._rooms

    def instance(self, target: str, name: str) -> Instance:
        """Who stands in for *name* now. Raises OperationFailed where nobody does."""
        with self._lock:
            return self._rooms[target].stand_in(name, self._look(target))

    def present(self, target: str) -> dict[str, Instance]:
        """Who is there now, by an id that nobody gets again; who was not planned has a name of its own."""
        with self._lock:
            return self._rooms[target].everyone(self._look(target))

    def _look(self, target: str) -> list[Instance]:
        at, found = self._seen.get(target, (float("-inf"), []))
        if clock.now() - at > FRESH:
            try:
                found = resolve(self._environment, target)
            except NobodyThere:
                found = []
            except Refused as error:
                raise OperationFailed(str(error)) from error
            self._seen[target] = clock.now(), found
        return found


class _Room:
    """The planned names of one target, and who has them."""

    def __init__(self, target: str, planned: tuple[Instance, ...]) -> None:
        self._target, self._planned = target, {one.name: one for one in planned}
        self._holders = {one.name: body(one) for one in planned}
        self._newcomers: dict[str, str] = {}  # body -> a name that no plan knows

    def stand_in(self, name: str, found: list[Instance]) -> Instance:
        living = {body(one): one for one in found}
        if self._holders[name] not in living:
            held = set(self._holders.values())
            free = [one for one in found if body(one) not in held]
            if not free:
                was = self._planned[name].known_as
                raise OperationFailed(f"{name} ({was}) is gone, and nothing has come in its place")
            self._holders[name] = body(free[-1])  # the newest
        return self._with_facts(living[self._holders[name]], name)

    def everyone(self, found: list[Instance]) -> dict[str, Instance]:
        names = {holder: name for name, holder in self._holders.items()}
        return {
            life(one): self._with_facts(one, names.get(body(one)) or self._new(body(one))) for one in found
        }

    def _new(self, whom: str) -> str:
        number = len(self._planned) + len(self._newcomers)
        return self._newcomers.setdefault(whom, f"{self._target}.{number}")

    def _with_facts(self, one: Instance, name: str) -> Instance:
        """Give it its name and what a look found out; who came later is taken to be like the one it stands in for."""
        like = self._planned.get(name) or self._like(one)
        return msgspec.structs.replace(
            one,
            name=name,
            held=like.held,
            cores=like.cores,
            cgroup_version=like.cgroup_version,
            cgroup_files=like.cgroup_files,
            kernel=like.kernel,
        )

    def _like(self, one: Instance) -> Instance:
        """Prefer a neighbour on the same node, which has the same kernel, of those that were looked at."""
        everyone = sorted(self._planned.values(), key=lambda each: not each.kernel)
        node = one.pod.node if one.pod else ""
        return next((each for each in everyone if each.pod and each.pod.node == node), everyone[0])


def body(one: Instance) -> str:
    """What keeps a name: a container through its restarts, a pod, a node."""
    if one.pod is not None:
        return one.pod.uid or one.pod.node_uid
    return one.container


def life(one: Instance) -> str:
    """What a fault hurts: a new life of a container begins without it; a pod's network outlives its containers."""
    return body(one) if one.pod is not None else f"{one.container}@{one.started}"
