"""The strikes of the matrix: each hits one try once; then somebody undoes, and the scene is as it was before."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import msgspec

from tests.cluster_parts import frozen
from tests.matrix.scenes import LEASE, Scene
from tests.torture.world import Try, World

MOMENTS = 0.3  # seconds after the injection within which a strike falls
SOME_BEFORE = 0.25  # share of the strikes that fall while it is being injected, within this many seconds
INJECTING = 1.5
FROZEN = 10.0  # seconds that an engine or an API server does not answer
RESTARTING = 2.0  # seconds that a restart may take before the runner is asked to undo
PATIENCE = 45.0
LONGEST = 120.0  # of a rollback where helpers have to be waited for
LOOKING = 0.01  # seconds between two looks at the target: each may be a process
COARSER = 0.02  # of the time since the strike: looks are dear where several tries run at a time
ASKING = 0.1  # seconds between two questions for helpers: an API has other things to do


class Cell(World):
    """One try in a scene."""

    pause = 0.1

    def __init__(self, scene: Scene) -> None:
        super().__init__("acts")
        self.scene = scene
        self.hurt_at = 0.0  # when harm was seen last
        self.run, self.acts = scene.prepared()
        scene.aim(self.acts)

    def begin(self, until: str) -> bool:
        """Let the run begin, and wait until it has said a word."""
        path = self.folder / "acts.json"
        path.write_bytes(msgspec.json.encode(self.acts))
        self.start(kind="acts", acts=str(path), hold=60.0, lease=1.0)
        return self.wait_for(until, seconds=PATIENCE)

    def hurt(self) -> bool:
        if hurt := self.scene.hurt():
            self.hurt_at = time.monotonic()
        self.harmed = self.harmed or hurt or self.scene.landed()
        return hurt

    def helpers(self, role: str = "") -> list[str]:
        """Helpers of this run that there are, running or not."""
        return self.scene.helpers(
            ",".join([f"squall.run={self.run}", *([f"squall.role={role}"] if role else [])])
        )

    def _what_is_left(self, but: tuple[int, ...]) -> str:
        if left := super()._what_is_left(but):
            return left
        if helpers := self.helpers():
            return f"helpers {helpers} are there"
        return "; ".join(self.scene.differences())[:600]


def signalled(number: signal.Signals) -> Callable[[Cell], None]:
    return lambda cell: os.kill(cell.runner.pid, number)


def runner_stopped(cell: Cell) -> None:
    os.kill(cell.runner.pid, signal.SIGSTOP)


def guardian_killed(cell: Cell) -> None:
    os.kill(cell.guardian_pid(), signal.SIGKILL)


def both_killed(cell: Cell) -> None:
    """What ends by itself must do so; for the rest there is `squall rollback`, which cleans up in any case."""
    os.kill(cell.guardian_pid(), signal.SIGKILL)
    os.kill(cell.runner.pid, signal.SIGKILL)
    cell.runner.wait()
    if all(act.expiry for act in cell.acts):
        until = time.monotonic() + LEASE + 3.0
        while (hurt := cell.hurt()) and time.monotonic() < until:
            time.sleep(LOOKING)
        if hurt:  # that very look: harm on its way may land after it, and be undone as soon
            raise AssertionError("nobody undid it by himself")
    cell.rollback(seconds=LONGEST)


def helper_deleted(cell: Cell) -> None:
    """The helper that did it is removed under its feet; later the runner is asked to undo."""
    for each in cell.helpers("hand"):
        cell.scene.delete_helper(each)
    time.sleep(0.5)
    os.kill(cell.runner.pid, signal.SIGTERM)


def target_restarted(cell: Cell) -> None:
    """The target begins a new life of its own; later the runner is asked to undo."""
    container = cell.scene.any_container()
    with ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(cell.scene.engine.api.restart, container, timeout=0)
        wait([restarting], RESTARTING)  # one that is frozen does not end before it is thawed
        os.kill(cell.runner.pid, signal.SIGTERM)
        restarting.result()


def unreachable(cell: Cell) -> None:
    """Nobody answers for ten seconds; meanwhile the runner is asked to undo."""
    with frozen("dockerd" if cell.scene.platform == "docker" else "kube-apiserver"):
        os.kill(cell.runner.pid, signal.SIGTERM)
        time.sleep(FROZEN)


STRIKES: dict[str, Callable[[Cell], None]] = {
    "runner SIGINT": signalled(signal.SIGINT),
    "runner SIGTERM": signalled(signal.SIGTERM),
    "runner SIGHUP": signalled(signal.SIGHUP),
    "runner SIGKILL": signalled(signal.SIGKILL),
    "runner SIGSTOP": runner_stopped,
    "guardian SIGKILL": guardian_killed,
    "both SIGKILL": both_killed,
    "helper deleted": helper_deleted,
    "target restarted": target_restarted,
    "unreachable 10 s": unreachable,
}


def strike(scenes: Sequence[Scene], name: str, chance: random.Random) -> list[Try]:
    """Hurt all scenes, hit them together, wait until they are well, and say of each whether all is as it was before."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(scenes)) as pool:
        cells = [stack.enter_context(Cell(scene)) for scene in scenes]
        early = chance.random() < SOME_BEFORE
        begun = list(pool.map(lambda cell: cell.begin("injecting" if early else "injected"), cells))
        time.sleep(chance.uniform(0.0, INJECTING if early else MOMENTS))
        return list(pool.map(lambda cell, well: hit(cell, name, well), cells, begun))


def hit(cell: Cell, name: str, begun: bool) -> Try:
    """Strike one cell, and judge what came of it."""
    if not begun:
        return cell.judged(0.0, "never started")  # its own runner rolls back then
    phase = cell.phase()
    cell.hurt()
    began = time.monotonic()
    try:
        STRIKES[name](cell)
    except AssertionError as error:
        cell.rollback(seconds=LONGEST)
        return Try(cell.harmed, False, time.monotonic() - began, phase, str(error))
    took = well_for_good(cell, began)
    if name != "runner SIGSTOP":
        with contextlib.suppress(Exception):
            cell.runner.wait(PATIENCE)
    return cell.judged(took, phase)


def well_for_good(cell: Cell, began: float) -> float:
    """Seconds from *began* until it was hurt for the last time: harm on its way may land after the strike."""
    ask_at = 0.0
    while (now := time.monotonic()) - began < PATIENCE:
        if not cell.hurt() and not cell.hands() and now >= ask_at:
            if not cell.helpers():
                break
            ask_at = time.monotonic() + ASKING
        time.sleep(max(LOOKING, COARSER * (now - began)))
    return max(0.0, cell.hurt_at - began)
