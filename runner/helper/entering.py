"""Entering the network namespace of a pod, from a helper that sees the processes of the node."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from runner import processes
from runner.errors import OperationFailed
from runner.operations.context import Stand
from runner.places import Post

_CLONE_NEWNET = 0x40000000
_entered: list[int] = []  # inode of the namespace that this process is in by its own doing


def enter(stand: Stand | None, post: Post) -> tuple[Stand | None, str]:
    """Enter, once; return the stand, or what is gone.

    A namespace belongs to its pod and outlives the containers: any process of the pod leads into it.
    """
    there = stand or Stand(container=post.container)
    if _entered:
        return there, ""
    for pid in _ways(stand, post):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            _enter(pid)
            return there, ""
    what = f"pod {post.pod}" if post.pod else f"container {post.container[:12]}"
    return stand, f"{what} does not run here"


def pod_ended(post: Post) -> bool:
    """Say whether it is certain that nothing of the target pod runs on this node any more."""
    return bool(post.pod) and not any(True for _ in _ways(None, post))


def _ways(stand: Stand | None, post: Post) -> Iterator[int]:
    if stand is not None and stand.pid:
        yield stand.pid
    if post.pod:
        names = (post.pod, post.pod.replace("-", "_"))  # cgroupfs, systemd
        for pid in processes.pids():
            with contextlib.suppress(OSError):
                groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
                if any(f"pod{name}" in groups for name in names):
                    yield pid


def _enter(pid: int) -> None:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        inode = os.fstat(descriptor).st_ino
        if inode == _of_the_node():
            raise OperationFailed(
                "the pod is in the network of its node: faults there would hurt all the node"
            )
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OperationFailed(f"the pod's network cannot be entered: {os.strerror(ctypes.get_errno())}")
        _entered.append(inode)
    finally:
        os.close(descriptor)


def _of_the_node() -> int:
    """The node's own network namespace; 0 where its first process does not let itself be looked at."""
    with contextlib.suppress(OSError):
        return Path("/proc/1/ns/net").stat().st_ino
    return 0
