"""A gate through which one hand at a time starts or stops an instance."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Iterator

from runner.operations.process import wait_until

PATIENCE = 2.0  # seconds to wait for another hand; then go on: a way back waits for nobody


@contextlib.contextmanager
def gate(run: str, instance: str) -> Iterator[None]:
    """Hold the gate of one instance.

    It is an abstract socket name: it ends with its holder, and a child between fork and exec still holds it,
    so that whoever comes next finds that child by its mark.
    """
    name = hashlib.sha256(f"{run}\0{instance}".encode()).hexdigest()[:32]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        wait_until(lambda: _taken(lock, f"\0squall/{name}"), PATIENCE)
        yield


def _taken(lock: socket.socket, name: str) -> bool:
    try:
        lock.bind(name)
    except OSError:
        return False
    return True
