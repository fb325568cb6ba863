"""Lets pods reach the API server as they do in any cluster, where the one at hand listens on loopback only and has no CA file."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


@contextlib.contextmanager
def reachable_from_pods(core: Any) -> Iterator[None]:
    """Relay the address that the cluster tells its pods to the one that works, while it lasts; nothing where it works."""
    subset = core.read_namespaced_endpoints("kubernetes", "default").subsets[0]
    told = (subset.addresses[0].ip, subset.ports[0].port)
    if _answers(told):
        yield
        return
    server = urlsplit(core.api_client.configuration.host)
    assert server.hostname
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # another session may do the same
    with contextlib.closing(listener):
        listener.bind(told)
        listener.listen(64)
        threading.Thread(target=_accept, args=(listener, (server.hostname, server.port)), daemon=True).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=2):
            return True
    except OSError:
        return False


def _accept(listener: socket.socket, server: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            one, _ = listener.accept()
            try:
                other = socket.create_connection(server, timeout=5)
            except OSError:
                one.close()
                continue
            other.settimeout(None)
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    source.close()


def authority(core: Any) -> bytes:
    """Read the certificates that the API server shows, as PEM."""
    server = urlsplit(core.api_client.configuration.host)
    argv = ["openssl", "s_client", "-showcerts", "-connect", f"{server.hostname}:{server.port}"]
    shown = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    return b"\n".join(
        re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.DOTALL)
    )


def trust(core: Any, namespace: str, account: str = "default") -> str:
    """Wait for the token of a service account and give it the CA if it lacks one; return the token."""
    from tests.cluster_parts import until

    def secret() -> Any:
        for each in core.list_namespaced_secret(namespace).items:
            mine = (each.metadata.annotations or {}).get("kubernetes.io/service-account.name") == account
            if mine and each.data and each.data.get("token"):
                return each
        return None

    found = until(secret)
    if not found.data.get("ca.crt"):
        body = {"data": {"ca.crt": base64.b64encode(authority(core)).decode()}}
        core.patch_namespaced_secret(found.metadata.name, namespace, body)
    return base64.b64decode(found.data["token"]).decode()
