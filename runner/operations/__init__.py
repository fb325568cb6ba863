"""The only effects on targets: operations performed, and proven by reading back what they did."""

from __future__ import annotations

import encodings.ascii  # noqa: F401 - or the first file read in ASCII imports it, when no descriptor may be left

from runner.errors import OperationFailed
from runner.operations import record
from runner.operations.afar import perform_afar
from runner.operations.awaiting import perform_await
from runner.operations.ballast import perform_ballast
from runner.operations.checks import perform_check_process, perform_check_share
from runner.operations.commands import perform_run
from runner.operations.context import Context, Held
from runner.operations.counters import perform_check_counter
from runner.operations.draining import perform_drain
from runner.operations.files import perform_check_file, perform_check_most, perform_write_file
from runner.operations.holding import perform_squeeze
from runner.operations.launching import reap
from runner.operations.limits import perform_check_limit, perform_set_limit
from runner.operations.links import perform_check_link, perform_link_set
from runner.operations.network import perform_network
from runner.operations.posted import perform_posted
from runner.operations.process import perform_signal
from runner.operations.record import Operation, Reading
from runner.operations.remote import perform_remote
from runner.operations.spawning import perform_spawn
from runner.operations.stopping import perform_stop

__all__ = ["Context", "Held", "perform", "reap"]

_Elsewhere = (
    record.Afar | record.AfarGone | record.CheckAfar
    | record.DockerCall | record.CheckContainer | record.KubeCall | record.CheckKube
    | record.Await | record.Drain | record.CheckDrained
    | record.SignalTarget | record.CheckTarget | record.Fill | record.FillGone | record.CheckFill
    | record.Netem | record.NetemGone | record.CheckNetem | record.Cut | record.Serve
    | record.TableGone | record.CheckTable
)  # fmt: skip


def perform(operation: Operation, context: Context) -> Reading | Held:
    """Do one operation and say what was seen; Held is returned by what lasts only while it is held.

    Raises OperationFailed: whether it took effect is then unknown.
    """
    try:
        return _perform(operation, context)
    except OSError as error:
        raise OperationFailed(f"{type(operation).__name__}: {error}") from error


def _perform(operation: Operation, context: Context) -> Reading | Held:
    match operation:
        case record.Signal():
            return perform_signal(operation)
        case record.Spawn():
            return perform_spawn(operation, context)
        case record.Stop():
            return perform_stop(operation)
        case record.SetLimit():
            return perform_set_limit(operation)
        case record.WriteFile():
            return perform_write_file(operation, context)
        case record.Squeeze():
            return perform_squeeze(operation)
        case record.Ballast():
            return perform_ballast(operation)
        case record.Run():
            return perform_run(operation)
        case record.LinkSet() | record.CheckLink():
            return _perform_on_link(operation)
        case record.CheckProcess() | record.CheckShare() | record.CheckLimit():
            return _check(operation)
        case record.CheckFile() | record.CheckCounter() | record.CheckMost():
            return _check_file(operation, context)
        case _:
            return _perform_elsewhere(operation, context)


def _perform_elsewhere(operation: _Elsewhere, context: Context) -> Reading | Held:
    """In another namespace, at a post, by an API."""
    match operation:
        case record.Afar() | record.AfarGone() | record.CheckAfar():
            return perform_afar(operation)
        case record.DockerCall() | record.CheckContainer() | record.KubeCall() | record.CheckKube():
            return perform_remote(operation)
        case record.Await():
            return perform_await(operation)
        case record.Drain() | record.CheckDrained():
            return perform_drain(operation)
        case (
            record.SignalTarget() | record.CheckTarget()
            | record.Fill() | record.FillGone() | record.CheckFill()
        ):  # fmt: skip
            return perform_posted(operation, context)
        case _:
            return perform_network(operation)


def _perform_on_link(operation: record.LinkSet | record.CheckLink) -> Reading:
    if isinstance(operation, record.LinkSet):
        return perform_link_set(operation)
    return perform_check_link(operation)


def _check(operation: record.CheckProcess | record.CheckShare | record.CheckLimit) -> Reading:
    match operation:
        case record.CheckProcess():
            return perform_check_process(operation)
        case record.CheckShare():
            return perform_check_share(operation)
        case record.CheckLimit():
            return perform_check_limit(operation)


def _check_file(
    operation: record.CheckFile | record.CheckCounter | record.CheckMost, context: Context
) -> Reading:
    match operation:
        case record.CheckFile():
            return perform_check_file(operation, context)
        case record.CheckCounter():
            return perform_check_counter(operation, context)
        case record.CheckMost():
            return perform_check_most(operation, context)
