"""Ending processes of our own and everything in their sessions, within bounds."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable

from runner import processes
from runner.operations.gate import gate
from runner.operations.process import send, still_alive
from runner.operations.record import Identity, Reading, Stop

KILLED = 2.0  # seconds that SIGKILL has to take effect; a frozen process does not end before it is thawed
ROUNDS = 5  # of looking again: a process may fork while it is being stopped


def perform_stop(operation: Stop) -> Reading:
    """End all processes of the run and instance: TERM, then KILL after the grace."""
    with gate(operation.run, operation.instance):
        return end_all(lambda: processes.marked(operation.run, operation.instance), grace=operation.grace)


def end_all(find: Callable[[], Iterable[Identity]], *, grace: float) -> Reading:
    """End what *find* finds, with their sessions, until it finds nothing more."""
    ended: set[int] = set()
    for _ in range(ROUNDS):
        found = with_sessions(find())
        if not found:
            return Reading(evidence=f"ended: {_listed(ended)}" if ended else "nothing of it lived")
        stubborn = end(found, grace=grace)
        if stubborn:
            return Reading(
                ok=False,
                evidence=f"still there {KILLED:g} s after SIGKILL: {_listed(stubborn)}; thaw or kill by hand",
            )
        ended |= {process.pid for process in found}
        grace = 0.0
    return Reading(ok=False, evidence="processes of it kept coming back; end what starts them")


def end(found: Iterable[Identity], *, grace: float) -> set[int]:
    """Send TERM, and KILL to what is left after *grace*; return the pids that outlive both."""
    opened = {
        descriptor: process for process in found if (descriptor := processes.open_pidfd(process)) is not None
    }
    try:
        left = set(opened)
        if grace > 0:
            _send_all(left, opened, signal.SIGTERM)
            _send_all(left, opened, signal.SIGCONT)  # or TERM waits for ever in a stopped one
            left = still_alive(left, grace)
        _send_all(left, opened, signal.SIGKILL)
        return {opened[descriptor].pid for descriptor in still_alive(left, KILLED)}
    finally:
        for descriptor in opened:
            os.close(descriptor)


def with_sessions(found: Iterable[Identity]) -> set[Identity]:
    """Add everybody in the sessions of *found*, except our own."""
    members = set(found)
    sessions = {session for process in members if (session := _session(process.pid)) > 0}
    for session in sessions:
        members |= in_session(session)
    ours = (os.getpid(), os.getppid(), 1)
    return {process for process in members if process.pid not in ours}


def in_session(session: int) -> set[Identity]:
    """Everybody who lives in a session, which must not be our own."""
    pids = [pid for pid in processes.pids() if _session(pid) == session]
    return {member for pid in pids if (member := processes.identify(pid))}


def _session(pid: int) -> int:
    """The session of *pid*; 0 where it is ours or *pid* is gone."""
    with contextlib.suppress(ProcessLookupError):
        session = os.getsid(pid)
        return 0 if session == os.getsid(0) else session
    return 0


def _send_all(descriptors: Iterable[int], opened: dict[int, Identity], number: signal.Signals) -> None:
    for descriptor in descriptors:
        send(descriptor, opened[descriptor], number)


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(f"process {pid}" for pid in sorted(pids))
