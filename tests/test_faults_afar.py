"""Faults of containers from end to end: compiled, held by helpers, felt, and gone whatever dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner.faults.cpu import Cpu
from runner.faults.disk_fill import DiskFill
from runner.faults.io import Io
from runner.faults.memory import Memory
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault, Instance
from runner.helper.looking import look
from runner.operations import Context, perform
from runner.places import Engine, Post
from tests import fingerprints, helper_image
from tests.cluster_parts import container, until
from tests.held_parts import act_of, confirmed, held, undone

MIB = 1 << 20
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
        held=facts.held,
        cgroup_files=facts.files,
        post=post,
        lease=3.0,
    )


def print_of(engine: Any, made: Any) -> dict[str, Any]:
    seen = fingerprints.of_container(engine, made.id)
    return seen | {"data": made.exec_run(["df", "-P", "/data"]).output}


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("cpu", "pause", "disk_fill") else pytest.param(kind, marks=pytest.mark.long)
        for kind in CASES
    ],
)
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
