"""The targets of a living run: managed ones started through the guardian, all of them read when it matters."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from runner import clock
from runner.errors import OperationFailed, Refused
from runner.faults.record import Instance
from runner.guardian.client import GuardianClient
from runner.operations.record import Act, Identity, Spawn, Stop
from runner.processes import leads_session, marked, state_of
from runner.scenario import Environment, TargetSpec
from runner.targets import addresses, facts, find, instance_names, link_spawn, spawns, wait_ready
from runner.targets.elsewhere import ended
from runner.targets.lineup import Lineup, Whereabouts
from runner.targets.names import where
from runner.targets.ports import split
from runner.targets.readiness import last_line, wait_for_answer

_ENDED = ("", "Z", "X")  # states of processes that live no more
START_DEADLINE = 15.0  # seconds for one spawn to be journaled and done


class Victims:
    """What can be hurt, by instance name. Nothing is started before `start`."""

    def __init__(
        self,
        environment: Environment,
        *,
        run: str,
        folder: Path,
        sockets: Path,
        found: Lineup,
    ) -> None:
        self._environment, self._run, self._folder, self._sockets = environment, run, folder, sockets
        self._found = dict(found.processes)
        self._elsewhere = Whereabouts(environment, found)
        self._spawns: dict[str, Spawn] = {}
        self._leaders: dict[str, Identity] = {}
        self._owner: dict[str, TargetSpec] = {}
        for spec in environment.targets.values():
            for name in instance_names(spec, found.count(spec.name)):
                self._owner[name] = spec

    def start(
        self, guardian: GuardianClient, ports: dict[str, tuple[int, ...]], *, go_on: Callable[[], None]
    ) -> None:
        """Start links and managed processes and wait until they are ready; *go_on* raises to end the wait.

        Raises Refused.
        """
        logs, specs = self._folder / "logs", list(self._environment.targets.values())
        links = [spec for spec in specs if spec.link is not None]
        for spec in links:
            host, port = split(addresses(spec, ports)[0])
            ports[spec.name] = (guardian.listen(spec.name, host, port),)
        common: Any = {"environment": self._environment, "run": self._run, "logs": logs, "ports": ports}
        wanted = [link_spawn(spec, socket=self._control_socket(spec.name), **common) for spec in links]
        for spec in specs:
            wanted += spawns(spec, **common)
        self._spawn(guardian, wanted)
        for spec in links:
            self._wait_for_control(spec, logs, go_on)
        for spec in specs:
            names = instance_names(spec)

            def lives(index: int, names: tuple[str, ...] = names) -> bool:
                go_on()
                return any(True for _ in marked(self._run, names[index]))

            wait_ready(spec, addresses(spec, ports), lives, logs=logs)
            if self._elsewhere.knows(spec.name) and spec.url:
                wait_for_answer(spec, go_on)
        go_on()

    def instance(self, name: str) -> Instance:
        """Read the facts of one instance now. Raises OperationFailed where it is not there."""
        spec = self._owner[name]
        if self._elsewhere.knows(spec.name):
            return self._elsewhere.instance(spec.name, name)
        if spec.link is not None:
            return Instance(
                target=spec.name,
                name=name,
                spawn=self._spawns[name],
                socket=str(self._control_socket(name)),
                address=spec.link.listen,
            )
        if spec.managed is None and spec.found is None:
            return Instance(target=spec.name, name=name, address=spec.url)
        process = self._process(name, spec)
        if process is None:
            raise OperationFailed(f"{name} is not running")
        instance = Instance(target=spec.name, name=name, process=process, spawn=self._spawns.get(name))
        return facts(instance, [peer for peer in self._found.get(spec.name, ()) if peer != process])

    def instances(self, target: str) -> list[Instance]:
        """Who of a target lives now: for probes that follow restarts."""
        if self._elsewhere.knows(target):
            return list(self._elsewhere.present(target).values())
        spec = self._environment.targets[target]
        if spec.managed is None and spec.found is None:
            return []  # a link or a mere url has no processes
        names = [name for name, owner in self._owner.items() if owner is spec]
        living = [(name, self._process(name, spec)) for name in names]
        return [
            Instance(target=target, name=name, process=process, spawn=self._spawns.get(name))
            for name, process in living
            if process
        ]

    def present(self, target: str) -> dict[str, Instance]:
        """Who of a target lives now, by an id that nobody gets again; empty where nobody comes by itself."""
        return self._elsewhere.present(target) if self._elsewhere.knows(target) else {}

    def ended(self, instance: Instance) -> str:
        """Say how one has ended that lives elsewhere; empty while it lives. Raises OperationFailed."""
        return ended(instance) if self._elsewhere.knows(instance.target) else ""

    def _control_socket(self, link: str) -> Path:
        return self._sockets / f"{self._run}.{link}.link"

    def _wait_for_control(self, spec: TargetSpec, logs: Path, go_on: Callable[[], None]) -> None:
        """Wait until a link's proxy can be told what to hurt."""
        patience = clock.now() + START_DEADLINE
        while not self._control_socket(spec.name).exists():
            go_on()
            if self._leader(spec.name) is None and not self._control_socket(spec.name).exists():
                raise Refused(
                    f"{where(spec)}: its proxy ended while it started: {last_line(logs, spec.name)}"
                )
            if clock.now() > patience:
                raise Refused(f"{where(spec)}: its proxy did not start; see {logs / spec.name}.log")
            time.sleep(0.01)

    def _process(self, name: str, spec: TargetSpec) -> Identity | None:
        if spec.managed is not None:
            return self._leader(name)
        kept, place = self._found[spec.name], int(name.rpartition(".")[2])
        if state_of(kept[place]) not in _ENDED:
            return kept[place]
        new = next((process for process in _there(spec) if process not in kept), None)
        if new is not None:  # its supervisor started it again; the others keep their names
            self._found[spec.name] = (*kept[:place], new, *kept[place + 1 :])
        return new

    def _leader(self, name: str) -> Identity | None:
        """Who was it last time, while it lives: to look for it reads the environment of every process here."""
        last = self._leaders.get(name)
        if last is None or state_of(last) in _ENDED:
            last = next((process for process in marked(self._run, name) if leads_session(process)), None)
        if last is not None:
            self._leaders[name] = last
        return last

    def _spawn(self, guardian: GuardianClient, wanted: list[Spawn]) -> None:
        acts = [_start_act(spawn) for spawn in wanted]
        _wait_all([guardian.arm(act) for act in acts])
        _wait_all([guardian.inject(act.id) for act in acts])
        self._spawns.update({spawn.instance: spawn for spawn in wanted})


def _there(spec: TargetSpec) -> list[Identity]:
    try:
        return find(spec.found) if spec.found is not None else []
    except Refused:  # nobody is
        return []


def _start_act(spawn: Spawn) -> Act:
    return Act(
        id=f"start/{spawn.instance}",
        fault="",
        kind="start",
        instance=spawn.instance,
        owns=f"{spawn.instance} existence",
        do=(spawn,),
        undo=(Stop(run=spawn.run, instance=spawn.instance),),
        rank=0,
        deadline=START_DEADLINE,
    )


def _wait_all(futures: list[Future[Any]]) -> None:
    for future in futures:
        try:
            future.result(timeout=START_DEADLINE + 5)
        except (OperationFailed, TimeoutError) as error:
            raise Refused(f"a target could not be started: {error}") from error
