"""How often instances began anew since the first look, without Squall starting them: by a supervisor, an engine, a kubelet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.errors import OperationFailed, ProbeFailed
from runner.faults.record import Instance
from runner.indicators.probe import Reading
from runner.processes import state_of
from runner.remote.docker import EngineClient
from runner.remote.kubernetes import ClusterClient


@dataclass(frozen=True, slots=True)
class _Life:
    """One life of an instance, and how many restarts its engine or kubelet had counted then."""

    who: str
    counted: int = 0
    stopped: str = ""  # why it does not run at this moment, though it may come back by itself


class Restarts:
    """Counts new lives of each instance. Who was seen once is looked for until it is removed.

    What Squall started is started again by nobody else, so a new life of it is none of its own doing. A container that
    was started anew counts whoever did it; a pod that took the place of another begins with its own count.
    """

    def __init__(self) -> None:
        self._known: dict[str, Instance] = {}
        self._lives: dict[str, _Life] = {}
        self._count: dict[str, int] = {}

    @property
    def known(self) -> bool:
        """Whether it has seen anybody yet."""
        return bool(self._known)

    def read(self, instances: Sequence[Instance]) -> list[Reading]:
        """One reading for each instance ever seen; an error for one that does not live now. Raises ProbeFailed."""
        self._known |= {each.name: each for each in instances}
        if not self._known:
            raise ProbeFailed("none of its instances runs")
        readings = [self._reading(each, here=each in instances) for each in list(self._known.values())]
        return [reading for reading in readings if reading is not None]

    def _reading(self, instance: Instance, *, here: bool) -> Reading | None:
        name = instance.name
        try:
            life = _life(instance, here=here)
        except OperationFailed as error:
            if instance.pod is not None and getattr(error, "status", 0) == 404:
                del self._known[name]  # deleted: whoever takes its place counts for itself
                return None
            return Reading(instance=name, error=str(error))
        last = self._lives.get(name, life)
        self._lives[name] = life
        anew = max(life.counted - last.counted, int(life.who != last.who))
        if instance.spawn is None:
            self._count[name] = self._count.get(name, 0) + anew
        if life.stopped and not self._count.get(name):
            return Reading(instance=name, error=life.stopped)
        return Reading(instance=name, value=float(self._count.get(name, 0)))


def _life(instance: Instance, *, here: bool) -> _Life:
    """Who it is now. Raises OperationFailed where it does not live."""
    if instance.pod is not None:
        pod = instance.pod
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        told = ClusterClient(pod.cluster).get(path)["status"].get("containerStatuses") or ()
        counted = sum(int(one.get("restartCount", 0)) for one in told)
        runs = bool(told) and all("running" in (one.get("state") or {}) for one in told)
        return _Life(pod.uid, counted, "" if runs else f"{instance.name} ({pod.name}) does not run")
    if instance.engine is not None:
        told = EngineClient(instance.engine).get(f"/containers/{instance.container}/json")
        if not told["State"]["Running"]:
            raise OperationFailed(f"{instance.name} ({instance.known_as}) is {told['State']['Status']}")
        return _Life(told["State"]["StartedAt"], int(told.get("RestartCount", 0)))
    if not here or instance.process is None or not state_of(instance.process):
        raise OperationFailed(f"{instance.name} ended")
    return _Life(f"{instance.process.pid} {instance.process.started}")
