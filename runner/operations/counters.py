"""The kernel's counters: do they move since a fault was done, and how fast."""

from __future__ import annotations

import time

from runner import clock
from runner.operations.context import Context
from runner.operations.files import located, number
from runner.operations.record import CheckCounter, Reading

SLACK = 1.15  # of the pace allowed: a counter is not read at the very moment that the clock is
_first: dict[
    CheckCounter, tuple[str, float, tuple[float, ...]]
] = {}  # file, moment and numbers when it was first read


def perform_check_counter(operation: CheckCounter, context: Context) -> Reading:
    """Read the counters, and compare with what they were when this process first read them.

    The pace is judged over all that time: what comes in bursts weighs ever less, and a short look may meet one more.
    A helper lives for one act, so its first reading comes when the fault is done. A hand lives longer: it reads twice.
    """
    try:
        path = located(operation.path, context)
        first = _first.get(operation)
        if context.stand is None or first is None or first[0] != path:
            began = clock.now()
            first = _first[operation] = (path, began, _numbers(operation, path))
            time.sleep(operation.window)
        moved = [now - then for now, then in zip(_numbers(operation, path), first[2], strict=True)]
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{operation.path} is gone")
    elapsed, most = clock.now() - first[1], max(moved)
    line = operation.keys[moved.index(most)] if operation.keys else ""
    name = " ".join(filter(None, (operation.path, line, *operation.fields)))
    evidence = f"{name} moved by {most:g} in the {elapsed:.1f} s since first read"
    allowed = operation.fastest * elapsed * SLACK + operation.burst
    if operation.fastest and most > allowed:
        return Reading(
            ok=False, evidence=f"{evidence}: {operation.fastest:.4g} a second allow {allowed:.4g} at most"
        )
    return Reading(ok=True if most > 0 else None, evidence=evidence)


def _numbers(operation: CheckCounter, path: str) -> tuple[float, ...]:
    return tuple(number(path, key, operation.fields) or 0.0 for key in operation.keys or ("",))
