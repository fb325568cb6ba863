"""One client for each cluster: what its credentials cost (a file read, a plugin run) is paid once."""

from __future__ import annotations

import functools

from runner.places import Cluster
from runner.remote.kubernetes import ClusterClient


@functools.cache
def client_of(cluster: Cluster) -> ClusterClient:
    """Give the client of a cluster. Raises OperationFailed where its kubeconfig cannot be used."""
    return ClusterClient(cluster)
