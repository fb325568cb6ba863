"""Operations at another place: a pair of helpers is posted there, holds the effect and undoes it."""

from __future__ import annotations

from runner.errors import OperationFailed
from runner.operations.context import Held
from runner.operations.record import Afar, AfarGone, CheckAfar, Reading


def perform_afar(operation: Afar | AfarGone | CheckAfar) -> Reading | Held:
    """Perform what happens by helpers."""
    raise OperationFailed("not here yet")
