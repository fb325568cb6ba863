"""The folder of this machine's state: what is armed, and the lock that lets one run in at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from runner import clock
from runner.errors import Refused
from runner.guardian import journal

PATIENCE = 0.5  # seconds to wait for the lock
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Holder(msgspec.Struct, frozen=True):
    pid: int
    run: str


def state_folder() -> Path:
    """Say where the state is kept: root has a place of its own, never a user's."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - the specification: a relative path is ignored
        return Path(base) / "squall"
    return Path.home() / ".local" / "state" / "squall"


def open_folder(path: Path) -> int:
    """Open *path* component by component, making what is missing (0700). Raises Refused.

    No component may be a link, belong to another user but root, or be writable by others.
    """
    descriptor = os.open("/", _DIRECTORY)
    walked = Path("/")
    for name in path.absolute().parts[1:]:
        walked /= name
        try:
            inner = _enter(descriptor, name)
        except OSError as error:
            raise Refused(_unsafe(walked, error.strerror or str(error))) from error
        finally:
            os.close(descriptor)
        descriptor = inner
        if problem := _distrust(os.fstat(descriptor), last=walked == path.absolute()):
            os.close(descriptor)
            raise Refused(_unsafe(walked, problem))
    return descriptor


class MachineLock:
    """Held while a run or a rollback lives: by its runner and, inherited, by its guardian."""

    _ours: ClassVar[dict[Path, MachineLock]] = {}

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder, self.descriptor = folder, descriptor
        self._ours[folder] = self

    @classmethod
    def held(cls, state: Path) -> MachineLock | None:
        """Return the lock that this process holds already, if it does."""
        return cls._ours.get(state)

    @classmethod
    def take(cls, state: Path, run: str) -> MachineLock:
        """Let *run* in. Raises Refused that names the living one."""
        parent = open_folder(state)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open("lock", flags, 0o600, dir_fd=parent)
        except OSError as error:
            raise Refused(_unsafe(state / "lock", error.strerror or str(error))) from error
        finally:
            os.close(parent)
        if not _locked(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise Refused(
                f"{holder} is under way on this machine: wait for its end, or `squall halt`"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(_Holder(pid=os.getpid(), run=run)), 0)
        return cls(state, descriptor)

    def release(self) -> None:
        """Give up our hold; a guardian that inherited it keeps its own."""
        if self._ours.pop(self.folder, None):
            os.close(self.descriptor)


def armed_runs(state: Path) -> list[str]:
    """Name the runs that left something armed. Raises Refused where the folder is not safe."""
    if not state.exists():
        return []
    with opened(state / "armed") as descriptor:
        names = os.listdir(descriptor)  # noqa: PTH208 - by descriptor
    return sorted(name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))


def journal_of(state: Path, run: str) -> Path:
    """Say where the journal of *run* is while it is armed."""
    return state / "armed" / f"{run}.jsonl"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Hold *path* open as open_folder() does."""
    descriptor = open_folder(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_journal(path: Path) -> journal.Contents:
    """Read a journal that nobody else could have written. Raises Refused."""
    return journal.parse(read_own_file(path))


def read_own_file(path: Path) -> bytes:
    """Read a file of ours: no link, no other owner, no second name. Raises Refused."""
    with opened(path.parent) as parent:
        try:
            descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            raise Refused(_unsafe(path, error.strerror or str(error))) from error
    with open(descriptor, "rb") as file:  # noqa: PTH123 - by descriptor
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_nlink > 1:
            raise Refused(_unsafe(path, "it is not a plain file of yours alone"))
        if facts.st_mode & 0o022:
            raise Refused(_unsafe(path, "others may write it"))
        return file.read()


def _enter(parent: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)


def _distrust(facts: os.stat_result, *, last: bool) -> str:
    ours = os.geteuid()
    if facts.st_uid not in ((ours,) if last else (0, ours)):
        return f"it belongs to user {facts.st_uid}"
    private_group = facts.st_gid == facts.st_uid and facts.st_uid != 0
    loose = facts.st_mode & (0o002 if private_group and not last else 0o022)
    if loose and (last or not facts.st_mode & stat.S_ISVTX):
        return "others may write it"
    return ""


def _locked(descriptor: int) -> bool:
    """Lock it; a guardian that is just leaving is waited for."""
    until = clock.now() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if clock.now() >= until:
                return False
            select.select((), (), (), 0.01)
        else:
            return True


def _holder(descriptor: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(descriptor, 4096, 0), type=_Holder)
    except msgspec.MsgspecError:
        return "another run"
    return f"run {holder.run} (process {holder.pid}, or its guardian)"


def _unsafe(path: Path, problem: str) -> str:
    return f"{path}: {problem}; Squall keeps the way back there: mend it, or set XDG_STATE_HOME to a folder of yours"
