"""Readings of processes: do they live, stand, run, and how much CPU do they get."""

from __future__ import annotations

import select
from collections.abc import Sequence

from runner import clock, processes
from runner.operations.cpu_time import capacity, cpu_time
from runner.operations.record import CheckProcess, CheckShare, Identity, Reading
from runner.operations.spawning import living

LOOK = 0.004  # seconds between two looks at the state of squeezed processes
SLACK = 0.05  # share of a CPU that a reading may be off in so short a window


def perform_check_process(operation: CheckProcess) -> Reading:
    """Read one process and compare with what is expected."""
    if operation.expect == "born" or operation.process is None:
        found = living(operation.run, operation.instance)
        if found is None:
            return Reading(ok=False, evidence=f"no process of {operation.instance} lives")
        return Reading(evidence=f"{operation.instance} lives: process {found.pid}", processes=(found,))
    state = processes.state_of(operation.process)
    seen = {"": "gone", "T": "stopped"}.get(state, "running")
    return Reading(ok=seen == operation.expect, evidence=f"process {operation.process.pid} is {seen}")


def perform_check_share(operation: CheckShare) -> Reading:
    """Measure the CPU that processes get, and whether they are seen to be held back."""
    living_ones = [process for process in operation.processes if processes.state_of(process)]
    if not living_ones:
        return Reading(ok=False, evidence="none of the processes lives any more")
    began, before = clock.now(), _used(living_ones)
    stood, looks = 0, 0
    while clock.now() - began < operation.window:
        select.select((), (), (), LOOK)
        stood += processes.state_of(living_ones[0]) == "T"
        looks += 1
    got = (_used(living_ones) - before) / (clock.now() - began) / capacity(living_ones)
    evidence = f"got {got:.1%} of the CPU it could use, at most {operation.most:.1%} wanted; stood {stood / looks:.0%} of the time"
    if got > operation.most + SLACK:
        return Reading(ok=False, evidence=evidence)
    held_back = stood > 0 or (not operation.stops and got > 0.8 * operation.most)
    return Reading(ok=True if held_back else None, evidence=evidence)


def _used(found: Sequence[Identity]) -> float:
    return sum(cpu_time(process) for process in found)
