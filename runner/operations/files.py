"""Kernel files (cgroup, proc) as they are: compared, written, read back; never created."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from runner.errors import OperationFailed
from runner.operations.record import CheckFile, Reading, WriteFile

_KERNEL = frozenset({"cgroup", "cgroup2", "proc", "sysfs"})
_LONGEST = 65536  # bytes that are read of a file


def perform_write_file(operation: WriteFile) -> Reading:
    """Write the value where the expected one stands. Raises OperationFailed where it may not be written."""
    try:
        now = read(operation.path)
        if now == operation.value.strip():
            return Reading(evidence=f"{operation.path} reads {now!r} already")
        if operation.expect is not None and now != operation.expect.strip():
            return Reading(
                ok=False,
                evidence=f"{operation.path} reads {now!r}, not {operation.expect!r} as expected:"
                f" somebody else wrote it; left alone, {operation.value!r} was wanted",
            )
        write(operation.path, operation.value)
        now = read(operation.path)
    except FileNotFoundError:
        return Reading(ok=operation.gone_is_fine, evidence=f"{operation.path} is gone")
    return Reading(ok=now == operation.value.strip(), evidence=f"{operation.path} reads {now!r}")


def perform_check_file(operation: CheckFile) -> Reading:
    """Read the file and compare."""
    try:
        now = read(operation.path)
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{operation.path} is gone")
    return Reading(ok=now == operation.expect.strip(), evidence=f"{operation.path} reads {now!r}")


def read(path: str) -> str:
    """Read a kernel file. Raises FileNotFoundError, OperationFailed."""
    descriptor = _opened(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _LONGEST).decode(errors="replace").strip()
    except OSError as error:
        raise OperationFailed(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def write(path: str, value: str) -> None:
    """Write a kernel file in one call, as the kernel asks. Raises FileNotFoundError, OperationFailed."""
    descriptor = _opened(path, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        raise OperationFailed(f"{value!r} cannot be written to {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _opened(path: str, how: int) -> int:
    try:
        descriptor = os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OperationFailed(f"{path} cannot be opened: {error.strerror}") from error
    if _kind(os.fstat(descriptor).st_dev) not in _KERNEL:
        os.close(descriptor)
        raise OperationFailed(f"{path} is no kernel file; nothing else is ever written")
    return descriptor


@functools.cache
def _kind(device: int) -> str:
    """The type of the file system with this device number."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0]
    return ""
