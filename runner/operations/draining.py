"""A node emptied by evictions, round after round, while a hand lives."""

from __future__ import annotations

from runner.errors import OperationFailed
from runner.operations.context import Held
from runner.operations.record import CheckDrained, Drain, Reading


def perform_drain(operation: Drain | CheckDrained) -> Reading | Held:
    """Begin to evict, or look what is left."""
    raise OperationFailed("not here yet")
