"""Real victims for the tests of faults and operations: processes that can be asked how they feel."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from runner.faults.record import Instance
from runner.operations import Context, Held, perform
from runner.operations.record import Identity, Operation, Reading, Spawn, Stop
from runner.processes import identify
from runner.targets import facts

# Answers one question at a time: ping, allocate BYTES, burn SECONDS (the share of a CPU that it got),
# runnable SECONDS (the share of the time that it ran or waited for a CPU: other load does not lessen that).
PROGRAM = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
def spin(until):
    while time.monotonic() < until:
        for _ in range(1000): pass
def burn(seconds):
    wall, cpu = time.monotonic(), time.process_time()
    spin(wall + seconds)
    return (time.process_time() - cpu) / (time.monotonic() - wall)
def runnable(seconds):
    wall, before = time.monotonic(), scheduled()
    spin(wall + seconds)
    return (scheduled() - before) / (time.monotonic() - wall)
def scheduled():
    with open("/proc/self/schedstat") as file:
        return sum(int(word) for word in file.read().split()[:2]) / 1e9
def allocate(size):
    try:
        return len(bytearray(size))
    except MemoryError:
        return "MemoryError"
while True:
    peer, _ = listener.accept()
    with peer:
        verb, _, argument = peer.recv(100).decode().partition(" ")
        answer = {"ping": lambda: "pong", "burn": lambda: burn(float(argument)),
                  "runnable": lambda: runnable(float(argument)), "allocate": lambda: allocate(int(argument))}[verb]()
        try:
            peer.sendall(str(answer).encode())
        except OSError:
            pass
"""


class Victim:
    """A managed process that serves, and can be brought back by its Spawn."""

    def __init__(self, folder: Path, run: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.spawn = Spawn(
            run=run,
            instance="victim.0",
            argv=(sys.executable, "-c", PROGRAM, str(self.port)),
            log=str(folder / "victim.log"),
        )
        self.process = one(perform(self.spawn, Context())).processes[0]
        until(self.serves)

    def instance(self, **known) -> Instance:
        """The victim as a fault meets it, its facts read now."""
        read = facts(Instance(target="victim", name="victim.0", process=self.process, spawn=self.spawn))
        return Instance(**{name: getattr(read, name) for name in read.__struct_fields__} | known)

    def ask(self, question: str, patience: float = 20.0) -> str:
        """Ask and hear the answer. Raises OSError where there is none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as connection:
            connection.sendall(question.encode())
            return connection.recv(100).decode()

    def serves(self, patience: float = 1.0) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("ping", patience) == "pong"
        return False

    def close(self) -> None:
        assert one(perform(Stop(run=self.spawn.run, instance="victim.0", grace=0.2), Context())).ok


@contextlib.contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """Run a victim for a while."""
    running = Victim(folder, run=f"test-{os.getpid()}-{time.monotonic_ns()}")
    try:
        yield running
    finally:
        running.close()


def one(result: Reading | Held) -> Reading:
    """Take it that an operation is over when performed."""
    assert isinstance(result, Reading)
    return result


def perform_all(operations: Iterable[Operation], context: Context | None = None) -> list[Reading]:
    """Perform operations that hold nothing."""
    return [one(perform(operation, context or Context())) for operation in operations]


@contextlib.contextmanager
def done(operations: Iterable[Operation]) -> Iterator[list[Reading | Held]]:
    """Perform operations and hold what has to be held, on a thread that ticks as a hand does."""
    results = []
    for operation in operations:
        results.append(perform(operation, Context()))
        assert operation.holds != isinstance(results[-1], Reading), operation  # the guardian goes by it
    held = [result for result in results if not isinstance(result, Reading)]
    over = threading.Event()
    threads = [threading.Thread(target=_hold, args=(each, over)) for each in held]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        over.set()
        for thread in threads:
            thread.join(20)


def _hold(held: Held, over: threading.Event) -> None:
    try:
        while not over.wait(min(held.tick(), 0.5)):
            pass
    finally:
        held.release()


@contextlib.contextmanager
def program(*argv: str, **environment: str) -> Iterator[Identity]:
    """Run a program of which nothing is asked; it is gone afterwards."""
    child = os.posix_spawnp(argv[0], argv, os.environ | environment)
    found = identify(child)
    try:
        assert found is not None
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def until(true: Callable[[], bool], within: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.01)
