"""Operations in the network namespace that this process is in."""

from __future__ import annotations

import zlib

from runner.errors import OperationFailed
from runner.operations import conntrack
from runner.operations.context import Held
from runner.operations.netem import Shaped, check_netem, netem_gone
from runner.operations.nft import OwnedTable, read_table, remove_table
from runner.operations.nft_rules import cut_table
from runner.operations.record import CheckNetem, CheckTable, Cut, Netem, NetemGone, Reading, Serve, TableGone


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
            return read_table(operation.table)
        case Netem():
            return Shaped(operation)
        case NetemGone():
            return netem_gone()
        case CheckNetem():
            return check_netem(operation)
        case _:
            raise OperationFailed("not here yet")


def _cut(operation: Cut) -> Held:
    try:
        return OwnedTable(operation.table, cut_table(operation), operation.timeout)
    except OperationFailed:
        if operation.how != "drop":
            raise  # else the kernel may only lack queues
        return OwnedTable(operation.table, cut_table(operation, quiet=False), operation.timeout)


def mark_of(table: str) -> int:
    """The mark of the connections that a table of ours redirects, by its name alone: what is left is found by it."""
    return 0x5C000000 | (zlib.crc32(table.encode()) & 0xFFFFFF)


def _table_gone(table: str) -> Reading:
    gone = remove_table(table)
    try:
        deleted = conntrack.delete_marked(mark_of(table))
    except OSError as error:
        deleted, why = 0, f"; connections it redirected cannot be looked for: {error.strerror or error}"
        return Reading(ok=gone.ok, evidence=gone.evidence + why)
    told = f", and {deleted} connections that it redirected are forgotten" if deleted else ""
    return Reading(ok=gone.ok, evidence=gone.evidence + told)
