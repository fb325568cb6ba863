"""The `faults` section: any kind's knobs, whom it hits and when."""

from __future__ import annotations

import sys
from typing import cast

import msgspec

from runner.faults import KINDS, AnyFault
from runner.faults.record import Fault
from runner.language.convert import check_ranges, read_fields
from runner.language.moments import check_name, read_moment, read_pick
from runner.language.shapes import FaultShape
from runner.language.substitution import nearest
from runner.language.written import Written
from runner.scenario import Anchor, Environment, FaultUse, Pick, TargetSpec

KILL_LOOKS = 10.0  # seconds that `during` looks at a kill which says no `for`
_RESERVED_NAMES = ("faults", "before", "after", "always")


def read_faults(written: Written | None, environment: Environment) -> tuple[FaultUse, ...]:
    """Read every fault of a scenario, in the order written."""
    if written is None:
        return ()
    return tuple(_fault(entry, name, environment) for name, entry in written.entries().items())


def _fault(written: Written, name: str, environment: Environment) -> FaultUse:
    check_name(written, name, "a fault")
    if name in _RESERVED_NAMES:
        written.refuse_key(f"a fault cannot be called {name}: the keys of `expect` use that word")
    entries = written.entries()
    if "kind" not in entries:
        written.refuse(f"lacks `kind`; one of {', '.join(KINDS)}")
    word = entries["kind"].filled().strip()
    if word not in KINDS:
        entries["kind"].refuse(f"no fault is of the kind {word}{nearest(word, KINDS)}")
    kind = KINDS[word]
    knobs = kind.__struct_encode_fields__
    common = {key: entry for key, entry in entries.items() if key not in knobs}
    shape = read_fields(written, common, FaultShape, also=knobs)
    own = {key: entry for key, entry in entries.items() if key in knobs}
    fault = _by_our_python(_in_folder(written, check_ranges(written, own, read_fields(written, own, kind))))
    spec = _target(entries["target"], word, kind, environment)
    if why := fault.unsuited(platform_of(spec)):
        entries["target"].refuse(f"{word} on target {spec.name}: {why}")
    return FaultUse(
        name=name,
        fault=cast("AnyFault", fault),
        target=spec.name,
        pick=_pick(shape, spec),
        at=read_moment(shape.at) if shape.at else Anchor(),
        duration=_duration(written, shape, word),
        every=shape.every,
        times=_times(entries, shape),
        follow=_follow(entries, shape, fault, spec, environment),
        place=written.key.place if written.key else written.place,
    )


def _in_folder(written: Written, fault: Fault) -> Fault:
    """Make the `cwd` of a kind that has one absolute: paths start at the file that names them."""
    cwd = getattr(fault, "cwd", None)
    if cwd is None:
        return fault
    given = written.entries().get("cwd", written)
    folder = given.file(cwd)
    if not folder.is_dir():
        given.refuse(f"{cwd} is no folder (looked in {written.folder})")
    return msgspec.structs.replace(fault, cwd=str(folder))


def _by_our_python(fault: Fault) -> Fault:
    """Let `python`, at the head of a command that a kind runs, be the interpreter that runs Squall."""
    if not fault.executes:
        return fault
    commands = {
        name: (sys.executable, *value[1:])
        for name, value in msgspec.structs.asdict(fault).items()
        if isinstance(value, tuple) and value and value[0] in ("python", "python3")
    }
    return msgspec.structs.replace(fault, **commands)


def _target(written: Written, word: str, kind: type[Fault], environment: Environment) -> TargetSpec:
    name = written.filled().strip()
    spec = environment.targets.get(name)
    if spec is None:
        written.refuse(f"no target {name} in {environment.path}{nearest(name, environment.targets)}")
    platform = platform_of(spec)
    if platform == "url" and platform not in kind.platforms:
        written.refuse(
            f"target {name} is only a url: it has no instances to hurt; load and probes can use it"
        )
    if platform not in kind.platforms:
        able = [other.name for other in environment.targets.values() if platform_of(other) in kind.platforms]
        needs = " or ".join(sorted(_WORDS[one] for one in kind.platforms))
        hint = f"; targets that can have it: {', '.join(able)}" if able else ""
        written.refuse(f"{word} needs {needs}, and target {name} is {_WORDS[platform]}{hint}")
    return spec


def platform_of(spec: TargetSpec) -> str:
    """What a target's instances are: `url` where it has none."""
    if spec.link is not None:
        return "link"
    if spec.wire is not None:
        return "wire"
    if spec.docker is not None:
        return "container"
    if spec.kubernetes is not None:
        return "node" if spec.kubernetes.nodes else "pod"
    return "process" if spec.managed is not None or spec.found is not None else "url"


def _follow(
    entries: dict[str, Written], shape: FaultShape, fault: Fault, spec: TargetSpec, environment: Environment
) -> bool:
    """Whether newcomers are hurt too: only a cluster makes them by itself."""
    source = environment.targets[spec.wire.source] if spec.wire is not None else spec
    if shape.follow and platform_of(source) != "pod":
        entries["follow"].refuse_key(
            f"only pods come by themselves, and target {spec.name} has none; remove it"
        )
    if shape.follow and fault.of_workload:
        entries["follow"].refuse_key(
            f"{fault.__struct_config__.tag} is done to the workload, whichever pods it has; remove it"
        )
    return shape.follow


def _pick(shape: FaultShape, spec: TargetSpec) -> Pick:
    if shape.pick is None:
        return Pick(seed=shape.seed)
    pick = read_pick(shape.pick, shape.seed)
    names = instances_of(spec)
    if names is None:
        return pick
    for name in pick.names:
        if name not in names:
            shape.pick.refuse(f"target {spec.name} has no instance {name}{nearest(name, names)}")
    if pick.count is not None and pick.count > len(names):
        shape.pick.refuse(f"{pick.count} instances are wanted, target {spec.name} has {len(names)}")
    return pick


def instances_of(spec: TargetSpec) -> list[str] | None:
    """The names of a target's instances, where the file alone tells them."""
    if spec.link is not None:
        return [spec.name]
    if spec.managed is not None:
        return [f"{spec.name}.{index}" for index in range(spec.managed.count)]
    return None


def _duration(written: Written, shape: FaultShape, kind: str) -> float:
    duration = shape.for_
    if duration is None and kind == "kill":
        duration = KILL_LOOKS
    if duration is None:
        written.refuse("lacks `for`; say how long it lasts, such as for: 10s")
    if duration == 0:
        written.entries()["for"].refuse("0s is no fault; give it a duration, such as 10s")
    if shape.every is not None and shape.every < duration:
        written.entries()["every"].refuse(
            "repeats before it has ended; make `every` at least as long as `for`"
        )
    return duration


def _times(entries: dict[str, Written], shape: FaultShape) -> int:
    if "times" in entries and not 1 <= shape.times <= 1000:
        entries["times"].refuse(f"{shape.times} times are not possible; write 1 to 1000")
    if shape.times > 1 and shape.every is None:
        entries["times"].refuse("repeats, but `every` is missing; write every: 1m")
    if shape.every is not None and "times" not in entries:
        entries["every"].refuse("repeats, but `times` is missing; write times: 3")
    return shape.times


_WORDS = {
    "process": "processes",
    "link": "a link",
    "url": "only a url",
    "container": "containers",
    "pod": "pods",
    "node": "nodes",
    "wire": "a link between services",
}
