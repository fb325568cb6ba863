"""Kill: processes, containers and pods end at once, without a chance to say goodbye."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from runner.errors import Refused
from runner.faults.afar import afar
from runner.faults.meant import WORKLOADS, the_pod, the_workload
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import engine_of, pod_of, process_of, suited
from runner.operations.record import (
    Await,
    CheckContainer,
    CheckProcess,
    CheckTarget,
    DockerCall,
    Operation,
    Signal,
    SignalTarget,
)
from runner.units import Duration, written

COMES_BACK = 60.0  # seconds that a controller gets to bring back what was killed, unless told otherwise
_LONGEST = 3600.0
STOPS = 28.0  # seconds: a stop takes an engine 10 s, and an undo waits up to 12 s, twice, for one cut short
_MARGIN = 5.0
_WAYS = {
    "process": ("kill",),
    "container": ("kill", "stop", "rm"),
    "pod": ("delete", "evict", "sigkill"),
}  # the first is what `auto` means
_MEANS = {
    "auto": "SIGKILL (a pod: deleted without grace)",
    "kill": "SIGKILL",
    "stop": "the container is stopped: SIGTERM, after 10s SIGKILL",
    "rm": "the container is killed and removed",
    "delete": "the pod is deleted without grace",
    "evict": "the pod is evicted as its budgets allow, with its grace",
    "sigkill": "SIGKILL of the main process in the pod's container",
}


class Kill(Fault, frozen=True, kw_only=True, tag="kill"):
    """End it: a process by SIGKILL; a container by *how* `kill` (default), `stop` or `rm`.

    A pod by `delete` without grace (default), `evict` as its budgets allow, or `sigkill` of the process in it: three
    different things. What Squall started, and a container, is started again by the undo, unless *restart* is
    `never`; a removed container cannot be, nor one of `docker run --rm`. A pod comes back by its controller, and the
    undo waits for that, at most *back_within*. A process that already ran when Squall came is left to its own supervisor.
    """

    platforms: ClassVar[frozenset[str]] = frozenset(_WAYS)
    property: ClassVar[str] = "life"
    recovers_from: ClassVar[str] = "injection"

    restart: Literal["always", "never"] = "always"
    how: Literal["auto", "kill", "stop", "rm", "delete", "evict", "sigkill"] = "auto"
    back_within: Duration = COMES_BACK

    def __post_init__(self) -> None:
        check_back_within(self.back_within)
        if self.restart == "never" and self.back_within != COMES_BACK:
            raise ValueError("back_within is how long somebody is awaited, and restart: never awaits nobody")
        if self.how == "rm" and self.restart == "always":
            raise ValueError(
                "how: rm removes the container with what it wrote, which nobody brings back; add restart: never,"
                " or write how: kill"
            )

    def unsuited(self, platform: str) -> str:
        ways = _WAYS.get(platform, ())
        if self.how == "auto" or self.how in ways or not ways:
            return ""
        able = next(name for name, others in _WAYS.items() if self.how in others)
        return f"how: {self.how} is for a {able}; a {platform} can have {', '.join(ways)}"

    def compile(self, instance: Instance) -> Steps:
        if instance.platform == "container":
            suited(self, instance)
            return self._container(instance)
        if instance.platform == "pod":
            suited(self, instance)
            return self._sigkill(instance) if self.how == "sigkill" else self._pod(instance)
        process = process_of(instance, "kill")
        again = (instance.spawn,) if instance.spawn is not None and self.restart == "always" else ()
        return Steps(
            do=(Signal(process=process, signal="KILL", gone_is_fine=False),),
            undo=again,
            confirm=(CheckProcess(expect="gone", process=process),),
        )

    def does(self) -> str:
        back = "not started again" if self.restart == "never" else "then started again by whoever can"
        if self.how == "auto" and self.restart == "always":
            back = "then what Squall started, or a container, is started again, a pod awaited, any other left to its own supervisor"
        return f"{_MEANS[self.how]}; {back}"

    def _container(self, instance: Instance) -> Steps:
        engine, container = engine_of(instance, "kill"), instance.container
        how = "kill" if self.how == "auto" else self.how
        if how == "rm":
            do = DockerCall(engine=engine, container=container, verb="remove", started=instance.started)
            gone = CheckContainer(engine=engine, container=container, expect="gone")
            return Steps(do=(do,), undo=(), confirm=(gone,), deadline=STOPS)
        if instance.vanishes and self.restart == "always":
            raise Refused(_vanishes(instance))
        do = DockerCall(
            engine=engine,
            container=container,
            verb="stop" if how == "stop" else "kill",
            started=instance.started,
            gone_is_fine=instance.vanishes,
        )
        awaited = instance.started if how == "stop" else ""  # a stop may still land when its hand is gone
        again = DockerCall(engine=engine, container=container, verb="start", started=awaited)
        ended = CheckContainer(engine=engine, container=container, expect="ended", started=instance.started)
        return Steps(
            do=(do,),
            undo=() if self.restart == "never" else (again,),
            confirm=(ended,),
            deadline=STOPS,
        )

    def _pod(self, instance: Instance) -> Steps:
        pod, evicted = the_pod(instance, "kill"), self.how == "evict"
        return Steps(
            do=(pod.call("evict-pod" if evicted else "delete-pod"),),
            undo=self._workload_back(instance),
            confirm=(pod.check("ending" if evicted else "gone"),),
            deadline=self.back_within + _MARGIN,
        )

    def _sigkill(self, instance: Instance) -> Steps:
        """The kubelet starts the container of the same pod again: that pod is awaited."""
        back = the_pod(instance, "kill").check("ready")
        steps = afar(
            instance,
            "process",
            do=(SignalTarget(signal="KILL"),),
            undo=(),
            confirm=(CheckTarget(expect="gone"),),
        )
        waits = () if self.restart == "never" else (Await(check=back, within=self.back_within),)
        return msgspec.structs.replace(
            steps, undo=(*steps.undo, *waits), deadline=steps.deadline + self.back_within
        )

    def _workload_back(self, instance: Instance) -> tuple[Operation, ...]:
        """Wait for what owns the pod to have as many ready as before. Raises Refused where nothing does."""
        if self.restart == "never":
            return ()
        pod = pod_of(instance, "kill")
        word, _, name = pod.workload.partition("/")
        if pod.workload_unread:
            raise Refused(
                f"{instance.name}: who would bring the pod {pod.name} back may not be read: {pod.workload_unread};"
                " ask for that permission, or write restart: never"
            )
        if word not in WORKLOADS or not name:
            owner = f"is owned by {word}/{name}, which Squall cannot await" if word else "has no controller"
            raise Refused(
                f"{instance.name}: the pod {pod.name} {owner}, so nobody may bring it back; write restart: never"
            )
        back = the_workload(instance, "kill").check("back", str(pod.ready_replicas))
        return (Await(check=back, within=self.back_within),)


def check_back_within(seconds: float) -> None:
    """Raises ValueError where nobody could be back by then, or nobody would wait so long."""
    if not 1.0 <= seconds <= _LONGEST:
        raise ValueError(f"back_within is {written('duration', seconds)}; it must lie between 1s and 1h")


def _vanishes(instance: Instance) -> str:
    return (
        f"{instance.name}: its engine removes the container {instance.known_as or instance.container[:12]} as soon as"
        " it ends (docker run --rm), so nobody can start it again; add restart: never, or run it without --rm"
    )
