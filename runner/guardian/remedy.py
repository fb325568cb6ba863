"""How a human undoes an act by hand, in one sentence."""

from __future__ import annotations

import shlex

from runner.operations.files import OURS
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
    others = "; any other value is somebody else's, and may be what is wanted" if _may_be_others(act) else ""
    first = "run squall rollback when it can be reached, or " if _is_afar(act) else ""
    return f"{first}undo {act.id} by hand: {'; then '.join(steps)}{others}"


def _is_afar(act: Act) -> bool:
    return any(isinstance(operation, AfarGone) for operation in act.undo)


def _may_be_others(act: Act) -> bool:
    """Tell whether its undo spares a value that somebody else wrote meanwhile."""
    inner = [one for each in act.undo for one in (each.undo if isinstance(each, AfarGone) else (each,))]
    return any(isinstance(one, WriteFile) and one.expect is not None for one in inner)


def _step(operation: Operation, container: str = "") -> str:
    match operation:
        case Signal():
            return f"kill -{operation.signal} {operation.process.pid}"
        case SetLimit():
            soft = "unlimited" if operation.soft < 0 else operation.soft
            return f"prlimit --pid {operation.process.pid} --{operation.resource.lower()}={soft}:"
        case WriteFile():
            return _written(operation, container)
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


def _written(operation: WriteFile, container: str) -> str:
    """Name the file as a shell there finds it, and the value at which alone it is to be written."""
    value = shlex.quote(f"{operation.key} {operation.value}".strip())
    still = "" if operation.expect is None else f" if it still reads {shlex.quote(operation.expect)}"
    still += f" for {operation.key}" if still and operation.key else ""
    if not operation.path.startswith(OURS):
        return f"echo {value} > {shlex.quote(operation.path)}{still}"
    name = operation.path.removeprefix(OURS)
    where = shlex.quote(f".*{container}[^/]*/{name}")
    return f"echo {value} > $(find /sys/fs/cgroup -regex {where}){still}"


def _remote(operation: AfarGone | DockerCall | KubeCall) -> str:
    match operation:
        case AfarGone():
            container, inner = operation.post.container[:12], operation.undo
            steps = [step for one in inner if (step := _step(one, container) or one.__struct_config__.tag)]
            head = f"remove the helpers labelled squall.run={operation.run}, then {_place(operation)}: "
            return head + ", ".join(map(str, steps))
        case DockerCall():
            return f"docker {operation.verb} {operation.container[:12]}"
        case KubeCall():
            return f"set {operation.verb} of {operation.kind} {operation.name} in {operation.namespace or 'the cluster'} to {operation.value or 'none'}"


def _place(operation: AfarGone) -> str:
    post = operation.post
    if any(isinstance(one, WriteFile) and one.path.startswith(OURS) for one in operation.undo):
        machine = post.node or (post.engine.url if post.engine else "")
        return f"on the machine of container {post.container[:12]} ({machine})"
    return f"at {post.container[:12] or post.node or 'the cluster'}"
