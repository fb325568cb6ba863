"""Steps that have to be taken where the target is: wrapped for the helper that takes them there."""

from __future__ import annotations

import msgspec

from runner.errors import Refused
from runner.faults.record import Instance, Steps
from runner.operations.record import Afar, AfarGone, CheckAfar, Operation
from runner.places import Shape

DEADLINE = 30.0  # seconds for a helper to be there and to have done it, and for it to be gone


def afar(
    instance: Instance,
    shape: Shape,
    *,
    do: tuple[Operation, ...],
    undo: tuple[Operation, ...],
    confirm: tuple[Operation, ...] = (),
) -> Steps:
    """Let a helper of *shape* do it at the instance's post. Raises Refused where none can stand there."""
    base = instance.reverter if shape == "api" else instance.post
    if base is None:
        raise Refused(
            f"{instance.name}: no helper can stand there; give the environment a `helper` with an image"
        )
    post = msgspec.structs.replace(base, shape=shape)
    return Steps(
        do=(Afar(post=post, do=do, undo=undo, confirm=confirm, lease=instance.lease),),
        undo=(AfarGone(post=post, undo=undo, lease=instance.lease),),
        confirm=(CheckAfar(post=post),) if confirm else (),
        expiry=True,
        deadline=DEADLINE,
    )


def needs_kernel(instance: Instance, feature: str, kind: str) -> None:
    """Raise Refused where the kernel at the instance is known to lack *feature*."""
    if feature not in instance.kernel:
        raise Refused(f"{instance.name}: {kind} needs {feature}, which the kernel there lacks")
