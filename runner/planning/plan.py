"""Work out a scenario against an environment: who is hurt when, or why it is refused. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runner.errors import Mistake, Refused
from runner.faults.record import Instance
from runner.plan_record import Harm, Plan, StageWindow, Window
from runner.planning.blast import Bodies, Instances, identity, touched
from runner.planning.limits import refuse_beyond_limits, refuse_beyond_time
from runner.scenario import Anchor, Environment, FaultUse, Load, Scenario
from runner.targets.choice import choose


@dataclass(frozen=True, slots=True)
class _OpenStage:
    load: str
    stage: str
    start: float
    end: float | None  # the last stage lasts until the run ends


def work_out(
    scenario: Scenario,
    environment: Environment,
    instances: Instances,
    *,
    run: str,
    harms: tuple[Harm, ...] = (),
    bodies: Bodies | None = None,
) -> Plan:
    """Lay out the timetable of one run. Raises Mistake where the environment does not allow it."""
    stages, bodies = _stage_windows(scenario), bodies or {}
    windows = tuple(_fault_windows(scenario, stages, instances, bodies))
    faults_end = max((window.end for window in windows), default=0.0)
    loads_end = max((stage.end for stage in stages if stage.end is not None), default=0.0)
    ends = max(loads_end, faults_end + scenario.after)
    _refuse_overlaps(scenario, windows, bodies)
    refuse_beyond_limits(scenario, environment, windows, instances, bodies)
    refuse_beyond_time(scenario, environment, windows, ends)
    return Plan(
        run=run,
        scenario=scenario,
        environment=environment,
        windows=windows,
        stages=tuple(_closed(stages, ends)),
        harms=harms,
        instances=dict(instances),
        touches=tuple(_touches(scenario, windows, instances, bodies)),
        known_as={name: body.known_as for name, body in bodies.items() if body.known_as},
        faults_end=faults_end,
        ends=ends,
        executes=tuple(_executes(scenario, environment)),
        warnings=tuple(_warnings(scenario, windows, ends)),
    )


def _stage_windows(scenario: Scenario) -> list[_OpenStage]:
    found = []
    for load in scenario.loads:
        start = -(scenario.warmup + scenario.before)
        for stage in load.stages:
            end = None if stage.duration is None else start + stage.duration
            found.append(_OpenStage(load=load.name, stage=stage.name, start=start, end=end))
            start = start if end is None else end
    return found


def _closed(stages: Iterable[_OpenStage], ends: float) -> Iterator[StageWindow]:
    for each in stages:
        yield StageWindow(
            load=each.load, stage=each.stage, start=each.start, end=ends if each.end is None else each.end
        )


def _fault_windows(
    scenario: Scenario, stages: list[_OpenStage], instances: Instances, bodies: Bodies
) -> Iterator[Window]:
    times = _Times(scenario, stages)
    for use in scenario.faults:
        names = _chosen(use, instances, bodies)
        for occurrence in range(use.times):
            start = times.start(use.name) + occurrence * (use.every or 0.0)
            yield Window(
                fault=use.name,
                occurrence=occurrence,
                start=start,
                end=start + use.duration,
                instances=names,
                place=use.place,
            )


def _chosen(use: FaultUse, instances: Instances, bodies: Bodies) -> tuple[str, ...]:
    try:
        names = choose(use.pick, instances.get(use.target, ()))
    except Refused as error:
        raise Mistake(use.place, f"faults.{use.name}", str(error)) from None
    if not use.fault.of_workload:
        return names
    first: dict[str, str] = {}  # the workload is hurt once, by the first of its pods
    for name in names:
        first.setdefault(_subject(use, name, bodies), name)
    return tuple(first.values())


def _touches(
    scenario: Scenario, windows: Iterable[Window], instances: Instances, bodies: Bodies
) -> Iterator[str]:
    faults = {use.name: use.fault for use in scenario.faults}
    hit = {name for each in windows for name in touched(faults[each.fault], each.instances, bodies)}
    yield from (name for names in instances.values() for name in names if name in hit)


class _Times:
    """Resolve anchors; circles were refused when the scenario was read."""

    def __init__(self, scenario: Scenario, stages: list[_OpenStage]) -> None:
        self._uses = {use.name: use for use in scenario.faults}
        self._stages = {stage.stage: stage for stage in stages}

    def start(self, name: str) -> float:
        use = self._uses.get(name)
        return self._stages[name].start if use is None else max(0.0, self._moment(use.at, use))

    def end(self, name: str, asked_by: FaultUse) -> float:
        if (use := self._uses.get(name)) is not None:
            return self.start(name) + (use.times - 1) * (use.every or 0.0) + use.duration
        end = self._stages[name].end
        if end is None:
            raise Mistake(
                asked_by.place,
                f"faults.{asked_by.name}.at",
                f'stage "{name}" lasts until the run ends; give it a `for`, or anchor at its start',
            )
        return end

    def _moment(self, anchor: Anchor, use: FaultUse) -> float:
        match anchor.base:
            case "zero":
                return anchor.offset
            case "start":
                return self.start(anchor.name) + anchor.offset
            case "end":
                return self.end(anchor.name, use) + anchor.offset


def owned(use: FaultUse, instance: Instance) -> str:
    """Name the property that a fault owns while it lasts: `shop.1 cpu`, `deployment/web scale`."""
    workload = instance.pod.workload if use.fault.of_workload and instance.pod else ""
    return f"{workload or instance.name} {use.fault.owns(instance.platform)}"


def _subject(use: FaultUse, name: str, bodies: Bodies) -> str:
    """What a fault on that instance hurts: the workload of a pod, or itself."""
    body = bodies.get(name)
    if use.fault.of_workload and body is not None and body.pod is not None and body.pod.workload_uid:
        return body.pod.workload_uid
    return identity(name, bodies)


def _property(use: FaultUse, name: str, bodies: Bodies) -> str:
    body = bodies.get(name)
    return use.fault.owns(body.platform) if body else use.fault.property


def _refuse_overlaps(scenario: Scenario, windows: Sequence[Window], bodies: Bodies) -> None:
    uses = {use.name: use for use in scenario.faults}

    def owns(window: Window) -> dict[tuple[str, str], str]:
        use = uses[window.fault]
        return {
            (_subject(use, name, bodies), _property(use, name, bodies)): name for name in window.instances
        }

    for one, other in itertools.combinations(sorted(windows, key=lambda window: window.start), 2):
        if other.start >= one.end:
            continue
        theirs = owns(other)
        for key in sorted(owns(one).keys() & theirs.keys()):
            name = theirs[key]
            what = owned(uses[other.fault], bodies[name]) if name in bodies else f"{name} {key[1]}"
            raise Mistake(
                other.place,
                f"faults.{other.fault}",
                f"overlaps with {one.fault} on {what}"
                f" from {other.start:g}s to {min(one.end, other.end):g}s; move it with `at: end of {one.fault}`",
            )


def _executes(scenario: Scenario, environment: Environment) -> Iterator[str]:
    yield from (f"locustfile {load.locustfile}" for load in scenario.loads)
    yield from (f"fault {use.name}: {use.fault.does()}" for use in scenario.faults if use.fault.executes)
    for target in environment.targets.values():
        if target.managed is not None:
            yield f"target {target.name}: {' '.join(target.managed.command)}"
    for indicator in (*scenario.indicators, *environment.indicators):
        if indicator.source == "command":
            yield f"indicator {indicator.name}: {' '.join(indicator.argv)}"


def _warnings(scenario: Scenario, windows: Sequence[Window], ends: float) -> Iterator[str]:
    if not (scenario.expect or scenario.steady_state):
        yield f"{scenario.path}: asserts nothing, so its verdict can say only that it ran; add `expect`"
    for assertion in scenario.expect:
        if assertion.term.name != "recovery" or assertion.bound.value is None:
            continue
        for window in (each for each in windows if each.fault == assertion.when.name):
            use = next(use for use in scenario.faults if use.name == window.fault)
            counted_from = window.start if use.fault.recovers_from == "injection" else window.end
            later = [other.start for other in windows if other.start > counted_from and other is not window]
            censored = min([*later, ends])
            if censored < counted_from + assertion.bound.value:
                yield (
                    f"{assertion.place}: `{assertion.text}` can be seen for only {censored - counted_from:g}s"
                    " before the next fault or the end of the run"
                )


def timed_stages(load: Load, *, begins: float) -> list[tuple[float, float | None, float, float]]:
    """Lay a load's stages on the record's axis: (start, end or None, level at start, level at end)."""
    rows, start = [], begins
    for stage in load.stages:
        end = None if stage.duration is None else start + stage.duration
        rows.append((start, end, stage.start, stage.end))
        start = start if end is None else end
    return rows
