"""A fault on one instance, made into an act that the guardian can carry out."""

from __future__ import annotations

import msgspec

from runner.faults.record import Instance
from runner.operations.record import Act, Afar, AfarGone, CheckAfar, Operation
from runner.planning.plan import owned
from runner.scenario import FaultUse

_BY_HELPERS = (Afar, AfarGone, CheckAfar)


def compile_act(use: FaultUse, instance: Instance, occurrence: int, *, run: str) -> Act:
    """Make one fault on one instance into an act. Raises Refused where the facts forbid it."""
    steps = use.fault.compile(instance)
    act = f"{use.name}/{occurrence}/{instance.name}"

    def named(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        """Let helpers carry the names of the run and the act that they are for."""
        return tuple(
            msgspec.structs.replace(each, run=run, act=act) if isinstance(each, _BY_HELPERS) else each
            for each in operations
        )

    return Act(
        id=act,
        fault=use.name,
        kind=str(use.fault.__struct_config__.tag),
        instance=instance.name,
        occurrence=occurrence,
        owns=owned(use, instance),
        do=named(steps.do),
        undo=named(steps.undo),
        confirm=named(steps.confirm),
        deadline=steps.deadline,
        expiry=steps.expiry,
    )
