"""Everything that is decided before anything is touched: files read, targets found, limits kept, ports free."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.errors import OperationFailed, Refused
from runner.faults.record import Instance
from runner.language import read_environment, read_scenario
from runner.language.document import read_document
from runner.load.client import classes_in
from runner.operations.record import Identity, Spawn
from runner.plan_record import Harm, Plan
from runner.planning.outliving import refuse_without_end
from runner.planning.plan import work_out
from runner.planning.plugins import logins, refuse_strangers
from runner.planning.scouting import cleared, drafted, left_standing, scout, with_facts
from runner.running.acts import compile_act
from runner.scenario import Environment, Load, Scenario, TargetSpec
from runner.targets import assign_ports, facts, find, instance_names
from runner.targets.lineup import Lineup
from runner.targets.upstreams import refuse_unknown_upstreams

RESERVE, RESERVED = ".reserve", 4 << 20  # bytes: reports are at most 2.5 MB


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that may start."""

    plan: Plan
    found: Lineup
    ports: dict[str, tuple[int, ...]]
    variables: dict[str, str]


def prepare(
    path: Path,
    *,
    environment: str,
    settings: Mapping[str, str],
    changes: Mapping[str, str] | None = None,
    calm: bool = False,
    cautious: bool = False,
) -> list[Prepared]:
    """Read one scenario file and check it against its environment; a sweep gives several. Raises Refused.

    *changes*: path of keys -> text that stands there instead. *calm*: its faults' windows stay, and nothing is injected.
    *cautious*: a program by which a kubeconfig that is none of the user's own logs in is not run, but refused.
    """
    read_document(path)  # a file that is no scenario says so before any environment is looked for
    place = read_environment(environment, path)
    if cautious:
        refuse_strangers(place)
    return [
        _prepare(scenario, place, calm=calm) for scenario in read_scenario(path, place, settings, changes)
    ]


def _prepare(scenario: Scenario, environment: Environment, *, calm: bool) -> Prepared:
    scenario = msgspec.structs.replace(
        scenario, loads=tuple(_with_host(load, scenario, environment) for load in scenario.loads)
    )
    processes = {
        name: tuple(find(spec.found)) for name, spec in environment.targets.items() if spec.found is not None
    }
    ports = assign_ports(environment)
    refuse_unknown_upstreams(environment)
    scouted = scout(scenario, environment)
    lineup, environment = Lineup(processes, scouted.instances), scouted.environment
    instances = {name: instance_names(spec, lineup.count(name)) for name, spec in environment.targets.items()}
    run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    plan = work_out(scenario, environment, instances, run=run, bodies=lineup.bodies())
    drafts = drafted(plan, scouted.instances)
    if not calm:
        refuse_without_end(drafts)
    clearance = cleared(scenario, drafts, scouted.instances)
    standing, unread = left_standing(plan, scouted.instances)
    lineup = Lineup(processes, with_facts(drafts, scouted.instances, environment.helper))
    plan = msgspec.structs.replace(
        plan,
        harms=tuple(_harms(plan, lineup)),
        acts_as=tuple(clearance.acts_as),
        leaves=tuple(standing),
        executes=(*plan.executes, *logins(environment)),
        warnings=(*plan.warnings, *scouted.warnings, *clearance.warnings, *unread),
        calm=calm,
    )
    return Prepared(plan=plan, found=lineup, ports=ports, variables=_variables(environment))


def _with_host(load: Load, scenario: Scenario, environment: Environment) -> Load:
    classes = classes_in(Path(load.locustfile))
    for wanted in load.classes:
        if wanted not in classes:
            raise Refused(
                f"{load.place}: load.classes: {Path(load.locustfile).name} has no user class {wanted};"
                f" it has {', '.join(classes) or 'none'}"
            )
    if load.target is None:
        return load
    spec = environment.targets.get(load.target)
    if spec is None or not spec.url:
        raise Refused(
            f"{load.place}: load.target: target {load.target} has no url in {environment.path};"
            f" {scenario.path} sends its load there"
        )
    return msgspec.structs.replace(load, host=spec.url)


def _harms(plan: Plan, found: Lineup) -> list[Harm]:
    harms, bodies = [], found.bodies()
    for use in plan.scenario.faults:
        window = next(window for window in plan.windows if window.fault == use.name)
        spec = plan.environment.targets[use.target]
        try:
            acts = tuple(
                compile_act(
                    use,
                    bodies.get(name) or _blank(spec, name, found.processes),
                    window.occurrence,
                    run=plan.run,
                )
                for name in window.instances
            )
        except (OperationFailed, Refused) as error:
            raise Refused(f"{use.place}: faults.{use.name}: {error}") from error
        harms.append(
            Harm(fault=use.name, does=use.fault.does(), acts=acts, recovers_from=use.fault.recovers_from)
        )
    return harms


def _blank(spec: TargetSpec, name: str, found: dict[str, tuple[Identity, ...]]) -> Instance:
    """Stand in for an instance in a printed plan: a managed process has no pid before the run starts it."""
    if spec.link is not None:
        return Instance(target=spec.name, name=name, socket=f"{name}.sock", address=spec.link.listen)
    if spec.found is not None:
        process = found[spec.name][int(name.rpartition(".")[2])]
        return facts(Instance(target=spec.name, name=name, process=process))
    if spec.managed is None:
        return Instance(target=spec.name, name=name, address=spec.url)
    spawn = Spawn(run="", instance=name, argv=spec.managed.command)
    unborn = Identity(pid=0, started=0, boot="")
    unlimited = {"AS": (-1, -1), "DATA": (-1, -1)}
    return msgspec.structs.replace(
        Instance(target=spec.name, name=name), process=unborn, spawn=spawn, limits=unlimited
    )


def _variables(environment: Environment) -> dict[str, str]:
    missing = [source for source in environment.variables.values() if source not in os.environ]
    if missing:
        raise Refused(f"{environment.path}: variables: {missing[0]} is not set in this shell; export it")
    return {name: os.environ[source] for name, source in environment.variables.items()}


def slug(name: str) -> str:
    """Make a folder's name of a scenario's: `first_steps[rate=80/s]` becomes `first_steps-rate-80-s`."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:80] or "scenario"


def make_folder(reports: Path, plan: Plan) -> Path:
    """Make the folder of a run's record. Raises Refused where it cannot be written."""
    folder = reports / slug(plan.scenario.name) / plan.run
    try:
        (folder / "logs").mkdir(parents=True)
        (folder / "scenario.yaml").write_bytes(Path(plan.scenario.path).read_bytes())
        (folder / "plan.json").write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1))
    except OSError as error:
        raise Refused(
            f"the report folder {folder} cannot be written: {error.strerror}; name another with --report"
        ) from error
    _keep_reserve(folder)
    return folder


def _keep_reserve(folder: Path) -> None:
    """Put a few megabytes aside, so that a disk that fills while running still takes the verdict and its reports."""
    with contextlib.suppress(OSError), (folder / RESERVE).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVED)


def give_up_reserve(folder: Path) -> None:
    """Let the disk have what was put aside."""
    (folder / RESERVE).unlink(missing_ok=True)


def point_latest(folder: Path) -> None:
    """Let `latest` beside *folder* point to it; a `latest` that is no link is left alone."""
    latest, fresh = folder.parent / "latest", folder.parent / f".latest-{folder.name}"
    if latest.exists() and not latest.is_symlink():
        return
    fresh.symlink_to(folder.name)
    fresh.replace(latest)
