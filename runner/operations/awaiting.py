"""Waiting for what somebody else brings back: an engine, a controller."""

from __future__ import annotations

import msgspec

from runner import clock
from runner.errors import OperationFailed
from runner.operations.record import Await, Reading
from runner.operations.remote import perform_remote
from runner.operations.waiting import pause

STEP = 0.2  # seconds between two looks


def perform_await(operation: Await) -> Reading:
    """Look until it is as expected. Raises OperationFailed where it could not be read at the last."""
    until = clock.now() + operation.within
    while True:
        late = clock.now() >= until
        try:
            reading = perform_remote(operation.check)
        except OperationFailed:
            if late:
                raise
        else:
            if reading.ok is True:
                return reading
            if late:
                waited = f"{reading.evidence} after {operation.within:g} s; back_within of the fault gives it longer"
                return msgspec.structs.replace(reading, evidence=waited)
        pause(STEP)
