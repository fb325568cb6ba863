"""Faults of a whole workload, or of a container as its engine knows it: restarted, or of another size."""

from __future__ import annotations

from typing import ClassVar

from runner.errors import Refused
from runner.faults.afar import afar
from runner.faults.kill import COMES_BACK, STOPS, check_back_within
from runner.faults.meant import the_pod, the_workload
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import engine_of, pod_of, suited
from runner.operations.record import Await, CheckContainer, DockerCall
from runner.units import Duration

_MARGIN = 5.0


class Restart(Fault, frozen=True, kw_only=True, tag="restart"):
    """Restart it as an operator does: a container by its engine, with SIGTERM first; of a pod the whole workload.

    That is a rollout: pod by pod or all at once, as the workload's own strategy says; one that replaces nobody is
    refused. It cannot be taken back; the undo waits until everybody is ready again, at most *back_within*. The mark of the restart stays on
    the pod template, as with `kubectl rollout restart`.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "life"
    recovers_from: ClassVar[str] = "injection"
    of_workload: ClassVar[bool] = True

    back_within: Duration = COMES_BACK

    def __post_init__(self) -> None:
        check_back_within(self.back_within)

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        return self._rollout(instance) if instance.platform == "pod" else self._container(instance)

    def does(self) -> str:
        return "restart the container, or by a rollout the pod's whole workload"

    def _container(self, instance: Instance) -> Steps:
        engine, container = engine_of(instance, "restart"), instance.container
        do = DockerCall(engine=engine, container=container, verb="restart", started=instance.started)
        runs = DockerCall(engine=engine, container=container, verb="start", started=instance.started)
        ended = CheckContainer(engine=engine, container=container, expect="ended", started=instance.started)
        return Steps(do=(do,), undo=(runs,), confirm=(ended,), deadline=STOPS)

    def _rollout(self, instance: Instance) -> Steps:
        pod, workload = the_pod(instance, "restart"), the_workload(instance, "restart")
        if why := pod_of(instance, "restart").replaces_nobody:
            raise Refused(
                f"{instance.name}: restart of {workload.kind}/{workload.name}: {why}, so a rollout replaces nobody;"
                " kill its pods, or change that"
            )
        return Steps(
            do=(workload.call("restart"),),
            undo=(Await(check=workload.check("ready"), within=self.back_within),),
            confirm=(pod.check("gone"),) if pod.name else (),
            deadline=self.back_within + _MARGIN,
        )


class Scale(Fault, frozen=True, kw_only=True, tag="scale"):
    """Let the pod's workload have *replicas* pods; the old number comes back, by a helper in the cluster."""

    platforms: ClassVar[frozenset[str]] = frozenset({"pod"})
    property: ClassVar[str] = "replicas"
    of_workload: ClassVar[bool] = True

    replicas: int

    def __post_init__(self) -> None:
        if not 0 <= self.replicas <= 1000:
            raise ValueError(f"replicas is {self.replicas}; it must lie between 0 and 1000")

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        pod, workload = pod_of(instance, "scale"), the_workload(instance, "scale", inside=True)
        if workload.kind == "daemonset":
            raise Refused(f"{instance.name}: a daemon set has a pod on each node, and no number to change")
        if pod.replicas == self.replicas:
            raise Refused(f"{instance.name}: {pod.workload} asks for {self.replicas} replicas already")
        old, new = str(pod.replicas), str(self.replicas)
        return afar(
            instance,
            "api",
            do=(workload.call("scale", new, expect=old, strict=True),),
            undo=(workload.call("scale", old, expect=new, gone_is_fine=True),),
            confirm=(workload.check("scale", new),),
        )

    def does(self) -> str:
        return f"{self.replicas} replicas instead of those that the workload asks for"
