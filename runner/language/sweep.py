"""Parameters and their sweeps: a list of values is one run for each, several lists every combination."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.errors import Refused
from runner.language.substitution import AT_SPAWN, nearest
from runner.language.written import Written

MOST_RUNS = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One combination: the value of every parameter, and what tells it from the others (`rate=80/s`)."""

    values: dict[str, str]
    label: str


def read_parameters(written: Written | None, *, sweeps: bool) -> dict[str, list[str]]:
    """Read the `parameters` of a file: each a value, or a list of values where *sweeps* are possible."""
    if written is None:
        return {}
    found = {}
    for name, entry in written.entries().items():
        if not _NAME.fullmatch(name) or name in AT_SPAWN:
            entry.refuse_key(
                f'"{name}" cannot be a parameter; use letters, digits and _, and not port or index'
            )
        if entry.is_list and not sweeps:
            entry.refuse("is a list; only a scenario (or --set) can sweep")
        values = [one.filled().strip() for one in entry.one_or_many()]
        if not values:
            entry.refuse("is an empty list; give it at least one value")
        if len(set(values)) < len(values):
            entry.refuse("names a value twice; every value of a sweep is one run")
        found[name] = values
    return found


def choices(
    declared: Mapping[str, list[str]], fixed: Mapping[str, str], settings: Mapping[str, str], *, file: str
) -> Iterator[Choice]:
    """Every combination of values. *settings* (--set) win over *fixed* (the environment's), these over *declared*."""
    values = dict(declared) | {name: [value] for name, value in fixed.items()}
    for name, text in settings.items():
        if name not in declared:
            raise Refused(_unknown(name, declared, fixed, file))
        values[name] = _setting(name, text)
    runs = 1
    for several in values.values():
        runs *= len(several)
    if runs > MOST_RUNS:
        raise Refused(
            f"{file}: parameters: the sweep has {runs} runs, at most {MOST_RUNS} are possible; sweep fewer values"
        )
    swept = [name for name, several in values.items() if len(several) > 1]
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        yield Choice(values=chosen, label=",".join(f"{name}={chosen[name]}" for name in swept))


def _setting(name: str, text: str) -> list[str]:
    several = [value.strip() for value in text.split(",")]
    if not all(several):
        raise Refused(f"--set {name}={text}: a value is empty; write --set {name}=VALUE or {name}=A,B")
    if len(set(several)) < len(several):
        raise Refused(f"--set {name}={text}: a value is given twice; every value of a sweep is one run")
    return several


def _unknown(name: str, declared: Mapping[str, list[str]], fixed: Mapping[str, str], file: str) -> str:
    if name in fixed:
        return (
            f"--set {name}: is a parameter of the environment only; change it there, or declare it in {file}"
        )
    hint = nearest(name, declared)
    return f"--set {name}: {file} declares no parameter {name}{hint or '; add it under parameters'}"
