"""What the instances of a target are called."""

from __future__ import annotations

from runner.scenario import TargetSpec


def instance_names(spec: TargetSpec, found: int = 0) -> tuple[str, ...]:
    """Name the instances: `shop.0`, `shop.1`; a link and a mere url are their target's only one, by its name.

    *found* is how many were found, where the target is what already runs.
    """
    elsewhere = spec.docker is not None or spec.kubernetes is not None or spec.wire is not None
    if spec.managed is None and spec.found is None and not elsewhere:
        return (spec.name,)
    count = spec.managed.count if spec.managed is not None else found
    return tuple(f"{spec.name}.{index}" for index in range(count))


def where(spec: TargetSpec) -> str:
    """Say where a target is written, for the head of an error."""
    return f"{spec.place}: targets.{spec.name}"
