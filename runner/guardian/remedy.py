"""How a human undoes an act by hand, in one sentence."""

from __future__ import annotations

import shlex

from runner.operations.record import (
    Act,
    AfarGone,
    DockerCall,
    KubeCall,
    LinkSet,
    Operation,
    Run,
    SetLimit,
    Signal,
    Spawn,
    Stop,
    WriteFile,
)


def remedy(act: Act) -> str:
    """Say what to type to undo *act* by hand."""
    steps = [step for operation in act.undo if (step := _step(operation))]
    if not steps:
        return f"look at {act.instance} by hand"
    first = "run squall rollback when it can be reached, or " if _is_afar(act) else ""
    return f"{first}undo {act.id} by hand: {'; then '.join(steps)}"


def _is_afar(act: Act) -> bool:
    return any(isinstance(operation, AfarGone) for operation in act.undo)


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
        case AfarGone() | DockerCall() | KubeCall():
            return _remote(operation)
        case _:
            return ""


def _remote(operation: AfarGone | DockerCall | KubeCall) -> str:
    match operation:
        case AfarGone():
            where = operation.post.container[:12] or operation.post.node or "the cluster"
            inner = [step for one in operation.undo if (step := _step(one) or one.__struct_config__.tag)]
            return f"remove the helpers labelled squall.run={operation.run}, then at {where}: {', '.join(map(str, inner))}"
        case DockerCall():
            return f"docker {operation.verb} {operation.container[:12]}"
        case KubeCall():
            return f"set {operation.verb} of {operation.kind} {operation.name} in {operation.namespace or 'the cluster'} to {operation.value or 'none'}"
