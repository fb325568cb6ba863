"""What a fault needs of an instance before it can be compiled for it."""

from __future__ import annotations

from runner.errors import Refused
from runner.faults.record import Instance
from runner.operations.record import Identity


def process_of(instance: Instance, kind: str) -> Identity:
    """The process of *instance*. Raises Refused where it has none."""
    if instance.process is None:
        raise Refused(f"{instance.name}: {kind} needs a process; choose a target that has `processes`")
    return instance.process


def socket_of(instance: Instance, kind: str) -> str:
    """The control socket of a link. Raises Refused where *instance* is no link."""
    if not instance.socket:
        raise Refused(f"{instance.name}: {kind} needs a link; choose a target that has a `link`")
    return instance.socket
