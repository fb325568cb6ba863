"""Operations in the network namespace that this process is in."""

from __future__ import annotations

from runner.errors import OperationFailed
from runner.operations.context import Held
from runner.operations.record import CheckNetem, CheckTable, Cut, Netem, NetemGone, Reading, Serve, TableGone


def perform_network(
    operation: Netem | NetemGone | CheckNetem | Cut | Serve | TableGone | CheckTable,
) -> Reading | Held:
    """Perform what is done to packets."""
    raise OperationFailed("not here yet")
