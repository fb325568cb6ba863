"""Operations in the network namespace that this process is in."""

from __future__ import annotations

from runner.errors import OperationFailed
from runner.operations.context import Held
from runner.operations.netem import Shaped, check_netem, netem_gone
from runner.operations.nft import OwnedTable, read_table, remove_table
from runner.operations.nft_rules import cut_table
from runner.operations.record import CheckNetem, CheckTable, Cut, Netem, NetemGone, Reading, Serve, TableGone
from runner.operations.serving import forget, said_of, serve


def perform_network(
    operation: Netem | NetemGone | CheckNetem | Cut | Serve | TableGone | CheckTable,
) -> Reading | Held:
    """Perform what is done to packets."""
    match operation:
        case Cut():
            return _cut(operation)
        case TableGone():
            return _table_gone(operation.table)
        case CheckTable():
            return said_of(operation.table) or read_table(operation.table)
        case Serve():
            return serve(operation)
        case Netem():
            return Shaped(operation)
        case NetemGone():
            return netem_gone()
        case CheckNetem():
            return check_netem(operation)


def _cut(operation: Cut) -> Held:
    try:
        return OwnedTable(operation.table, cut_table(operation), operation.timeout)
    except OperationFailed:
        if operation.how != "drop":
            raise  # else the kernel may only lack queues
        return OwnedTable(operation.table, cut_table(operation, quiet=False), operation.timeout)


def _table_gone(table: str) -> Reading:
    gone = remove_table(table)
    try:
        deleted = forget(table)
    except OSError as error:
        deleted, why = 0, f"; connections it redirected cannot be looked for: {error.strerror or error}"
        return Reading(ok=gone.ok, evidence=gone.evidence + why)
    told = f", and {deleted} connections that it redirected are forgotten" if deleted else ""
    return Reading(ok=gone.ok, evidence=gone.evidence + told)
