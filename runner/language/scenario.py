"""Reads a scenario file: one frozen scenario for every run that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.language.assertions import read_assertions, read_confidence, read_expectations
from runner.language.changing import changed
from runner.language.comparison import read_compare
from runner.language.convert import read_struct
from runner.language.document import read_document, refusing, shown_path
from runner.language.faults import read_faults
from runner.language.indicators import read_indicators
from runner.language.loads import read_loads
from runner.language.objectives import indicators_of_objectives
from runner.language.references import check_references
from runner.language.shapes import RESERVED, ScenarioShape
from runner.language.substitution import Scope
from runner.language.sweep import Choice, choices, read_parameters
from runner.language.targets import addresses
from runner.language.written import Written
from runner.scenario import Environment, Indicator, Scenario

VERSION = 1


def read_scenario(
    path: Path,
    environment: Environment,
    settings: Mapping[str, str],
    changes: Mapping[str, str] | None = None,
) -> list[Scenario]:
    """Read the scenarios of one file: several where parameters sweep. Raises Refused, nothing else.

    *changes*: path of keys -> text that stands there instead (`faults.slow-store.delay`: `120ms`).
    """
    with refusing(path):
        return _scenarios(path, environment, settings, changes or {})


def _scenarios(
    path: Path, environment: Environment, settings: Mapping[str, str], changes: Mapping[str, str]
) -> list[Scenario]:
    root = Written(changed(read_document(path), changes), "", Scope())
    entries = root.entries()
    for word in RESERVED:
        if word in entries:
            entries[word].refuse_key(
                "is a word of a later version; this version of Squall cannot do it, remove the key"
            )
    declared = read_parameters(entries.get("parameters"), sweeps=True)
    combinations = choices(declared, environment.parameters, settings, file=shown_path(path))
    return [_scenario(path, root, environment, choice) for choice in combinations]


def _scenario(path: Path, root: Written, environment: Environment, choice: Choice) -> Scenario:
    scope = Scope(
        parameters=choice.values,
        targets=frozenset(environment.targets),
        address=lambda name: addresses(environment.targets[name]),
    )
    written = root.within(scope)
    entries = written.entries()
    _check_version(entries)
    shape = read_struct(written, ScenarioShape)
    if shape.before == 0 and shape.steady_state is not None:
        entries["before"].refuse("0s measures nothing; the steady state needs time, such as before: 10s")
    if shape.stop_when_decided and not read_confidence(shape.confidence):
        entries["stop_when_decided"].refuse(
            "nothing is decided early by points alone; remove it, or `confidence: none`"
        )
    if shape.load is None and shape.faults is None and shape.indicators is None:
        written.refuse("there is nothing to run: write at least `load` or `faults`")
    steady_state, expect = read_assertions(shape.steady_state), read_expectations(shape.expect)
    halt = read_assertions(shape.halt)
    indicators = _overridden(read_indicators(shape.indicators), environment)
    objectives = indicators_of_objectives(environment, (*steady_state, *expect, *halt))
    scenario = Scenario(
        path=str(path.resolve()),
        name=f"{path.stem}[{choice.label}]" if choice.label else path.stem,
        title=" ".join(shape.title.split()) or path.stem,
        owner=shape.owner,
        hypothesis=" ".join(shape.hypothesis.split()),
        tags=shape.tags,
        parameters=choice.values,
        loads=read_loads(shape.load, environment),
        warmup=shape.warmup,
        before=shape.before,
        after=shape.after,
        faults=read_faults(shape.faults, environment),
        indicators=(*indicators, *objectives),
        steady_state=steady_state,
        expect=expect,
        halt=halt,
        compare=read_compare(
            entries.get("compare"), (*indicators, *objectives), has_faults=shape.faults is not None
        ),
        confidence=read_confidence(shape.confidence),
        stop_when_decided=shape.stop_when_decided,
        outcome=shape.outcome,
    )
    check_references(scenario, environment, entries)
    return scenario


def _check_version(entries: Mapping[str, Written]) -> None:
    if "squall" not in entries:
        return
    version = entries["squall"].whole()
    if version != VERSION:
        entries["squall"].refuse(
            f"language version {version} is not known to this Squall; it reads version {VERSION}"
        )


def _overridden(own: tuple[Indicator, ...], environment: Environment) -> tuple[Indicator, ...]:
    """An environment may measure the same thing in another way, and measure more."""
    merged = {one.name: one for one in own} | {one.name: one for one in environment.indicators}
    return tuple(merged.values())
