"""How a human undoes an act by hand, in one sentence."""

from __future__ import annotations

import shlex

from runner.operations.record import Act, LinkSet, Operation, Run, SetLimit, Signal, Spawn, Stop, WriteFile


def remedy(act: Act) -> str:
    """Say what to type to undo *act* by hand."""
    steps = [step for operation in act.undo if (step := _step(operation))]
    return f"undo {act.id} by hand: {'; then '.join(steps)}" if steps else f"look at {act.instance} by hand"


def _step(operation: Operation) -> str:
    match operation:
        case Signal():
            return f"kill -{operation.signal} {operation.process.pid}"
        case SetLimit():
            soft = "unlimited" if operation.soft < 0 else operation.soft
            return f"prlimit --pid {operation.process.pid} --{operation.resource.lower()}={soft}:"
        case WriteFile():
            return f"echo {shlex.quote(operation.value)} > {shlex.quote(operation.path)}"
        case Stop():
            return f"end the processes whose environment has SQUALL_RUN={operation.run} SQUALL_INSTANCE={operation.instance}"
        case Spawn():
            return f"start {shlex.join(operation.argv)}"
        case LinkSet():
            return f"restart the proxy of link {operation.link}"
        case Run():
            return shlex.join(operation.argv)
        case _:
            return ""
