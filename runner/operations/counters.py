"""The kernel's counters: do they move since a fault was done, and how fast."""

from __future__ import annotations

import time

from runner import clock
from runner.operations.context import Context
from runner.operations.files import located, number
from runner.operations.record import CheckCounter, Reading

SLACK = 1.15  # of the pace allowed: a counter is not read at the very moment that the clock is
_first: dict[CheckCounter, tuple[str, float, float]] = {}  # file, moment and number when it was first read


def perform_check_counter(operation: CheckCounter, context: Context) -> Reading:
    """Read the counter, and compare with what it was when this process first read it.

    The pace is judged over all that time: what comes in bursts weighs ever less, and a short look may meet one more.
    A helper lives for one act, so its first reading comes when the fault is done. A hand lives longer: it reads twice.
    """
    name = " ".join(filter(None, (operation.path, operation.key, *operation.fields)))
    try:
        path = located(operation.path, context)
        first = _first.get(operation)
        if context.stand is None or first is None or first[0] != path:
            began = clock.now()
            first = _first[operation] = (path, began, _number(operation, path))
            time.sleep(operation.window)
        moved = _number(operation, path) - first[2]
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{name} is gone")
    elapsed = clock.now() - first[1]
    evidence = f"{name} moved by {moved:g} in the {elapsed:.1f} s since first read"
    most = operation.fastest * elapsed * SLACK + operation.burst
    if operation.fastest and moved > most:
        return Reading(
            ok=False, evidence=f"{evidence}: {operation.fastest:.4g} a second allow {most:.4g} at most"
        )
    return Reading(ok=True if moved > 0 else None, evidence=evidence)


def _number(operation: CheckCounter, path: str) -> float:
    return number(path, operation.key, operation.fields) or 0.0
