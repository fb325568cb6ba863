"""The strikes: each makes a world, hits it once, and says whether harm had landed and whether all is as before."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from runner.operations.kernel import kernel_features
from tests.torture.world import PATIENCE, ROOT, Try, World

MOMENTS = 0.15  # seconds after an injection within which a random strike falls
HOLDS = {"link": 0.3, "netem": 1.0}  # seconds of an injection, longer where looking at it takes some
SETTLED = 0.3  # seconds that a strike gets to show, before the world is judged


def kill_runner(chance: random.Random, kind: str = "pause") -> Try:
    """SIGKILL of the runner at a random moment."""
    with World(kind) as world:
        world.start(cycles=1000, hold=HOLDS.get(kind, 0.03))
        return _strike(world, chance, lambda: os.kill(world.runner.pid, signal.SIGKILL))


def kill_runner_between_arm_and_inject(chance: random.Random) -> Try:
    """SIGKILL of the runner just after it ordered what it armed."""
    with World() as world:
        world.start(cycles=1000, hold=0.03, slow=0.01)
        return _strike(world, chance, lambda: os.kill(world.runner.pid, signal.SIGKILL), word="injecting")


def kill_runner_while_it_undoes(chance: random.Random) -> Try:
    """SIGKILL of the runner just after it ordered an undo."""
    with World() as world:
        world.start(cycles=1000, hold=0.03, slow=0.01)
        return _strike(world, chance, lambda: os.kill(world.runner.pid, signal.SIGKILL), word="undoing")


def stop_runner(chance: random.Random) -> Try:
    """SIGSTOP of the runner at a random moment: it hangs; a SIGCONT afterwards must do no harm."""
    with World() as world:
        world.start(cycles=1000, hold=0.03, lease=0.5)
        result = _strike(world, chance, lambda: os.kill(world.runner.pid, signal.SIGSTOP), seconds=2.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(world.runner.pid, signal.SIGCONT)
        time.sleep(0.02)
        return world.judged(result.seconds, result.phase) if result.clean else result


def stop_a_hand(chance: random.Random) -> Try:
    """SIGSTOP of every hand there is, at a random moment."""
    with World() as world:
        world.start(cycles=12, hold=0.03)

        def stop() -> None:
            for pid in world.hands():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)

        return _strike(world, chance, stop, end=True)


def kill_guardian(chance: random.Random) -> Try:
    """SIGKILL of the guardian: the runner notices and rolls back."""
    with World() as world:
        world.start(cycles=1000, hold=0.03)
        return _strike(world, chance, lambda: os.kill(world.guardian_pid(), signal.SIGKILL), end=True)


def stop_guardian(chance: random.Random) -> Try:
    """SIGSTOP of the guardian: the runner finds it silent, kills it and rolls back."""
    with World() as world:
        world.start(cycles=1000, hold=0.03)
        return _strike(world, chance, lambda: os.kill(world.guardian_pid(), signal.SIGSTOP), end=True)


def kill_both(chance: random.Random) -> Try:
    """Runner and guardian die together; `squall rollback` heals."""
    with World() as world:
        world.start(cycles=1000, hold=0.03)

        def strike() -> None:
            os.kill(world.guardian_pid(), signal.SIGKILL)
            os.kill(world.runner.pid, signal.SIGKILL)
            world.hurt()
            world.rollback()

        return _strike(world, chance, strike)


def kill_runner_of_a_link(chance: random.Random) -> Try:
    """SIGKILL of the runner at a random moment while a link swallows everything."""
    return kill_runner(chance, "link")


def kill_runner_of_netem(chance: random.Random) -> Try:
    """SIGKILL of the runner at a random moment while netem delays what leaves its network namespace."""
    return kill_runner(chance, "netem")


RANDOM = (
    kill_runner, kill_runner_between_arm_and_inject, kill_runner_while_it_undoes, kill_runner_of_a_link,
    stop_runner, stop_a_hand, kill_guardian, stop_guardian, kill_both,
    *([kill_runner_of_netem] if os.geteuid() == 0 and "netem" in kernel_features() else []),
)  # fmt: skip


def _strike(
    world: World, chance: random.Random, hit, *, word: str = "injected", end: bool = False, seconds=0.0
) -> Try:
    if not world.wait_for(word, chance.randint(1, 3)):
        return world.never_started()
    if word == "injected":
        time.sleep(chance.uniform(0.0, MOMENTS))
    else:
        time.sleep(chance.uniform(0.0, 0.04))
    world.hurt()
    hit()
    began, phase = time.monotonic(), world.phase()
    took = _well_for_good(world, began + (seconds or SETTLED))
    if end:
        with contextlib.suppress(Exception):
            world.runner.wait(PATIENCE)
    return world.judged(took, phase)


def _well_for_good(world: World, until: float) -> float:
    """Seconds from now until the victim was hurt for the last time (harm may land after the strike)."""
    began, last = time.monotonic(), 0.0
    while time.monotonic() < until or world.hurt():
        if world.hurt():
            last = time.monotonic() - began
        if time.monotonic() - began > PATIENCE:
            return float("inf")
        if not last and not world.hands():
            break
        time.sleep(0.001)
    return last


# --- death before every line -------------------------------------------------------------------------------------

SCENES = {  # the mini-runner's life under which a role's lines are reached
    "life": {"cycles": 1},
    "takeover": {"cycles": 1, "die": "injected"},
}


def points(role: str, scene: str) -> list[str]:
    """Which lines does *role* reach in a *scene*, in their order?"""
    with World() as world:
        record = world.folder / "points"
        record.touch()
        plan = {"root": str(ROOT), "record": str(record), "mark": _mark(world, scene)}
        if scene == "rollback":
            _both_dead(world)
            world.rollback(plan)
        else:
            world.start(plan, **SCENES[scene], other=world.other.pid)
            world.runner.wait(PATIENCE)
        world.remains()
        reached = record.read_text().splitlines()
    return [point for point in dict.fromkeys(reached) if point.startswith(f"{role} ")]


def kill_at(point: str, scene: str) -> Try:
    """SIGKILL before *point* is first reached; whoever still lives, or a rollback, must heal."""
    with World() as world:
        token = world.folder / "token"
        token.touch()
        plan = {"root": str(ROOT), "kill": point, "token": str(token), "mark": _mark(world, scene)}
        if scene == "rollback":
            _both_dead(world)
            world.hurt()
            world.rollback(plan)
            world.rollback()
        else:
            world.start(plan, **SCENES[scene], other=world.other.pid)
            _watch(world)
            if world.remains(1.0 if scene == "takeover" else 0.0):
                world.rollback()
        struck = not token.exists()
        result = world.judged(0.0, point)
        return Try(result.landed, result.clean, 0.0, point if struck else f"{point} not reached", result.why)


def _mark(world: World, scene: str) -> str:
    return "" if scene == "rollback" else str(world.folder / "mark")


def _both_dead(world: World) -> None:
    world.start(cycles=1, hold=60.0)
    world.wait_for("injected")
    os.kill(world.guardian_pid(), signal.SIGKILL)
    os.kill(world.runner.pid, signal.SIGKILL)
    world.runner.wait()


def _watch(world: World) -> None:
    until = time.monotonic() + PATIENCE
    while world.runner.poll() is None and time.monotonic() < until:
        world.hurt()
        time.sleep(0.001)


def source_of(point: str) -> str:
    """Show the line behind a point, for the one who reads the table."""
    name, number = point.rsplit(maxsplit=1)[-1].split(":")
    for room in ("guardian", "operations"):
        path = Path(ROOT) / "runner" / room / name
        if path.exists():
            return path.read_text().splitlines()[int(number) - 1].strip()
    return ""
