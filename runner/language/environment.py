"""Reads an environment: where a scenario runs, what may be hurt there, and how much."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from runner.errors import Refused
from runner.language.convert import read_struct
from runner.language.document import Mapping, read_document, refusing, shown_path
from runner.language.indicators import check_url, read_indicators
from runner.language.objectives import read_objectives
from runner.language.price import read_price
from runner.language.shapes import ConnectionShape, EnvironmentShape, HelperShape
from runner.language.substitution import Scope, nearest
from runner.language.sweep import read_parameters
from runner.language.targets import read_targets
from runner.language.written import Written
from runner.scenario import Connection, Environment, Helper, Limits

_MERGED = (
    "parameters",
    "variables",
    "connections",
    "indicators",
    "objectives",
    "limits",
    "helper",
    "targets",
)
_SUFFIXES = (".yaml", ".yml")
_LONGEST_NAME = 255
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,255}")
_DNS = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_LEASES = (1.0, 60.0)  # seconds: beats come four times a second; after a minute nobody waits any more
_DEEPEST = 10  # environments that extend one another


def read_environment(name_or_path: str, scenario: Path) -> Environment:
    """Read an environment by its name (beside *scenario*, in `environments/`) or its path. Raises Refused."""
    with refusing(scenario.parent / "environments"):
        path = _path(name_or_path, scenario.parent / "environments")
    with refusing(path):
        return _environment(path)


def _environment(path: Path) -> Environment:
    root = Written(_merged(path, ()), "", Scope())
    entries = root.entries()
    parameters = {
        name: values[0] for name, values in read_parameters(entries.get("parameters"), sweeps=False).items()
    }
    targets = entries["targets"].entries() if "targets" in entries else {}
    scope = Scope(parameters=parameters, targets=frozenset(targets))
    shape = read_struct(root.within(scope), EnvironmentShape)
    connections = entries["connections"].entries() if "connections" in entries else {}
    _check_limits(entries.get("limits"))
    _check_helper(entries.get("helper"), shape.helper)
    return Environment(
        name=path.stem,
        path=shown_path(path),
        targets=read_targets(shape.targets, scope),
        limits=Limits(
            pick=shape.limits.pick,
            concurrent_faults=shape.limits.concurrent_faults,
            duration=shape.limits.duration,
            ready=shape.limits.ready,
        ),
        helper=Helper(
            image=shape.helper.image,
            namespace=shape.helper.namespace,
            service_account=shape.helper.service_account,
            lease=shape.helper.lease,
            place=entries["helper"].entries()["image"].place if shape.helper.image else None,
        ),
        variables={name: reference.env for name, reference in shape.variables.items()},
        connections={name: _connection(connections[name], one) for name, one in shape.connections.items()},
        indicators=read_indicators(shape.indicators),
        objectives=read_objectives(shape.objectives, connected="prometheus" in shape.connections),
        price=read_price(entries.get("price")),
        parameters=parameters,
    )


def _path(name: str, folder: Path) -> Path:
    """Find the file that *name* means: a bare name lies in *folder*, anything else is a path."""
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise Refused("that is no name of an environment; write --env local, or the path of a file")
    if "/" in name or name.endswith(_SUFFIXES):
        path = Path(name)
        if not path.is_file():
            raise Refused(f"{name}: no such environment file")
        return path
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    there = [other.stem for other in sorted(folder.glob("*.y*ml"))][:50]
    raise Refused(
        f"no environment {name}: {shown_path(folder / name)}.yaml does not exist{nearest(name, there)}"
    )


def _merged(path: Path, below: tuple[Path, ...]) -> Mapping:
    """Read a file over the one that it extends: its targets, limits and the like replace those of the same name."""
    document = read_document(path)
    extends = document.entries.get("extends")
    if extends is None:
        return document
    written = Written(extends[1], "extends", Scope())
    name, line = written.filled().strip(), (*below, path.resolve())
    try:
        parent = _path(
            str(path.parent / name) if "/" in name or name.endswith(_SUFFIXES) else name, path.parent
        )
    except Refused as error:
        written.refuse(str(error))
    if parent.resolve() in line or len(line) > _DEEPEST:
        written.refuse(f"goes in circles: {' → '.join(one.stem for one in (*line, parent))}")
    return _over(document, _merged(parent, line))


def _over(child: Mapping, parent: Mapping) -> Mapping:
    entries = {name: entry for name, entry in parent.entries.items() if name != "extends"} | child.entries
    for section in _MERGED:
        ours, theirs = child.entries.get(section), parent.entries.get(section)
        if ours and theirs and isinstance(ours[1], Mapping) and isinstance(theirs[1], Mapping):
            entries[section] = (ours[0], replace(ours[1], entries=theirs[1].entries | ours[1].entries))
    return replace(child, entries=entries)


def _connection(written: Written, shape: ConnectionShape) -> Connection:
    check_url(written.entries()["url"], shape.url)
    return Connection(url=shape.url, token_env=shape.token.env if shape.token else "")


def _check_limits(written: Written | None) -> None:
    if written is None:
        return
    entries = written.entries()
    if "pick" in entries and not 0 < entries["pick"].quantity("share") <= 1:
        entries["pick"].refuse("allows nothing or too much; write more than 0% and at most 100%")
    if "ready" in entries and entries["ready"].whole() == 0:
        entries["ready"].refuse("0 asks for nothing; write at least 1, or remove the key")
    if "concurrent_faults" in entries and entries["concurrent_faults"].whole() == 0:
        entries["concurrent_faults"].refuse("0 allows no fault at all; write at least 1")


def _check_helper(written: Written | None, helper: HelperShape) -> None:
    if written is None:
        return
    entries = written.entries()
    if helper.image and not _IMAGE.fullmatch(helper.image):
        entries["image"].refuse(f'"{helper.image}" is no image; write NAME:TAG, or NAME@sha256:DIGEST')
    for key, name in (("namespace", helper.namespace), ("service_account", helper.service_account)):
        if name and not _DNS.fullmatch(name):
            entries[key].refuse(f'"{name}" is no name that a cluster takes; use a to z, digits and -')
    least, most = _LEASES
    if not least <= helper.lease <= most:
        entries["lease"].refuse(f"{helper.lease:g}s is no lease; write {least:g}s to {most:g}s")
