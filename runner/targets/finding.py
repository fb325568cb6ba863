"""Processes that already run, found by command line, pidfile or port; never Squall's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from runner.errors import Refused
from runner.operations.record import Identity
from runner.processes import environment_of, identify, pids
from runner.scenario import Found
from runner.targets.listeners import command_line, holders, listening, user_name

_OUR_MODULES = {"runner.cli", "runner.guardian.process", "runner.guardian.rollback", "runner.links.proxy"}
_CLOCK_SLACK = 2.0  # seconds that a pidfile's time and a process's start may disagree


def find(found: Found, where: str = "") -> list[Identity]:
    """Find the processes, oldest first. *where* heads the error.

    Raises Refused, with what to do, where there is none, a pidfile is stale, or we may not signal one.
    """
    head = f"{where}: " if where else ""
    if found.match:
        candidates = _by_match(found.match, head)
    elif found.pidfile:
        candidates = _by_pidfile(Path(found.pidfile), head)
    else:
        candidates = _by_port(found.port or 0, head)
    for process in candidates:
        _check_permission(process, head)
    return sorted(candidates, key=lambda process: (process.started, process.pid))


def _by_match(pattern: str, head: str) -> list[Identity]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise Refused(f"{head}match: {pattern!r} is no regular expression ({error}); correct it") from None
    ours = _ours()
    matching = [pid for pid in pids() if pid not in ours and expression.search(command_line(pid))]
    processes = _identities(pid for pid in matching if command_line(pid) and not is_squall(pid))
    if not processes:
        raise Refused(
            f"{head}match: no process's command line matches {pattern!r}; start it or correct the pattern"
        )
    return processes


def _by_pidfile(path: Path, head: str) -> list[Identity]:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
        written = path.stat().st_mtime
    except OSError as error:
        raise Refused(f"{head}pidfile: {path} cannot be read ({error.strerror}); start the service") from None
    if not text.isdecimal():
        raise Refused(f"{head}pidfile: {path} holds {text[:20]!r}, which is no pid; correct the path")
    process = identify(int(text))
    if process is None:
        raise Refused(
            f"{head}pidfile: {path} is stale: {text} does not run; start the service or remove the file"
        )
    if _started_at(process) > written + _CLOCK_SLACK:
        raise Refused(
            f"{head}pidfile: {path} is stale: {text} is another process by now, started after the file was "
            "written; start the service or remove the file"
        )
    if process.pid in _ours() or is_squall(process.pid):
        raise Refused(
            f"{head}pidfile: {path} names {text}, which Squall itself runs in; name another process"
        )
    return [process]


def _by_port(port: int, head: str) -> list[Identity]:
    sockets = listening(port)
    if not sockets:
        raise Refused(f"{head}port: nobody listens on {port}; start the service or correct the port")
    ours = _ours()
    processes = _identities(pid for pid in holders(sockets) if pid not in ours and not is_squall(pid))
    if processes:
        return processes
    if os.geteuid() not in (0, sockets[0].uid):
        owner = user_name(sockets[0].uid)
        raise Refused(
            f"{head}port: {port} is listened on by a process of user {owner}; run Squall as that user"
        )
    raise Refused(
        f"{head}port: no process that Squall may target is seen to listen on {port}; name it by match"
    )


def _check_permission(process: Identity, head: str) -> None:
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        raise Refused(f"{head}process {process.pid} ended while it was looked at; try again") from None
    except PermissionError:
        owner = user_name(Path(f"/proc/{process.pid}").stat().st_uid)
        raise Refused(
            f"{head}process {process.pid} ({command_line(process.pid)[:60]}) belongs to user {owner}: "
            "run Squall as that user, or give it CAP_KILL"
        ) from None


def is_squall(pid: int) -> bool:
    """Tell whether *pid* was started by a run of Squall or is a squall command itself."""
    if any(entry.startswith(b"SQUALL_RUN=") for entry in environment_of(pid).split(b"\0")):
        return True
    words = command_line(pid).split(" ")
    return any(word.rpartition("/")[2] == "squall" for word in words[:2]) or bool(
        _OUR_MODULES & set(words[1:5])
    )


def _ours() -> frozenset[int]:
    """Our process and all its ancestors: whoever hurts them hurts the run."""
    line, pid = [], os.getpid()
    while pid > 0 and pid not in line:
        line.append(pid)
        pid = _parent(pid)
    return frozenset(line)


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(text[text.rindex(")") + 2 :].split()[1])


def _identities(candidates: Iterable[int]) -> list[Identity]:
    return [process for pid in candidates if (process := identify(pid))]


def _started_at(process: Identity) -> float:
    """Wall time of a process's start."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + process.started / os.sysconf("SC_CLK_TCK")
    return 0.0
