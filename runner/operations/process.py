"""Signals that reach exactly the process they are meant for, and the proof that they took effect."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterable

from runner import clock, processes
from runner.errors import OperationFailed
from runner.operations.record import Identity, Reading, Signal

PROOF = 2.0  # seconds that a signal has to show its effect
STEP = 0.002  # seconds between two looks at a state that nothing announces


def perform_signal(operation: Signal) -> Reading:
    """Send the signal and wait until it shows. Raises OperationFailed where it may not be sent."""
    process, name = operation.process, f"SIG{operation.signal}"
    descriptor = processes.open_pidfd(process)
    if descriptor is None:
        return Reading(ok=operation.gone_is_fine, evidence=f"process {process.pid} is gone already")
    try:
        if not send(descriptor, process, signal.Signals[name]):
            return Reading(ok=operation.gone_is_fine, evidence=f"process {process.pid} is gone already")
        return _proof(operation, descriptor)
    finally:
        os.close(descriptor)


def send(descriptor: int, process: Identity, number: signal.Signals) -> bool:
    """Send a signal by pidfd; False where the process is gone. Raises OperationFailed without the right to."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise OperationFailed(
            f"process {process.pid} belongs to another user: run Squall as that user or with CAP_KILL"
        ) from None
    return True


def still_alive(descriptors: Iterable[int], within: float) -> set[int]:
    """Wait for the end of processes by their pidfds; return the pidfds of those that still live then."""
    waiting, until = set(descriptors), clock.now() + within
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting:
        for descriptor, _ in poll.poll(max(0.0, until - clock.now()) * 1000):
            poll.unregister(descriptor)
            waiting.discard(descriptor)
        if clock.now() >= until:
            break
    return waiting


def wait_until(true: Callable[[], bool], within: float) -> bool:
    """Look until something is *true*, at most *within* seconds."""
    until = clock.now() + within
    while not true():
        if clock.now() >= until:
            return False
        select.select((), (), (), STEP)
    return True


def _proof(operation: Signal, descriptor: int) -> Reading:
    pid = operation.process.pid
    match operation.signal:
        case "KILL":
            lives = still_alive((descriptor,), PROOF)
            return Reading(
                ok=not lives,
                evidence=f"process {pid} has not ended {PROOF:g} s after SIGKILL: is it frozen, or in uninterruptible sleep?"
                if lives
                else f"process {pid} ended by SIGKILL",
            )
        case "STOP":
            stopped = wait_until(lambda: processes.state_of(operation.process) in ("T", ""), PROOF)
            stopped = stopped and processes.state_of(operation.process) == "T"
            return Reading(ok=stopped, evidence=f"process {pid} is {'stopped' if stopped else 'not stopped'}")
        case "CONT":
            runs = wait_until(lambda: processes.state_of(operation.process) != "T", PROOF)
            return Reading(ok=runs, evidence=f"process {pid} {'runs' if runs else 'is still stopped'}")
        case _:
            return Reading(evidence=f"sent SIG{operation.signal} to process {pid}")
