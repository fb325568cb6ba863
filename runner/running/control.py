"""`squall halt`: a 0600 socket beside the lock, for the same user only; it can stop a run and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

from runner.errors import Refused

_CREDENTIALS = struct.Struct("3i")


class Control:
    """The runner's end: a listening socket that the watch loop selects on.

    To be made under the machine's lock: sockets that lie beside it then belong to runs that are dead.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder, self._name = folder, f"{run}.halt"
        for stale in (*folder.glob("*.halt"), *folder.glob("*.link")):
            stale.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        with _short_path(folder, self._name) as path:
            previous = os.umask(0o177)
            try:
                self.socket.bind(path)
            finally:
                os.umask(previous)
        self.socket.listen(4)

    def asked(self) -> str | None:
        """Take one waiting request: who asked, or None. Another user's request is turned away.

        Who did not wait for the answer has asked all the same.
        """
        try:
            connection, _ = self.socket.accept()
        except OSError:  # nobody waits, or there is no descriptor for one
            return None
        with connection:
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(raw)
            if uid not in (os.geteuid(), 0):
                return None
            with contextlib.suppress(OSError):
                connection.send(b"halting")
            return f"squall halt (pid {pid})"

    def close(self) -> None:
        self.socket.close()
        (self._folder / self._name).unlink(missing_ok=True)


def ask_to_halt(folder: Path, run: str | None) -> str:
    """Stop a living run: *run*, or the only one. Returns its id. Raises Refused where there is none."""
    names = sorted(path.stem for path in folder.glob("*.halt") if run in (None, path.stem))
    for name in names:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(5)
            try:
                with _short_path(folder, f"{name}.halt") as path:
                    connection.connect(path)
                if connection.recv(64) == b"halting":
                    return name
            except OSError:
                continue  # its runner is gone
    wanted = f"run {run}" if run else "run"
    raise Refused(f"no living {wanted} to halt here; `squall rollback` undoes what a dead one left")


class _short_path:  # noqa: N801 - reads as a function
    """A path of a socket that fits the 107 bytes of sockaddr_un, however long the folder's name is."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def __enter__(self) -> str:
        self._descriptor = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
