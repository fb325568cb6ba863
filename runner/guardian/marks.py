"""Processes of ours, found by what their environment says: run, role, instance, and whose hand began them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from runner import processes
from runner.operations.record import Identity

HAND = "SQUALL_BY"  # in the environment of a hand and of all that it starts: the number of the hand


def environment_of(pid: int) -> dict[str, str]:
    """Read the environment a process was started with; empty where it is gone or not ours to read."""
    text = processes.environment_of(pid).decode(errors="replace")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def is_load(environment: dict[str, str]) -> bool:
    """Say whether a marked process belongs to the load."""
    return environment.get("SQUALL_ROLE") == "load" and "SQUALL_INSTANCE" not in environment


def is_managed(environment: dict[str, str]) -> bool:
    """Say whether a marked process is a managed target or a link's proxy."""
    return "SQUALL_INSTANCE" in environment


def marked(
    run: str, wanted: Callable[[dict[str, str]], bool], *, spare: Iterable[int] = ()
) -> list[Identity]:
    """Find the living processes of *run* whose environment is *wanted*, but for the pids to *spare*."""
    spared = {os.getpid(), *spare}
    return [
        process
        for process in processes.marked(run)
        if process.pid not in spared and wanted(environment_of(process.pid))
    ]


def kill(process: Identity) -> None:
    """SIGKILL exactly that process; fine where it is gone."""
    descriptor = processes.open_pidfd(process)
    if descriptor is None:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or another user's: it is reported as left over
    finally:
        os.close(descriptor)
