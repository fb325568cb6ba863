"""Operations by the API of a Docker engine or of a cluster."""

from __future__ import annotations

from runner.operations.cluster_objects import perform_check_kube
from runner.operations.clusters import perform_kube_call
from runner.operations.containers import perform_check_container, perform_docker_call
from runner.operations.record import CheckContainer, CheckKube, DockerCall, KubeCall, Reading


def perform_remote(operation: DockerCall | CheckContainer | KubeCall | CheckKube) -> Reading:
    """Make one call and verify it by reading."""
    match operation:
        case DockerCall():
            return perform_docker_call(operation)
        case CheckContainer():
            return perform_check_container(operation)
        case KubeCall():
            return perform_kube_call(operation)
        case CheckKube():
            return perform_check_kube(operation)
