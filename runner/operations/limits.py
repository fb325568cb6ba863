"""Soft resource limits of other processes, read and set by prlimit."""

from __future__ import annotations

import os
import resource
import select

from runner import processes
from runner.errors import OperationFailed
from runner.operations.record import CheckLimit, Identity, Reading, SetLimit

_RESOURCES = {
    "AS": resource.RLIMIT_AS,
    "DATA": resource.RLIMIT_DATA,
    "NOFILE": resource.RLIMIT_NOFILE,
    "CPU": resource.RLIMIT_CPU,
}


def perform_set_limit(operation: SetLimit) -> Reading:
    """Set the soft limit where it is the expected one. Raises OperationFailed where that is not allowed."""
    process, name = operation.process, f"RLIMIT_{operation.resource}"
    which = _RESOURCES[operation.resource]
    descriptor = processes.open_pidfd(process)
    if descriptor is None:
        return Reading(
            ok=operation.gone_is_fine, evidence=f"process {process.pid} is gone, and its limits with it"
        )
    try:
        soft, hard = _limits(process, which)
        if soft == operation.soft:
            return Reading(evidence=f"{name} of process {process.pid} is {shown(soft)} already")
        if operation.expect is not None and soft != operation.expect:
            return Reading(
                ok=False,
                evidence=f"{name} of process {process.pid} is {shown(soft)}, not {shown(operation.expect)} as"
                f" expected: somebody else set it; left alone, {shown(operation.soft)} was wanted",
            )
        if hard != resource.RLIM_INFINITY and not 0 <= operation.soft <= hard:
            raise OperationFailed(
                f"{name} of process {process.pid} cannot be {shown(operation.soft)}: its hard limit is {hard}"
            )
        _limits(process, which, (operation.soft, hard))
        if select.select((descriptor,), (), (), 0)[0]:
            return Reading(ok=operation.gone_is_fine, evidence=f"process {process.pid} ended meanwhile")
        return _seen(process, which, name=name, wanted=operation.soft)
    finally:
        os.close(descriptor)


def perform_check_limit(operation: CheckLimit) -> Reading:
    """Read the soft limit and compare."""
    if not processes.state_of(operation.process):
        return Reading(ok=False, evidence=f"process {operation.process.pid} is gone")
    which = _RESOURCES[operation.resource]
    return _seen(operation.process, which, name=f"RLIMIT_{operation.resource}", wanted=operation.soft)


def shown(limit: int) -> str:
    """Say a limit as setrlimit counts it."""
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def _seen(process: Identity, which: int, *, name: str, wanted: int) -> Reading:
    soft, _ = _limits(process, which)
    return Reading(ok=soft == wanted, evidence=f"{name} of process {process.pid} is {shown(soft)}")


def _limits(process: Identity, which: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    try:
        if limits is None:
            return resource.prlimit(process.pid, which)
        return resource.prlimit(process.pid, which, limits)
    except ProcessLookupError:
        raise OperationFailed(f"process {process.pid} ended meanwhile") from None
    except PermissionError:
        raise OperationFailed(
            f"the limits of process {process.pid} may not be touched: run Squall as its user"
        ) from None
