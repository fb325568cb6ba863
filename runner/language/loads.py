"""The `load` section: one plain locustfile or several by name, each with its stages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from runner.language.convert import read_struct
from runner.language.moments import check_name, read_level
from runner.language.shapes import LoadShape, StageShape
from runner.language.substitution import nearest
from runner.language.written import Written
from runner.scenario import Environment, Load, Stage

_HEADER = re.compile(r"header\s+([A-Za-z0-9-]+)")
_TAKEN_LABELS = ("request", "load", "error", "code", "instance", "each")


def read_loads(written: Written | None, environment: Environment) -> tuple[Load, ...]:
    """Read every load of a scenario; none where there is no `load`."""
    if written is None:
        return ()
    entries, taken = written.entries(), set[str]()
    if entries and all(entry.is_map for entry in entries.values()):
        for name, entry in entries.items():
            check_name(entry, name, "a load")
        return tuple(_load(entry, name, environment, taken) for name, entry in entries.items())
    return (_load(written, "", environment, taken),)


def _load(written: Written, name: str, environment: Environment, taken: set[str]) -> Load:
    shape, entries = read_struct(written, LoadShape), written.entries()
    model, stages = _stages(entries["stages"], f"{name}-" if name else "", taken)
    if not 1 <= shape.workers <= 64:
        entries["workers"].refuse(f"{shape.workers} workers are not possible; write 1 to 64")
    for label, source in shape.labels.items():
        place = entries["labels"].entries()[label]
        if label in _TAKEN_LABELS or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", label):
            place.refuse_key(f'"{label}" cannot be a label; choose another word')
        if not _HEADER.fullmatch(source.strip()):
            place.refuse(f'"{source}" is no source of a label; write header X-Version')
    if shape.target:
        _check_target(entries["target"], shape.target, environment)
    return Load(
        name=name or "load",
        locustfile=str(_locustfile(entries["locustfile"], shape.locustfile)),
        classes=shape.classes,
        target=shape.target or None,
        model=model,
        stages=tuple(_scaled(stage, shape.scale) for stage in stages),
        labels={label: " ".join(source.split()) for label, source in shape.labels.items()},
        workers=shape.workers,
        place=written.place,
    )


def _scaled(stage: Stage, scale: float) -> Stage:
    return msgspec.structs.replace(stage, start=stage.start * scale, end=stage.end * scale)


def _locustfile(written: Written, name: str) -> Path:
    path = written.file(name)
    if not path.is_file():
        here = sorted(other.name for other in written.folder.glob("*.py"))[:50]
        reason = "is not a file" if path.exists() else "does not exist"
        written.refuse(f"{name} {reason} (looked in {written.folder}){nearest(name, here)}")
    return path


def _check_target(written: Written, name: str, environment: Environment) -> None:
    spec = environment.targets.get(name)
    if spec is None:
        written.refuse(f"no target {name} in {environment.path}{nearest(name, environment.targets)}")
    if not spec.url:
        having = [other.name for other in environment.targets.values() if other.url]
        hint = f"; targets with a url: {', '.join(having)}" if having else ""
        written.refuse(f"target {name} has no url to send load to; give it one in {environment.path}{hint}")


def _stages(written: Written, prefix: str, taken: set[str]) -> tuple[Any, tuple[Stage, ...]]:
    items = written.items()
    if not items:
        written.refuse("has no stage; write at least one, such as {name: steady, rate: 60/s}")
    stages: list[Stage] = []
    model = ""
    for number, item in enumerate(items, start=1):
        shape = read_struct(item, StageShape)
        own = _model(item, shape)
        if model and own != model:
            item.refuse(f"mixes {own} with {model}; one load has one model, write two loads")
        model = own
        stage = _stage(item, shape, f"{prefix}stage-{number}", last=number == len(items))
        if stage.name in taken:
            item.refuse(f"two stages are called {stage.name}; names tell them apart")
        taken.add(stage.name)
        stages.append(stage)
    return model, tuple(stages)


def _model(written: Written, shape: StageShape) -> str:
    if (shape.rate is None) == (shape.users is None):
        written.refuse("says how much by exactly one of `rate` (open model) and `users` (closed model)")
    return "rate" if shape.rate is not None else "users"


def _stage(written: Written, shape: StageShape, default: str, *, last: bool) -> Stage:
    level = shape.rate or shape.users
    assert level is not None
    start, end = read_level(level, "rate" if shape.rate else "users")
    if shape.for_ is None and not last:
        written.refuse("lacks `for`; only the last stage lasts until the run ends")
    if shape.for_ is None and start != end:
        written.refuse("ramps without `for`; say how long, such as for: 10s")
    if shape.for_ == 0:
        written.entries()["for"].refuse("0s is no stage; remove it or give it a duration")
    name = shape.name.strip() or default
    if shape.name:
        check_name(written.entries()["name"], name, "a stage")
    return Stage(name=name, start=start, end=end, duration=shape.for_)
