"""A Kubernetes cluster by its REST API."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Mapping
from typing import Any

from runner.errors import OperationFailed
from runner.places import Cluster
from runner.remote.calling import TIMEOUT, ApiError, Way, address, call, parsed, upgrade
from runner.remote.kubeconfig import IN_CLUSTER, Access, access_of
from runner.remote.websocket import PROTOCOL, PodStream

__all__ = ["ApiError", "ClusterClient"]

MERGE = "application/merge-patch+json"


class ClusterClient:
    """Calls to one cluster; a write goes to no other than the one that is meant."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._way = _Way(access_of(cluster))
        self._verified = False

    def get(self, path: str, **query: object) -> Any:
        """Read. Raises ApiError."""
        return parsed(call(self._way, "GET", self._way.prefix + path, query=query), "a cluster")

    def post(self, path: str, body: Any = None, **query: object) -> Any:
        """Create. Raises ApiError, OperationFailed where this is another cluster."""
        return self._write("POST", path, body, query)

    def put(self, path: str, body: Any = None, **query: object) -> Any:
        """Replace. Raises as post does."""
        return self._write("PUT", path, body, query)

    def patch(self, path: str, body: Any = None, *, content: str = MERGE, **query: object) -> Any:
        """Change; a merge patch, or what *content* says. Raises as post does."""
        return self._write("PATCH", path, body, query, content)

    def delete(self, path: str, body: Any = None, **query: object) -> Any:
        """Delete; *body* holds preconditions. Raises as post does."""
        return self._write("DELETE", path, body, query)

    def uid(self) -> str:
        """Read which cluster this is: the uid of kube-system. Raises OperationFailed where it is not the one meant."""
        seen = str(self.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
        if self.cluster.uid and seen != self.cluster.uid:
            raise OperationFailed(
                f"the kubeconfig now leads to another cluster ({seen}, not {self.cluster.uid}): nothing was done there"
            )
        self._verified = True
        return seen

    def attach(self, namespace: str, pod: str, container: str) -> PodStream:
        """Attach to input and output of a container, from now on."""
        self._verify()
        connection, rest = upgrade(
            self._way,
            "GET",
            f"{self._way.prefix}/api/v1/namespaces/{namespace}/pods/{pod}/attach",
            query={"container": container, "stdin": True, "stdout": True, "stderr": True},
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                "Sec-WebSocket-Protocol": PROTOCOL,
            },
        )
        return PodStream(connection, rest)

    def logs(self, namespace: str, pod: str, tail: int = 50) -> list[str]:
        """Read the last lines of a pod's only container."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return (
            call(self._way, "GET", self._way.prefix + path, query={"tailLines": tail})
            .decode(errors="replace")
            .splitlines()
        )

    def _write(
        self, verb: str, path: str, body: Any, query: Mapping[str, object], content: str = "application/json"
    ) -> Any:
        self._verify()
        said = call(self._way, verb, self._way.prefix + path, body=body, query=query, content=content)
        return parsed(said, "a cluster") if said.strip() else None

    def _verify(self) -> None:
        inside = self.cluster.kubeconfig == IN_CLUSTER  # it can be no other, and need not see kube-system
        if self.cluster.uid and not inside and not self._verified:
            self.uid()


class _Way(Way):
    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access
        self._url = address(access.server)
        self.prefix = self._url.path.rstrip("/")
        if access.tls is not None:
            access.token.certify(access.tls)

    def connect(self, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
        host, tls = self._url.hostname or "localhost", self._access.tls
        if tls is None:
            return http.client.HTTPConnection(host, self._url.port or 80, timeout=timeout)
        return _NamedConnection(
            host, self._url.port or 443, timeout=timeout, tls=tls, name=self._access.name or host
        )

    def headers(self) -> tuple[tuple[str, str], ...]:
        header = self._access.token.header()
        who = [("Authorization", header)] if header else []
        for name, value in self._access.impersonation:
            who.append((name, value.encode().decode("latin-1")))  # as which it is sent; it is read as UTF-8
        return (("User-Agent", "squall"), *who)


class _NamedConnection(http.client.HTTPSConnection):
    """HTTPS to a host whose certificate is of *name*."""

    def __init__(self, host: str, port: int, *, timeout: float, tls: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=timeout, context=tls)
        self._tls, self._name = tls, name

    def connect(self) -> None:
        """Connect as HTTP does, then ask for the name."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
