"""A fault on one instance, made into an act that the guardian can carry out."""

from __future__ import annotations

from runner.faults.record import Instance
from runner.operations.record import Act
from runner.plan import owned
from runner.scenario import FaultUse


def compile_act(use: FaultUse, instance: Instance, occurrence: int) -> Act:
    """Make one fault on one instance into an act. Raises Refused where the facts forbid it."""
    steps = use.fault.compile(instance)
    return Act(
        id=f"{use.name}/{occurrence}/{instance.name}",
        fault=use.name,
        kind=str(use.fault.__struct_config__.tag),
        instance=instance.name,
        occurrence=occurrence,
        owns=owned(use, instance.name),
        do=steps.do,
        undo=steps.undo,
        confirm=steps.confirm,
        deadline=steps.deadline,
        expiry=steps.expiry,
    )
