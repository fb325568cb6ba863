"""Acts that a process of their own performs and holds, as a hand of the guardian does; it may be killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec

from runner.errors import Place
from runner.faults.record import Fault, Instance
from runner.operations import Context, perform
from runner.operations.record import Act, Operation
from runner.running.acts import compile_act
from runner.scenario import FaultUse

HOLDER = """
import sys, time, msgspec
from runner.operations import Context, perform
from runner.operations.record import Operation, Reading
held = []
for operation in msgspec.json.decode(sys.stdin.buffer.readline(), type=list[Operation]):
    result = perform(operation, Context())
    assert operation.holds != isinstance(result, Reading), operation
    if not isinstance(result, Reading):
        held.append(result)
        result = result.reading
    print(result.ok, result.evidence, flush=True)
print("done", flush=True)
while True:
    time.sleep(max(0.0, min([each.tick() for each in held] + [0.2])))
"""


def act_of(fault: Fault, instance: Instance, name: str) -> Act:
    """Compile a fault as the runner does, for a run of its own."""
    use = FaultUse(name=name, fault=fault, target="shop", duration=5.0, place=Place("here", 1))
    return compile_act(use, instance, 0, run=f"test-{os.getpid()}-{time.monotonic_ns()}")


@contextlib.contextmanager
def held(operations: tuple[Operation, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Perform them on a process of their own, which holds what is to be held until it is killed, at the latest at the end."""
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
    """Read once whether all of it shows."""
    return all(perform(each, Context()).ok is True for each in act.confirm)


def undone(act: Act) -> bool:
    """Undo, and say whether all of it is verified."""
    return all(perform(each, Context()).ok is True for each in act.undo)
