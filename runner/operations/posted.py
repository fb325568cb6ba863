"""Operations that a helper performs on the container it was posted to."""

from __future__ import annotations

from runner.errors import OperationFailed
from runner.operations.context import Context
from runner.operations.record import CheckFill, Fill, FillGone, Reading, SignalTarget


def perform_posted(operation: SignalTarget | Fill | FillGone | CheckFill, context: Context) -> Reading:
    """Perform what only a helper at its post can."""
    raise OperationFailed("not here yet")
