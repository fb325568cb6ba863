"""Who the instances of a target are that live on an engine or in a cluster: asked there, each time anew."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from runner.errors import OperationFailed, Refused
from runner.faults.record import Instance
from runner.scenario import Environment, TargetSpec
from runner.targets import containers, pods, wires
from runner.targets.names import where


def lives_elsewhere(spec: TargetSpec) -> bool:
    """Tell whether a target's instances are no processes of this machine and no link of ours."""
    return spec.docker is not None or spec.kubernetes is not None or spec.wire is not None


def resolve(environment: Environment, target: str) -> list[Instance]:
    """Find the instances of a target that live elsewhere.

    Raises Refused, with what to do, where there is none or the other side cannot be asked.
    """
    spec = environment.targets[target]
    try:
        return _resolve(environment, spec)
    except Refused:
        raise
    except OperationFailed as error:
        raise Refused(
            f"{where(spec)}: {_place(environment, spec)}: {error}; {_remedy(error, spec)}"
        ) from error


def ended(instance: Instance) -> str:
    """Say how the life of an instance elsewhere has ended that was meant; empty while it lasts. Raises OperationFailed."""
    if instance.pod is None:
        return containers.ended(instance)
    return pods.ended(instance.pod) if instance.pod.name else ""  # a node is a node


def _resolve(environment: Environment, spec: TargetSpec) -> list[Instance]:
    if spec.docker is not None:
        return containers.resolve(spec, environment.helper)
    if spec.kubernetes is not None:
        return pods.resolve(spec, environment.helper)

    def instances(name: str) -> Sequence[Instance]:
        return _resolve(environment, environment.targets[name])

    return wires.resolve(spec, environment, instances)


def _place(environment: Environment, spec: TargetSpec) -> str:
    if spec.wire is not None:
        return _place(environment, environment.targets[spec.wire.source])
    if spec.docker is not None:
        return f"the engine at {spec.docker.engine.url}"
    assert spec.kubernetes is not None
    cluster = spec.kubernetes.cluster
    return f"the cluster of {cluster.kubeconfig}" + (
        f", context {cluster.context}" if cluster.context else ""
    )


def _remedy(error: OperationFailed, spec: TargetSpec) -> str:
    if error.remedy:
        return error.remedy
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        whose = (
            "ca.pem of its certificates"
            if spec.docker is not None
            else "certificate-authority of the kubeconfig"
        )
        return f"correct {whose}, or the address, to which its certificate has to belong"
    if spec.docker is not None and isinstance(error.__cause__, PermissionError):
        return "join the group that its socket belongs to (docker, as a rule), or run as one who may"
    match getattr(error, "status", 0):
        case 401:
            return "log in to the cluster again"
        case 403:
            return "ask for that permission, or use another identity"
        case 400:
            return "correct the selection"
        case 0:
            return "start it, or correct where it is"
        case _:
            return "see its log"
