"""Processes of this machine: identities that do not repeat, and what carries a run's mark."""

from __future__ import annotations

import functools
import os
import select
from collections.abc import Iterator
from pathlib import Path

from runner import clock
from runner.operations.record import Identity

EXECUTED = 1.0  # seconds that the kernel may take to lay out a new program: its file may lie far away
LOOK = 0.002  # seconds between two looks at one that is on its way
PF_EXITING, PF_KTHREAD = 0x4, 0x200000  # linux/sched.h


def identify(pid: int) -> Identity | None:
    """Read who *pid* is now; None where there is no such process or it is a zombie."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        state, started = _state(pid)
        return (
            Identity(pid=pid, started=started, boot=clock.boot_id(), inode=_inode(descriptor))
            if state != "Z"
            else None
        )
    except OSError:
        return None
    finally:
        os.close(descriptor)


def open_pidfd(process: Identity) -> int | None:
    """Open a pidfd of exactly that process; None where it is gone. The caller closes it."""
    if process.boot != clock.boot_id():
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
        environment = environment_of(pid).split(b"\0")
        if all(mark in environment for mark in wanted) and (found := identify(pid)):
            yield found


def environment_of(pid: int) -> bytes:
    """Read what a process was started with; empty where it is gone or not ours to read.

    One that is just being executed shows nothing for a moment, and is asked again: nobody may be missed that way.
    """
    path, until = Path(f"/proc/{pid}/environ"), clock.now() + EXECUTED
    try:
        while not (environment := path.read_bytes()):
            if not _is_being_executed(pid) or clock.now() >= until:
                return path.read_bytes()  # it may have been laid out between the two looks
            select.select((), (), (), LOOK)
    except OSError:
        return b""
    return environment


def leads_session(process: Identity) -> bool:
    """Tell whether a process leads its session, as what we start does and what that forks does not."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def pids() -> list[int]:
    """All process ids that are there now."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_being_executed(pid: int) -> bool:
    """Tell whether its memory is new and not laid out yet: the kernel knows no end of its environment."""
    fields = _fields(pid)
    return not int(fields[6]) & (PF_KTHREAD | PF_EXITING) and fields[0] != "Z" and int(fields[48]) == 0


def _state(pid: int) -> tuple[str, int]:
    fields = _fields(pid)
    return fields[0], int(fields[19])


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on: proc(5)."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text[text.rindex(")") + 2 :].split()


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
