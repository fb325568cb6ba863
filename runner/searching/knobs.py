"""The knob that a search turns: a parameter of the load, or a knob of one fault, with its unit and its worse side."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec

from runner.errors import Refused
from runner.language.substitution import nearest
from runner.scenario import FaultUse, Scenario
from runner.search_record import Knob
from runner.units import EXAMPLES, Quantity, QuantityError, kind_of, parse, written

LOAD = "load"  # not a parameter: all stages by one share
RATE = "rate"  # the parameter that a search for the capacity turns unless another is named
_LARGER = frozenset({"for", "delay", "jitter", "share", "ballast"})
_SMALLER = frozenset({"limit", "rate", "read", "write", "after"})
_DIGITS = 4  # significant ones of a level
_AROUND = 8.0  # times what the scenario says, down and up, unless said


def of_load(scenario: Scenario, name: str) -> Knob:
    """Find the parameter *name*, by which the stages of the load are written; `load` is a share of all stages. Raises Refused."""
    parameters = scenario.parameters
    if name == LOAD and name not in parameters and scenario.loads:
        names = [load.name for load in scenario.loads]
        paths = ("load.scale",) if names == [LOAD] else tuple(f"load.{each}.scale" for each in names)
        return Knob(name=name, kind="share", paths=paths, of_load=True, written=1.0)
    if name not in parameters:
        hint = nearest(name, parameters) if name != RATE else ""
        raise Refused(
            f"{scenario.path} has no parameter {name} to turn{hint or '; name another with --knob, turn all stages with --knob load, or write parameters: {rate: 60/s} and rate: $rate in the stages'}"
        )
    text = parameters[name]
    try:
        kind = kind_of(text)
        value = parse(kind, text)
    except QuantityError as error:
        raise Refused(f"--knob {name}: {error}") from error
    return Knob(name=name, kind=kind, parameter=name, of_load=True, written=value)


def of_fault(scenario: Scenario, fault: str, name: str, worse: str | None) -> Knob:
    """Find the knob *name* of the fault *fault*, and which side is worse. Raises Refused."""
    uses = {use.name: use for use in scenario.faults}
    if fault not in uses:
        raise Refused(f"--fault {fault}: {scenario.path} has no such fault{nearest(fault, uses)}")
    kinds = _kinds(uses[fault])
    if name not in kinds:
        raise Refused(
            f"--knob {name}: no knob of {fault} with a quantity is called that{nearest(name, kinds)}"
        )
    if worse is None and name not in _LARGER | _SMALLER:
        raise Refused(f"--knob {name}: say which side is worse with --worse larger or --worse smaller")
    value = uses[fault].duration if name == "for" else getattr(uses[fault].fault, name)
    return Knob(
        name=f"{name} of {fault}",
        kind=kinds[name],
        paths=(f"faults.{fault}.{name}",),
        larger_is_worse=worse == "larger" if worse else name in _LARGER,
        written=value or None,
    )


def level_text(knob: Knob, level: float) -> str:
    """Write a level as a scenario spells it, with no more digits than mean something."""
    digits = _DIGITS - 1 - math.floor(math.log10(level))
    return written(knob.kind, round(level, digits))


def level_of(knob: Knob, text: str, option: str) -> float:
    """Read a level of *option*. Raises Refused."""
    try:
        level = parse(knob.kind, text)
    except QuantityError as error:
        raise Refused(f"{option} {error}") from error
    if level <= 0:
        raise Refused(f"{option} {text}: a search needs levels above 0; write it like {EXAMPLES[knob.kind]}")
    return level


def ends(knob: Knob, least: str | None, most: str | None) -> tuple[float, float]:
    """The levels that may be tried: as said, else eight times down and up from what the scenario says."""
    if (least is None or most is None) and knob.written is None:
        raise Refused(f"{knob.name}: the scenario gives it no value to begin at; say --from and --to")
    low = level_of(knob, least, "--from") if least else (knob.written or 0.0) / _AROUND
    high = level_of(knob, most, "--to") if most else (knob.written or 0.0) * _AROUND
    if knob.kind == "share" and not knob.of_load and not most:
        high = min(high, 0.99)
    if low >= high:
        raise Refused(
            f"--from {level_text(knob, low)} is not below --to {level_text(knob, high)}; nothing lies between"
        )
    return low, high


def settings_for(knob: Knob, level: float) -> dict[str, str]:
    """The parameters of a trial at *level*."""
    return {knob.parameter: level_text(knob, level)} if knob.parameter else {}


def changes_for(knob: Knob, level: float) -> dict[str, str]:
    """The changes of the file for a trial at *level*."""
    return dict.fromkeys(knob.paths, level_text(knob, level))


def _kinds(use: FaultUse) -> dict[str, str]:
    """The knobs of a fault that hold a quantity, and its kind."""
    found = {field.name: _kind(field.type) for field in msgspec.structs.fields(type(use.fault))}
    return {"for": "duration", **{name: kind for name, kind in found.items() if kind}}


def _kind(annotation: Any) -> str:
    for one in (annotation, *get_args(annotation)):
        marks = getattr(one, "__metadata__", ())
        if kind := next((mark.kind for mark in marks if isinstance(mark, Quantity)), ""):
            return str(kind)
    return ""
