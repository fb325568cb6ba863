"""The kernel's counters: do they move since a fault was done, and how fast."""

from __future__ import annotations

import time

from runner import clock
from runner.operations.context import Context
from runner.operations.files import located, number
from runner.operations.record import CheckCounter, Reading

SLACK = 1.15  # a quota is kept on average: so much more may be seen in one look
_seen: dict[
    CheckCounter, tuple[str, float, float, float]
] = {}  # file, first number, moment and number of the last


def perform_check_counter(operation: CheckCounter, context: Context) -> Reading:
    """Read the counter, and compare with what it was at first and at the last reading by this process.

    A helper lives for one act, so its first reading comes when the fault is done. A hand lives longer: it reads twice.
    """
    name = " ".join(filter(None, (operation.path, operation.key, *operation.fields)))
    try:
        path = located(operation.path, context)
        before = _seen.get(operation)
        if context.stand is None or before is None or before[0] != path:
            began, first = clock.now(), number(path, operation.key, operation.fields) or 0.0
            time.sleep(operation.window)
            before = (path, first, began, first)
        now, value = clock.now(), number(path, operation.key, operation.fields) or 0.0
    except FileNotFoundError:
        return Reading(ok=False, evidence=f"{name} is gone")
    _, first, at, last = before
    _seen[operation] = (path, first, now, value)
    pace = (value - last) / max(now - at, 1e-6)
    evidence = f"{name} moved by {value - first:g} since first read, by {pace:.4g} a second at last"
    if operation.fastest and pace > operation.fastest * SLACK:
        return Reading(ok=False, evidence=f"{evidence}: more than {operation.fastest:.4g}")
    return Reading(ok=True if value > first else None, evidence=evidence)
