"""Faults of containers from end to end: compiled, held by helpers, felt, and gone whatever dies."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from runner.acts import compile_act
from runner.errors import Place
from runner.faults.cpu import Cpu
from runner.faults.disk_fill import DiskFill
from runner.faults.io import Io
from runner.faults.memory import Memory
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault, Instance
from runner.helper.looking import look
from runner.operations import Context, perform
from runner.operations.record import Act, Operation
from runner.places import Engine, Post
from runner.scenario import FaultUse
from tests import fingerprints, helper_image
from tests.cluster_parts import container, until

MIB = 1 << 20
HOLDER = """
import sys, time, msgspec
from runner.operations import Context, perform
from runner.operations.record import Operation, Reading
held = []
for operation in msgspec.json.decode(sys.stdin.buffer.readline(), type=list[Operation]):
    result = perform(operation, Context())
    if not isinstance(result, Reading):
        held.append(result)
        result = result.reading
    print(result.ok, result.evidence, flush=True)
print("done", flush=True)
while True:
    time.sleep(max(0.0, min([each.tick() for each in held] + [0.2])))
"""
CASES: dict[str, Fault] = {
    "pause": Pause(),
    "cpu": Cpu(limit=0.1),
    "memory": Memory(limit=96 * MIB),
    "io": Io(read=1_000_000.0),
    "pids": Pids(headroom=3),
    "disk_fill": DiskFill(share=0.8, folder="/data"),
}


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    return helper_image.build()


@pytest.fixture
def made(engine: Any) -> Iterator[Any]:
    with container(
        engine, "sh", "-c", "while :; do :; done", tmpfs={"/data": "size=20m"}, cpu_quota=50_000
    ) as one:
        yield one


def instance_of(made: Any, image: str) -> Instance:
    """What the plan knows of a container, by looking from a helper."""
    made.reload()
    post = Post(engine=Engine(), image=image, container=made.id)
    facts = look(post, (made.id,)).containers[made.id]
    return Instance(
        target="shop",
        name="shop.0",
        platform="container",
        engine=Engine(),
        container=made.id,
        started=made.attrs["State"]["StartedAt"],
        cores=facts.cores,
        rss=facts.rss,
        cgroup_files=facts.files,
        post=post,
        lease=3.0,
    )


def act_of(fault: Fault, instance: Instance, name: str) -> Act:
    use = FaultUse(name=name, fault=fault, target="shop", duration=5.0, place=Place("here", 1))
    return compile_act(use, instance, 0, run=f"test-{os.getpid()}-{time.monotonic_ns()}")


@contextlib.contextmanager
def held(operations: tuple[Operation, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Perform them on a process of their own that holds what is to be held, as a hand does."""
    hand = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert hand.stdin
    assert hand.stdout
    try:
        hand.stdin.write(msgspec.json.encode(list(operations)) + b"\n")
        hand.stdin.flush()
        said = []
        while (line := hand.stdout.readline()) and line != b"done\n":
            said.append(line.decode().strip())
        assert line == b"done\n", said
        assert all(each.startswith("True") for each in said), said
        yield hand
    finally:
        hand.kill()
        hand.wait()
        hand.stdin.close()
        hand.stdout.close()


def confirmed(act: Act) -> bool:
    return all(perform(each, Context()).ok is True for each in act.confirm)


def undone(act: Act) -> bool:
    return all(perform(each, Context()).ok is True for each in act.undo)


def print_of(engine: Any, made: Any) -> dict[str, Any]:
    seen = fingerprints.of_container(engine, made.id)
    return seen | {"data": made.exec_run(["df", "-P", "/data"]).output}


@pytest.mark.parametrize("kind", CASES)
def test_a_fault_is_held_felt_and_gone_when_its_hand_is_killed(engine, made, image, kind):
    before = print_of(engine, made)
    act = act_of(CASES[kind], instance_of(made, image), kind)
    with held(act.do) as hand:
        if kind == "io":  # nothing is read: it stands, and whether it is felt cannot be told
            assert perform(act.confirm[0], Context()).ok is not False
        else:
            until(lambda: confirmed(act), within=15)
        harmed = fingerprints.of_container(engine, made.id)
        assert kind == "disk_fill" or fingerprints.difference(before, harmed | {"data": before["data"]})
        hand.kill()
        killed = time.monotonic()
        until(lambda: not fingerprints.difference(before, print_of(engine, made)), within=6)
        print(f"{kind}: {time.monotonic() - killed:.2f} s")
    for _ in range(2):
        assert undone(act)
    assert not fingerprints.difference(before, print_of(engine, made))


def test_a_fault_that_was_never_done_is_undone_without_a_trace(engine, made, image):
    before = print_of(engine, made)
    act = act_of(Cpu(limit=0.1), instance_of(made, image), "cpu")
    assert undone(act)
    assert not fingerprints.difference(before, print_of(engine, made))


def test_a_container_that_restarts_meanwhile_is_clean_after_the_undo(engine, made, image):
    before = print_of(engine, made)
    act = act_of(Cpu(limit=0.1), instance_of(made, image), "cpu")
    with held(act.do):
        made.restart(timeout=0)
        until(lambda: not confirmed(act), within=10)
    assert undone(act)
    until(lambda: not fingerprints.difference(before, print_of(engine, made)), within=10)
