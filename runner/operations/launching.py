"""Executing programs: never a fork without exec, a session of their own, nothing inherited by chance."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runner.errors import OperationFailed

_OF_A_HAND = ("SQUALL_INSTANCE", "SQUALL_LISTENERS", "SQUALL_HAND")
_BIRTH_MARK = 50  # a descriptor that scripts do not use and every limit allows

_children: set[int] = set()
_one_at_a_time = threading.Lock()


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str = "",
    output: int,
    keep: Sequence[int] = (),
    birth_mark: bool = False,
) -> int:
    """Execute *argv* in a new session: stdin empty, stdout and stderr to *output*, all signals as at birth.

    Only *keep* is inherited; with *birth_mark*, is_born() tells it from all that it starts.
    The caller waits for it or adopts it. Raises OperationFailed.
    """
    if not argv:
        raise OperationFailed("an empty command cannot be started")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
        *((os.POSIX_SPAWN_DUP2, each, each) for each in keep),  # onto itself: stays open over exec
        *((os.POSIX_SPAWN_CLOSE, each) for each in _inheritable() if each not in keep),
        *([(os.POSIX_SPAWN_OPEN, _BIRTH_MARK, "/proc/self", os.O_PATH, 0)] if birth_mark else ()),
    ]
    try:
        with _working_directory(cwd):
            return os.posix_spawn(
                executable(argv[0], env),
                list(argv),
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals()
                - {signal.SIGKILL, signal.SIGSTOP},  # a guardian ignores some
            )
    except OSError as error:
        raise OperationFailed(f"{argv[0]} cannot be started: {error.strerror or error}") from error


def is_born(pid: int) -> bool:
    """Tell whether start() executed this very process with a birth mark: one that it forks has its parent's.

    The mark is a descriptor of /proc/self as it was then. Who closed it is not told.
    """
    try:
        return os.readlink(f"/proc/{pid}/fd/{_BIRTH_MARK}") == f"/proc/{pid}"  # noqa: PTH115 - not to be resolved
    except OSError:
        return False


def environment(plain: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Our environment without the marks of a hand, with *plain*; raises OperationFailed where *names* lack."""
    if missing := [name for name in names if name not in os.environ]:
        raise OperationFailed(f"environment variable {missing[0]} is not set; set it before you start Squall")
    return {key: value for key, value in os.environ.items() if key not in _OF_A_HAND} | dict(plain)


def executable(name: str, env: Mapping[str, str]) -> str:
    """Find a program on the PATH it will run with. Raises FileNotFoundError."""
    if "/" in name:
        return name
    for directory in os.get_exec_path(env):
        path = os.path.join(directory, name)  # noqa: PTH118 - an entry of PATH may be empty, a Path may not
        if os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112 - the same
            return path
    raise FileNotFoundError(2, "no such program on the PATH")


def adopt(pid: int) -> None:
    """Take care that a child of ours leaves no zombie, however long we live."""
    _children.add(pid)
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: reap())
    reap()


def reap() -> None:
    """Collect the adopted children that ended."""
    for pid in tuple(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _children.discard(pid)


def _inheritable() -> list[int]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        with contextlib.suppress(OSError):  # the directory's own descriptor is closed by now
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


@contextlib.contextmanager
def _working_directory(path: str) -> Iterator[None]:
    """Be in *path* for one exec: posix_spawn has no other way to say it."""
    if not path:
        yield
        return
    with _one_at_a_time:
        before = os.open(".", os.O_PATH | os.O_DIRECTORY)
        try:
            os.chdir(path)
            yield
        finally:
            os.fchdir(before)
            os.close(before)
