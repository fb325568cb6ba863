"""Who listens on a TCP port of this machine, read from /proc."""

from __future__ import annotations

import contextlib
import pwd
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runner.processes import pids

_LISTEN = "0A"


class Listener(msgspec.Struct, frozen=True):
    """One listening socket: its *inode* and the user it belongs to."""

    inode: int
    uid: int


def listening(port: int) -> list[Listener]:
    """Read the sockets that listen on *port*, IPv4 and IPv6."""
    return [
        Listener(inode=int(fields[9]), uid=int(fields[7]))
        for fields in _rows()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port
    ]


def holders(sockets: list[Listener]) -> list[int]:
    """Find the processes that hold one of *sockets* open, as far as we may look."""
    links = {f"socket:[{listener.inode}]" for listener in sockets}
    return [pid for pid in pids() if links and not links.isdisjoint(_open_links(pid))]


def who_listens(port: int) -> str:
    """Say who listens on *port*: `python -m http.server 8800 (pid 12)`; empty where nobody is known."""
    sockets = listening(port)
    for pid in holders(sockets):
        return f"{command_line(pid) or 'a process'} (pid {pid})"
    return f"a process of user {user_name(sockets[0].uid)}" if sockets else ""


def command_line(pid: int) -> str:
    """The command line of *pid* as one string; empty for kernel threads and processes that are gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def user_name(uid: int) -> str:
    """The login name of *uid*, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _rows() -> Iterator[list[str]]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):  # no IPv6 on this kernel
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                yield line.split()


def _open_links(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())
