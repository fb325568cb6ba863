"""Command: anything else, by commands that the scenario brings."""

from __future__ import annotations

from typing import ClassVar

from runner.faults.record import Fault, Instance, Steps
from runner.operations.record import Run
from runner.units import Duration, written

_MARGIN = 5.0  # seconds beyond the timeouts that a hand may take to kill and to report


class Command(Fault, frozen=True, kw_only=True, tag="command"):
    """Run *do*, later *undo*, and *confirm* in between: each a list of words, never a line for a shell.

    *undo* must be a whole way back, harmless when run twice and when *do* never ran. Exit 0 is success.
    They find TARGET_NAME, TARGET_INSTANCE, TARGET_PID and TARGET_ADDRESS in their environment, and *env*; of containers
    and pods also TARGET_CONTAINER (the id), TARGET_KNOWN_AS (its own name), TARGET_NAMESPACE and TARGET_NODE.
    """

    platforms: ClassVar[frozenset[str]] = frozenset(
        {"process", "link", "url", "container", "pod", "node", "wire"}
    )
    property: ClassVar[str] = "command"
    executes: ClassVar[bool] = True

    do: tuple[str, ...]
    undo: tuple[str, ...]
    confirm: tuple[str, ...] = ()
    timeout: Duration = 10.0
    env: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    cwd: str = ""  # absolute once read; relative paths resolve from the scenario's folder

    def __post_init__(self) -> None:
        for name, argv in (("do", self.do), ("undo", self.undo)):
            if not argv or not argv[0]:
                raise ValueError(
                    f"{name} is empty; write a list of words, for example {name}: [touch, /tmp/flag]"
                )
        if self.timeout <= 0:
            raise ValueError("timeout must be more than 0, for example timeout: 10s")

    def compile(self, instance: Instance) -> Steps:
        env = _facts(instance) | self.env
        do, undo = (
            Run(argv=argv, cwd=self.cwd, env=env, timeout=self.timeout) for argv in (self.do, self.undo)
        )
        confirm = (
            (Run(argv=self.confirm, cwd=self.cwd, env=env, timeout=self.timeout),) if self.confirm else ()
        )
        return Steps(do=(do,), undo=(undo,), confirm=confirm, deadline=self.timeout + _MARGIN)

    def does(self) -> str:
        confirm = f", confirmed by `{' '.join(self.confirm)}`" if self.confirm else ""
        within = written("duration", self.timeout)
        return f"run `{' '.join(self.do)}`, undone by `{' '.join(self.undo)}`{confirm}, each within {within}"


def _facts(instance: Instance) -> dict[str, str]:
    pid = str(instance.process.pid) if instance.process is not None else ""
    facts = {"NAME": instance.target, "INSTANCE": instance.name, "PID": pid, "ADDRESS": instance.address}
    elsewhere = {"CONTAINER": instance.container, "KNOWN_AS": instance.known_as}
    if instance.pod is not None:
        elsewhere |= {"NAMESPACE": instance.pod.namespace, "NODE": instance.pod.node}
    facts |= {name: value for name, value in elsewhere.items() if value}
    return {f"TARGET_{name}": value for name, value in facts.items()}
