"""The blast radius that an environment allows: what goes beyond it is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.errors import Mistake
from runner.faults.record import Instance
from runner.plan_record import Window
from runner.scenario import Environment, FaultUse, Scenario, TargetSpec

Instances = Mapping[str, tuple[str, ...]]  # target -> names of its instances
Bodies = Mapping[str, Instance]  # instance name -> who it is, where that is known before the run


def refuse_beyond_limits(
    scenario: Scenario,
    environment: Environment,
    windows: Sequence[Window],
    instances: Instances,
    bodies: Bodies,
) -> None:
    """Raise Mistake where a fault hurts more, or more faults run at once, than the environment allows."""
    uses = {use.name: use for use in scenario.faults}
    for window in windows:
        use = uses[window.fault]
        if not instances.get(use.target):
            raise Mistake(
                use.place,
                f"faults.{use.name}.target",
                f'target "{use.target}" has no instances to hurt in {environment.name}',
            )
        together = [other for other in windows if other.start <= window.start < other.end]
        most = environment.limits.concurrent_faults
        if most is not None and len(together) > most:
            raise Mistake(
                use.place,
                f"faults.{use.name}",
                f"{len(together)} faults would run at {window.start:g}s ({', '.join(sorted(w.fault for w in together))});"
                f" {environment.name} allows {most} at once",
            )
        if not _is_way(environment.targets[use.target]):
            alike = [other for other in together if uses[other.fault].target == use.target]
            _refuse_too_many(use, window, environment, instances[use.target], alike=alike, bodies=bodies)


def _is_way(spec: TargetSpec) -> bool:
    """The way between two services is one, however many send: nobody picks a share of it."""
    return spec.link is not None or spec.wire is not None


def _refuse_too_many(
    use: FaultUse,
    window: Window,
    environment: Environment,
    everyone: tuple[str, ...],
    *,
    alike: Sequence[Window],
    bodies: Bodies,
) -> None:
    """Keep the share of a target that one fault hurts, and what all at that time leave of it, within the limits."""
    limits = environment.limits
    ready = [name for name in everyone if name not in bodies or bodies[name].ready]
    word = "ready" if len(ready) < len(everyone) else ""
    of = f"{len(ready)} {word}".strip()
    share = len(window.instances) / max(1, len(ready))
    if (
        limits.pick is not None
        and len(everyone) > 1
        and share > limits.pick + 1e-9
        and not use.fault.of_workload
    ):
        raise Mistake(
            use.place,
            f"faults.{use.name}.pick",
            f"{len(window.instances)} of {of} is {share:.0%}; {environment.name} allows {limits.pick:.0%}"
            f" of a target: pick fewer, or change limits.pick in {environment.path}",
        )
    hurt = {name for other in alike for name in other.instances}
    left = [name for name in ready if name not in hurt]
    if limits.ready is not None and len(left) < limits.ready and not use.fault.of_workload:
        raise Mistake(
            use.place,
            f"faults.{use.name}.pick",
            f"{len(left)} of {len(ready)} ready instances of {use.target} would remain at {window.start:g}s;"
            f" {environment.name} wants {limits.ready} (limits.ready in {environment.path}): pick fewer",
        )


def refuse_beyond_time(
    scenario: Scenario, environment: Environment, windows: Sequence[Window], ends: float
) -> None:
    """Raise Mistake where the run would take longer than the environment allows."""
    most, total = environment.limits.duration, scenario.warmup + scenario.before + ends
    if most is not None and total > most:
        place = windows[0].place if windows else scenario.loads[0].place
        raise Mistake(
            place, "", f"the run would take {total:g}s; {environment.name} allows {most:g}s (limits.duration)"
        )
