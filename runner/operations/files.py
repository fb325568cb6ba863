"""Kernel files (cgroup, proc) as they are: compared, written, read back; never created."""

from __future__ import annotations

import errno
import functools
import os
from pathlib import Path

from runner.errors import NothingDone, OperationFailed
from runner.operations.context import Context
from runner.operations.process import wait_until
from runner.operations.record import CheckFile, CheckMost, Holding, Reading, WriteFile
from runner.operations.stand import file_of
from runner.units import written

OURS = "cgroup:/"  # begins the path of a file of the container that a helper was posted to
_KERNEL = frozenset({"cgroup", "cgroup2", "proc", "sysfs"})
_LONGEST = 65536  # bytes that are read of a file
_SETTLES = 2.0  # seconds that freezing everybody may take
_TO_BE = {"FREEZING": "FROZEN"}  # what was written, where the kernel says how far it is with it
_NO_LINE = {"io.max": "rbps=max wbps=max riops=max wiops=max"}  # what no line of a key means; elsewhere 0


def perform_write_file(operation: WriteFile, context: Context) -> Reading:
    """Write the value where the expected one stands.

    Raises OperationFailed where it may not be written, NothingDone where a strict one must not.
    """
    name, wanted = _named(operation.path, operation.key), operation.value.strip()
    try:
        path = located(operation.path, context)
        now = _value(path, operation.key)
        if operation.strict and now != (operation.expect or "").strip():
            raise NothingDone(f"{name} reads {now!r} already: somebody else wrote it; left alone")
        if now == wanted:
            return Reading(evidence=f"{name} reads {now!r} already")
        if operation.expect is not None and _TO_BE.get(now, now) != operation.expect.strip():
            return Reading(
                ok=False,
                evidence=f"{name} reads {now!r}, not {operation.expect!r} as expected:"
                f" somebody else wrote it; left alone, {wanted!r} was wanted",
            )
        if operation.held is not None:
            _refuse_below(operation.held, float(wanted), context)
        write(path, f"{operation.key} {wanted}" if operation.key else wanted)
        if path.endswith("/freezer.state"):
            wait_until(lambda: _value(path, "") == wanted, _SETTLES)  # FREEZING comes first
        now = _value(path, operation.key)
    except FileNotFoundError:
        return Reading(ok=operation.gone_is_fine, evidence=f"{name} is gone")
    return Reading(ok=now == wanted, evidence=f"{name} reads {now!r}")


def perform_check_file(operation: CheckFile, context: Context) -> Reading:
    """Read the file and compare."""
    name = _named(operation.path, operation.key)
    try:
        now = _value(located(operation.path, context), operation.key)
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{name} is gone")
    return Reading(ok=now == operation.expect.strip(), evidence=f"{name} reads {now!r}")


def perform_check_most(operation: CheckMost, context: Context) -> Reading:
    """Read the number and compare."""
    name = _named(operation.path, operation.key)
    try:
        now = number(located(operation.path, context), operation.key)
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{name} is gone")
    if now is None:
        return Reading(ok=None, evidence=f"{name} shows no number")
    return Reading(ok=now <= operation.most, evidence=f"{name} reads {now:g}, at most {operation.most:g}")


def located(path: str, context: Context) -> str:
    """Find the file that a path means: a `cgroup:/` one is that of the container a helper stands at.

    Raises FileNotFoundError, OperationFailed.
    """
    if not path.startswith(OURS):
        return path
    name = path.removeprefix(OURS)
    if context.stand is None:
        raise OperationFailed(f"{path} means a container, and there is none here: only helpers write it")
    if "/" in name or name.startswith("."):
        raise OperationFailed(f"{path} is no file of a cgroup")
    return file_of(context.stand, name)


def number(path: str, key: str = "", fields: tuple[str, ...] = ()) -> float | None:
    """Read one number of a kernel file, or the sum of its *fields*; None where it shows none.

    Raises FileNotFoundError, OperationFailed.
    """
    words = ((line_of(read(path), key) or "") if key else read(path)).split()
    if fields:
        words = [word.removeprefix(field) for word in words for field in fields if word.startswith(field)]
    try:
        return sum(map(float, words)) if fields and words else float(words[0])
    except (IndexError, ValueError):
        return None


def line_of(text: str, key: str) -> str | None:
    """The rest of the line that begins with *key*; None where there is none."""
    return next((line[len(key) :].strip() for line in text.splitlines() if line.startswith(f"{key} ")), None)


def read(path: str) -> str:
    """Read a kernel file. Raises FileNotFoundError, OperationFailed."""
    descriptor = _opened(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _LONGEST).decode(errors="replace").strip()
    except OSError as error:
        raise _failed(error, path, f"{path} cannot be read") from error
    finally:
        os.close(descriptor)


def write(path: str, value: str) -> None:
    """Write a kernel file in one call, as the kernel asks. Raises FileNotFoundError, OperationFailed."""
    descriptor = _opened(path, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        raise _failed(error, path, f"{value!r} cannot be written to {path}") from error
    finally:
        os.close(descriptor)


def _refuse_below(held: Holding, limit: float, context: Context) -> None:
    """Raise NothingDone where more is held by now than *limit*, or where that cannot be seen; an old kernel lacks some."""
    path = located(held.path, context)
    found = [number(path, key) for key in held.keys or ("",)]
    seen = [each for each in found if each is not None]
    if not seen:
        raise NothingDone(f"{held.path} does not show how much is held: nothing was written")
    if sum(seen) > limit:
        raise NothingDone(
            f"it holds {_amount(held, sum(seen))} by now, more than the limit of {_amount(held, limit)}:"
            " nothing was written"
        )


def _amount(held: Holding, count: float) -> str:
    return written("size", count) if held.of == "memory" else f"{count:g} processes and threads"


def _value(path: str, key: str) -> str:
    text = read(path)
    if not key:
        return text
    line = line_of(text, key)
    return _NO_LINE.get(Path(path).name, "0") if line is None else line


def _named(path: str, key: str) -> str:
    return f"{path} of {key}" if key else path


def _failed(error: OSError, path: str, what: str) -> Exception:
    """A cgroup that went while its file was open is as gone as the file."""
    if error.errno == errno.ENODEV and not os.path.lexists(path):
        return FileNotFoundError(error.errno, error.strerror)
    return OperationFailed(f"{what}: {error.strerror}")


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
