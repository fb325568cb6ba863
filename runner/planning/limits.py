"""The blast radius that an environment allows: what goes beyond it is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import Mistake
from runner.plan_record import Window
from runner.planning.blast import Bodies, Hurt, Instances, empties, remains, touched
from runner.scenario import Environment, FaultUse, Scenario, TargetSpec


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
            _refuse_too_many(use, window, environment, instances, bodies)
            hurts = [(uses[one.fault].fault, one.instances) for one in together]
            _refuse_too_few(use, window, environment, instances, bodies, together=hurts)


def _is_way(spec: TargetSpec) -> bool:
    """The way between two services is one, however many send: nobody picks a share of it."""
    return spec.link is not None or spec.wire is not None


def _refuse_too_many(
    use: FaultUse, window: Window, environment: Environment, instances: Instances, bodies: Bodies
) -> None:
    """Keep the share of ready instances that one fault hurts within the limit: of its target, and of whom it drives off a node."""
    most = environment.limits.pick
    if most is None:
        return
    for target in (
        _reached(use, window, environment, instances, bodies) if empties(use.fault) else [use.target]
    ):
        everyone = instances[target]
        if len(everyone) == 1:
            continue
        ready = _ready(everyone, bodies)
        hurt = len(window.instances)
        if use.fault.of_workload or target != use.target:
            hurt = len(ready) - remains(ready, [(use.fault, window.instances)], bodies)
        share = hurt / max(1, len(ready))
        if share > most + 1e-9:
            of = f"{len(ready)} ready" if len(ready) < len(everyone) else f"{len(ready)}"
            whose = f" {target}" if target != use.target else ""
            raise Mistake(
                use.place,
                f"faults.{use.name}.pick",
                f"{hurt} of {of}{whose} is {share:.0%}; {environment.name} allows {most:.0%}"
                f" of a target: pick fewer, or change limits.pick in {environment.path}",
            )


def _reached(
    use: FaultUse, window: Window, environment: Environment, instances: Instances, bodies: Bodies
) -> list[str]:
    """The targets of whom a fault touches anybody; no ways."""
    own = touched(use.fault, window.instances, bodies)
    return [
        target
        for target, everyone in instances.items()
        if not _is_way(environment.targets[target]) and not own.isdisjoint(everyone)
    ]


def _refuse_too_few(
    use: FaultUse,
    window: Window,
    environment: Environment,
    instances: Instances,
    bodies: Bodies,
    *,
    together: Sequence[Hurt],
) -> None:
    """Keep enough ready instances of every target that is touched, with all the faults of that time *together*."""
    least = environment.limits.ready
    if least is None:
        return
    for target in _reached(use, window, environment, instances, bodies):
        ready = _ready(instances[target], bodies)
        left = remains(ready, together, bodies)
        if left < least:
            raise Mistake(
                use.place,
                f"faults.{use.name}",
                f"{left} of {len(ready)} ready instances of {target} would remain at {window.start:g}s;"
                f" {environment.name} wants {least} (limits.ready in {environment.path}): hurt fewer",
            )


def _ready(everyone: tuple[str, ...], bodies: Bodies) -> list[str]:
    return [name for name in everyone if name not in bodies or bodies[name].ready]


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
