"""A file system filled up by one file without a name: the kernel gives the space back when its holder ends."""

from __future__ import annotations

import errno
import os
import stat

from runner import clock, processes
from runner.errors import OperationFailed
from runner.operations.context import Stand
from runner.operations.record import CheckFill, Fill, FillGone, Identity, Reading
from runner.operations.stand import find_stand

FLOOR, LEAST = 64 << 20, 0.01  # bytes (at most 5 %) and share that are always left to others
CHUNK = 256 << 20  # bytes reserved in one call
PATIENCE = 15.0  # seconds; a file system that cannot reserve has every block written
LOOK = 0.5  # seconds between looks whether the target still lives
CLOSE_ENOUGH = 0.005  # of the share wanted
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Filled:
    """Space that is held in the target's file system; let go with its descriptor, or with the target."""

    def __init__(self, descriptor: int, size: int, whole: float, target: Identity) -> None:
        self._descriptor, self._size, self._whole, self._target = descriptor, size, whole, target

    @property
    def reading(self) -> Reading:
        """What is held."""
        if self._descriptor < 0:
            return Reading(ok=False, evidence="the target ended, and the space was given back")
        return Reading(
            evidence=f"{self._size} bytes are held in a file without a name: {self._whole:.1%} full"
        )

    def tick(self) -> float:
        """Let go where the target has ended: its file system may be mounted anew."""
        if self._descriptor >= 0 and not processes.state_of(self._target):
            self.release()
        return LOOK

    def release(self) -> None:
        """Give the space back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def perform_fill(operation: Fill, stand: Stand) -> Filled | Reading:
    """Create the file, take its name away at once, and let it grow up to the share. Raises OperationFailed."""
    target = processes.identify(stand.pid) if stand.pid else None
    if target is None:
        return Reading(ok=False, evidence=f"the main process of {stand.container[:12]} is gone")
    folder = _folder(stand.pid, operation.folder)
    try:
        wanted = _wanted(folder, operation)
        descriptor = _nameless(folder, operation.name)
    finally:
        os.close(folder)
    try:
        _grow(descriptor, wanted)
        return Filled(descriptor, wanted, _full(descriptor)[0], target)
    except BaseException:
        os.close(descriptor)
        raise


def perform_fill_gone(operation: FillGone, stand: Stand) -> Reading:
    """Remove the name, should its creator have ended between two calls; the space ends with its holder."""
    now = find_stand(stand.container)
    if now is None or not now.pid:
        return Reading(evidence=f"{stand.container[:12]} does not run, and no helper holds a file of it")
    try:
        folder = _folder(now.pid, operation.folder)
    except (OperationFailed, FileNotFoundError) as error:
        return Reading(evidence=f"nothing was ever filled there: {error}")
    try:
        facts = os.stat(operation.name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode):
            return Reading(ok=False, evidence=f"{operation.name} is no file of ours; left alone")
        os.unlink(operation.name, dir_fd=folder)
    except FileNotFoundError:
        return Reading(evidence=f"no {operation.name} in {operation.folder}: {_full(folder)[0]:.1%} full")
    finally:
        os.close(folder)
    return Reading(evidence=f"{operation.name} removed from {operation.folder}")


def perform_check_fill(operation: CheckFill, stand: Stand) -> Reading:
    """Read how full it is."""
    now = find_stand(stand.container)
    if now is None or not now.pid:
        return Reading(ok=False, evidence=f"{stand.container[:12]} does not run")
    folder = _folder(now.pid, operation.folder)
    try:
        share, facts = _full(folder)
    finally:
        os.close(folder)
    most = 1 - _left(facts)
    kept = f"; {1 - most:.1%} always stay free" if operation.share > most else ""
    return Reading(
        ok=share >= min(operation.share, most) - CLOSE_ENOUGH,
        evidence=f"the file system of {operation.folder} is {share:.1%} full, {operation.share:.1%} wanted{kept}",
    )


def _folder(pid: int, path: str) -> int:
    """Open a folder as *pid* sees it, following no link of any kind: what lies there is the target's to choose."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise OperationFailed(f"{path} goes upwards; write the folder's full path")
    here = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            below = os.open(part, _FOLDER, dir_fd=here)
        except OSError as error:
            why = "a link or no folder" if error.errno in (errno.ENOTDIR, errno.ELOOP) else error.strerror
            raise OperationFailed(f"{path} of the target: {part} is {why}") from error
        finally:
            os.close(here)
        here = below
    return here


def _wanted(folder: int, operation: Fill) -> int:
    share, facts = _full(folder)
    left = _left(facts)
    wanted = int((min(operation.share, 1 - left) - share) * _whole(facts))
    if wanted <= 0:
        raise OperationFailed(
            f"the file system of {operation.folder} is {share:.1%} full already;"
            f" {operation.share:.1%} is wanted, and {left:.1%} always stay free"
        )
    return wanted


def _left(facts: os.statvfs_result) -> float:
    """The share that always stays free."""
    return max(LEAST, min(FLOOR / max(_whole(facts), 1), 0.05))


def _whole(facts: os.statvfs_result) -> int:
    """Bytes for who is not root."""
    return (facts.f_blocks - facts.f_bfree + facts.f_bavail) * facts.f_frsize


def _full(folder: int) -> tuple[float, os.statvfs_result]:
    """How full a file system is for who is not root, as `df` says it."""
    facts = os.fstatvfs(folder)
    used = facts.f_blocks - facts.f_bfree
    return used / max(used + facts.f_bavail, 1), facts


def _nameless(folder: int, name: str) -> int:
    if not name or "/" in name or name.startswith("."):
        raise OperationFailed(f"{name!r} is no name for a file of ours")
    how = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, how, 0o600, dir_fd=folder)
    except FileExistsError:
        raise OperationFailed(f"{name} is there already: another run's? remove it") from None
    os.unlink(name, dir_fd=folder)
    return descriptor


def _grow(descriptor: int, wanted: int) -> None:
    until, done = clock.now() + PATIENCE, 0
    while done < wanted:
        step = min(CHUNK, wanted - done)
        try:
            os.posix_fallocate(descriptor, done, step)
        except OSError as error:
            raise OperationFailed(
                f"only {done} of {wanted} bytes could be taken: {error.strerror}"
            ) from error
        done += step
        if clock.now() > until:
            raise OperationFailed(
                f"taking {wanted} bytes took longer than {PATIENCE:g} s; {done} were reached"
            )
