"""How managed processes and link proxies are started: their Spawn operations, every blank filled."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.errors import Refused
from runner.operations.record import Spawn
from runner.scenario import Environment, Managed, TargetSpec
from runner.targets.names import instance_names, where
from runner.targets.ports import addresses, join, split

_BLANK = re.compile(r"\$(?:(\$)|(\w[\w-]*\.address(?:es)?)|(\w+))")
_PYTHONS = ("python", "python3")


def spawns(
    spec: TargetSpec, *, environment: Environment, run: str, logs: Path, ports: Mapping[str, tuple[int, ...]]
) -> list[Spawn]:
    """Make one Spawn for each process of a managed target. Raises Refused on an unknown `$name`."""
    managed = spec.managed
    if managed is None:
        return []
    names, own = instance_names(spec), ports.get(spec.name, ())
    cwd = managed.cwd or str(Path(environment.path).parent)
    return [
        Spawn(
            run=run,
            instance=name,
            argv=_argv(managed, blanks, where(spec)),
            env=_env(managed, blanks, where(spec)),
            env_from=tuple(dict.fromkeys(environment.variables.values())),
            cwd=cwd,
            log=str(logs / f"{name}.log"),
        )
        for index, name in enumerate(names)
        if (blanks := _blanks(environment, ports, index, own[index] if own else None))
    ]


def link_spawn(
    spec: TargetSpec,
    *,
    environment: Environment,
    run: str,
    logs: Path,
    ports: Mapping[str, tuple[int, ...]],
    socket: Path,
) -> Spawn:
    """Make the Spawn of a link's proxy: it inherits its listener, and the lifeline that heals it."""
    if spec.link is None:
        raise Refused(f"{where(spec)}: is no link")
    upstream = fill(spec.link.upstream, _blanks(environment, ports, 0, None), f"{where(spec)}.link.upstream")
    root = Path(__file__).resolve().parents[2]
    options = ("--link", spec.name, "--upstream", join(*split(upstream)), "--control", str(socket))
    return Spawn(
        run=run,
        instance=spec.name,
        argv=(sys.executable, "-P", "-m", "runner.links.proxy", *options),
        env={
            "PYTHONPATH": str(root),
            "PYTHONUNBUFFERED": "1",
        },  # -P: a `runner` in the user's directory is not ours
        cwd="/",
        log=str(logs / f"{spec.name}.log"),
        listeners=(spec.name, "lifeline"),
    )


def fill(text: str, blanks: Mapping[str, str], head: str) -> str:
    """Fill `$name` and `$target.address`; `$$` is a dollar. Raises Refused on an unknown name."""

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
        if name not in blanks:
            known = ", ".join(f"${blank}" for blank in sorted(blanks))
            raise Refused(f"{head}: ${name} is unknown here; known are {known}; a dollar is written $$")
        return blanks[name]

    return _BLANK.sub(replace, text)


def _argv(managed: Managed, blanks: Mapping[str, str], head: str) -> tuple[str, ...]:
    argv = tuple(fill(word, blanks, f"{head}.processes.command") for word in managed.command)
    if argv and argv[0] in _PYTHONS:
        return (sys.executable, *argv[1:])
    return argv


def _env(managed: Managed, blanks: Mapping[str, str], head: str) -> dict[str, str]:
    filled = {
        name: fill(value, blanks, f"{head}.processes.env.{name}") for name, value in managed.env.items()
    }
    return {"PYTHONUNBUFFERED": "1"} | filled  # or a killed process takes its last words with it


def _blanks(
    environment: Environment, ports: Mapping[str, tuple[int, ...]], index: int, port: int | None
) -> dict[str, str]:
    blanks = {"index": str(index)}
    if port is not None:
        blanks["port"] = str(port)
    for name, spec in environment.targets.items():
        served = addresses(spec, ports)
        if served:
            blanks |= {f"{name}.address": served[0], f"{name}.addresses": ",".join(served)}
    return blanks
