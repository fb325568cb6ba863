"""Starting a managed process: once, marked as the run's own, with the listeners it is to serve."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from runner import processes
from runner.errors import OperationFailed
from runner.operations import launching
from runner.operations.context import Context
from runner.operations.gate import gate
from runner.operations.process import still_alive
from runner.operations.record import Identity, Reading, Spawn
from runner.operations.stopping import end_all

DYING = 2.0  # seconds that a killed predecessor has to end, and with it to free its port


def perform_spawn(operation: Spawn, context: Context) -> Reading:
    """Start the process, unless it lives already or its runner is dead. Raises OperationFailed."""
    if context.taken_over:
        return Reading(evidence=f"{operation.instance} is not started: its runner is gone")
    with gate(operation.run, operation.instance):
        if lives := living(operation.run, operation.instance):
            return Reading(evidence=f"{operation.instance} lives: process {lives.pid}", processes=(lives,))
        _end_remains(operation)
        pid = _start(operation, context)
    launching.adopt(pid)
    born = processes.identify(pid)
    if born is None:
        return Reading(
            ok=False, evidence=f"{operation.instance} ended at once; see {operation.log or 'its log'}"
        )
    return Reading(evidence=f"{operation.instance} started: process {pid}", processes=(born,))


def living(run: str, instance: str) -> Identity | None:
    """Find the process that Spawn made for *run* and *instance*, where it is not about to die."""
    for process in processes.marked(run, instance):
        if _leads_its_session(process) and not _dying(process):
            return process
    return None


def _start(operation: Spawn, context: Context) -> int:
    marks = {"SQUALL_RUN": operation.run, "SQUALL_INSTANCE": operation.instance}
    listeners = {name: _listener(context, name) for name in operation.listeners}
    if listeners:
        marks["SQUALL_LISTENERS"] = ",".join(f"{name}={number}" for name, number in listeners.items())
    env = launching.environment(operation.env, operation.env_from) | marks
    log = _log(operation.log)
    try:
        return launching.start(
            operation.argv, env=env, cwd=operation.cwd, output=log, keep=tuple(listeners.values())
        )
    finally:
        os.close(log)


def _listener(context: Context, name: str) -> int:
    if name not in context.listeners:
        raise OperationFailed(f"this hand holds no listener named {name}")
    return context.listeners[name]


def _log(path: str) -> int:
    """Open the log to append; a log that cannot be written never keeps a process from coming back."""
    if path:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError:
            pass
    return os.open(os.devnull, os.O_WRONLY)


def _end_remains(operation: Spawn) -> None:
    """End what a dead predecessor left: its workers would keep its port."""
    if any(True for _ in processes.marked(operation.run, operation.instance)):
        end_all(lambda: processes.marked(operation.run, operation.instance), grace=0.0)


def _leads_its_session(process: Identity) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def _dying(process: Identity) -> bool:
    """Say whether SIGKILL is on its way to *process*; if so, wait for the end."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    pending = (
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))
    )
    if not any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending):
        return False
    descriptor = processes.open_pidfd(process)
    if descriptor is not None:
        still_alive((descriptor,), DYING)
        os.close(descriptor)
    return True
