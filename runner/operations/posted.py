"""Operations that a helper performs on the container it was posted to."""

from __future__ import annotations

import os
import signal

from runner import processes
from runner.errors import OperationFailed
from runner.operations.context import Context, Held, Stand
from runner.operations.filling import perform_check_fill, perform_fill, perform_fill_gone
from runner.operations.process import send, still_alive, wait_until
from runner.operations.record import CheckFill, CheckTarget, Fill, FillGone, Identity, Reading, SignalTarget
from runner.operations.stand import find_stand

PROOF = 2.0  # seconds that a signal has to take effect
_SIGNALS = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "CONT": signal.SIGCONT}


def perform_posted(
    operation: SignalTarget | CheckTarget | Fill | FillGone | CheckFill, context: Context
) -> Reading | Held:
    """Perform what only a helper at its post can. Raises OperationFailed where this is no such post."""
    stand = context.stand
    if stand is None:
        raise OperationFailed(
            f"{type(operation).__name__} needs a post at a container, and there is none here"
        )
    match operation:
        case SignalTarget():
            return _signal(operation, stand)
        case CheckTarget():
            return _check(operation, stand)
        case Fill():
            return perform_fill(operation, stand)
        case FillGone():
            return perform_fill_gone(operation, stand)
        case CheckFill():
            return perform_check_fill(operation, stand)


def _signal(operation: SignalTarget, stand: Stand) -> Reading:
    """Signal the life that was posted to; let go on whichever life there is now."""
    goes_on = operation.signal == "CONT"
    process = _main(find_stand(stand.container) if goes_on else stand)
    descriptor = processes.open_pidfd(process) if process is not None else None
    if process is None or descriptor is None:
        return Reading(ok=goes_on, evidence=f"the main process of {stand.container[:12]} is gone")
    name = f"process {process.pid} of {stand.container[:12]}"
    try:
        send(descriptor, process, _SIGNALS[operation.signal])
        if operation.signal == "KILL":
            lives = still_alive((descriptor,), PROOF)
            return Reading(ok=not lives, evidence=f"{name} {'still lives' if lives else 'ended by SIGKILL'}")
        stopped = operation.signal == "STOP"
        ok = wait_until(lambda: (processes.state_of(process) in ("T", "")) is stopped, PROOF)
        return Reading(ok=ok, evidence=f"{name} is in state {processes.state_of(process) or 'gone'}")
    finally:
        os.close(descriptor)


def _check(operation: CheckTarget, stand: Stand) -> Reading:
    process = _main(stand)
    state = processes.state_of(process) if process is not None else ""
    seen = {"": "gone", "T": "stopped"}.get(state, "running")
    return Reading(
        ok=seen == operation.expect, evidence=f"the main process of {stand.container[:12]} is {seen}"
    )


def _main(stand: Stand | None) -> Identity | None:
    """Who the main process is, if it is still one of the container's: its number may be another's by now."""
    if stand is None or not stand.pid:
        return None
    process = processes.identify(stand.pid)
    now = find_stand(stand.container)
    return process if now is not None and now.pid == stand.pid else None
