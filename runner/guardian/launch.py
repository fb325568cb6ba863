"""How guardian and hands are started: by exec, isolated from working directory and environment of Python."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import runner

_ROOT = str(Path(runner.__file__).resolve().parent.parent)


def isolated(module: str, *arguments: str) -> list[str]:
    """Compose the command that runs *module*.main() and finds `runner` where we found it, nowhere else."""
    code = f"import sys; sys.path.append({_ROOT!r}); from {module} import main; main()"
    return [sys.executable, "-I", "-c", code, *arguments]


GUARDIAN = tuple(isolated("runner.guardian.process"))
HAND = tuple(isolated("runner.guardian.hand"))


def start_guardian(
    *, run: str, report: Path | None, lock_fd: int
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a guardian process; return it and our end of the socket. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    log = _open_log(report)
    try:
        process = subprocess.Popen(
            [*GUARDIAN, str(theirs.fileno()), str(lock_fd)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(), lock_fd),
            start_new_session=True,
            env=os.environ | {"SQUALL_RUN": run, "SQUALL_ROLE": "guardian"},
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(log)
    return process, ours


def _open_log(report: Path | None) -> int:
    """Open the guardian's log; without a place for one it goes nowhere."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        if report:
            (report / "logs").mkdir(parents=True, exist_ok=True)
            return os.open(report / "logs" / "guardian.log", flags, 0o644)
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
