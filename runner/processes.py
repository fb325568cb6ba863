"""Processes of this machine: identities that do not repeat, and what carries a run's mark."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from runner.clock import boot_id
from runner.operations.record import Identity


def identify(pid: int) -> Identity | None:
    """Read who *pid* is now; None where there is no such process or it is a zombie."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        state, started = _state(pid)
        return (
            Identity(pid=pid, started=started, boot=boot_id(), inode=_inode(descriptor))
            if state != "Z"
            else None
        )
    except OSError:
        return None
    finally:
        os.close(descriptor)


def open_pidfd(process: Identity) -> int | None:
    """Open a pidfd of exactly that process; None where it is gone. The caller closes it."""
    if process.boot != boot_id():
        return None
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    try:
        state, started = _state(process.pid)
    except OSError:
        state, started = "Z", -1
    same = started == process.started and process.inode in (0, _inode(descriptor))
    if same and state != "Z":
        return descriptor
    os.close(descriptor)
    return None


def state_of(process: Identity) -> str:
    """The one-letter state of /proc/PID/stat (R, S, D, T …), or "" where the process is gone."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return ""
    try:
        return _state(process.pid)[0]
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def marked(run: str, instance: str | None = None) -> Iterator[Identity]:
    """Find living processes whose environment carries SQUALL_RUN (and SQUALL_INSTANCE)."""
    wanted = [f"SQUALL_RUN={run}".encode()]
    if instance is not None:
        wanted.append(f"SQUALL_INSTANCE={instance}".encode())
    for pid in pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if all(mark in environment for mark in wanted) and (found := identify(pid)):
            yield found


def leads_session(process: Identity) -> bool:
    """Tell whether a process leads its session, as what we start does and what that forks does not."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def pids() -> list[int]:
    """All process ids that are there now."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _state(pid: int) -> tuple[str, int]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def _inode(descriptor: int) -> int:
    """The pidfd's inode where pidfs gives every process its own (Linux 6.9), else 0: then all share one."""
    facts = os.fstat(descriptor)
    return 0 if facts.st_dev == _anonymous_device() else facts.st_ino


@functools.cache
def _anonymous_device() -> int:
    descriptor = os.eventfd(0)
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)
