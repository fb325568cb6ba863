"""The strikes of the matrix: each hits one try once; then somebody undoes, and the scene is as it was before."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.matrix.scenes import LEASE, Scene
from tests.torture.world import Try, World

MOMENTS = 0.3  # seconds after the injection within which a strike falls
SOME_BEFORE = 0.25  # share of the strikes that fall while it is being injected, within this many seconds
INJECTING = 1.5
FROZEN = 10.0  # seconds that an engine or an API server does not answer
PATIENCE = 45.0


class Cell(World):
    """One try in a scene."""

    def __init__(self, scene: Scene) -> None:
        super().__init__("acts")
        self.scene = scene
        self.hurt_at = 0.0  # when harm was seen last
        self.run, self.acts = scene.prepared()
        scene.aim(self.acts)

    def begin(self) -> None:
        path = self.folder / "acts.json"
        path.write_bytes(msgspec.json.encode(self.acts))
        self.start(kind="acts", acts=str(path), hold=60.0, lease=1.0)

    def hurt(self) -> bool:
        if hurt := self.scene.hurt():
            self.harmed, self.hurt_at = True, time.monotonic()
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
        while cell.hurt() and time.monotonic() < until:
            time.sleep(0.01)
        if cell.hurt():
            raise AssertionError("nobody undid it by himself")
    cell.rollback()


def helper_deleted(cell: Cell) -> None:
    """The helper that did it is removed under its feet; later the runner is asked to undo."""
    for each in cell.helpers("hand"):
        cell.scene.delete_helper(each)
    time.sleep(0.5)
    os.kill(cell.runner.pid, signal.SIGTERM)


def target_restarted(cell: Cell) -> None:
    """The target begins a new life of its own; later the runner is asked to undo."""
    cell.scene.engine.api.restart(cell.scene.container, timeout=0)
    os.kill(cell.runner.pid, signal.SIGTERM)


@contextlib.contextmanager
def frozen(name: str) -> Iterator[None]:
    """Freeze one process of the cluster at hand, by its pid file, for a bounded time."""
    pid = int(Path(os.environ["KUBECONFIG"]).parent.joinpath("run", f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


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


def strike(scene: Scene, name: str, chance: random.Random) -> Try:
    """Hurt the scene, hit, wait until it is well, and say whether all is as it was before."""
    with Cell(scene) as cell:
        cell.begin()
        early = chance.random() < SOME_BEFORE
        if not cell.wait_for("injecting" if early else "injected", seconds=PATIENCE):
            return Try(False, False, 0.0, "never started", f"{cell.words} {errors(cell)}")
        time.sleep(chance.uniform(0.0, INJECTING if early else MOMENTS))
        phase = next((word for word in reversed(cell.words) if word[:1] != "#"), "")
        cell.hurt()
        began = time.monotonic()
        try:
            STRIKES[name](cell)
        except AssertionError as error:
            cell.rollback()
            return Try(cell.harmed, False, float("inf"), phase, str(error))
        took = well_for_good(cell, began)
        if name != "runner SIGSTOP":
            with contextlib.suppress(Exception):
                cell.runner.wait(PATIENCE)
        return judged(cell, took, phase)


def well_for_good(cell: Cell, began: float) -> float:
    """Seconds from *began* until it was hurt for the last time: harm on its way may land after the strike."""
    while time.monotonic() - began < PATIENCE:
        if not cell.hurt() and not cell.helpers() and not cell.hands():
            break
        time.sleep(0.002)
    return max(0.0, cell.hurt_at - began)


def judged(cell: Cell, seconds: float, phase: str) -> Try:
    left = cell.remains()
    code = cell.runner.poll()
    if not left and code not in (0, -signal.SIGKILL):
        left = f"the runner said {code}: {cell.words[-3:]} {errors(cell)}"
    return Try(landed=cell.harmed, clean=not left, seconds=seconds, phase=phase, why=left)


def errors(cell: Cell) -> str:
    logs = (cell.folder / "mini.err", cell.folder / "logs" / "guardian.log")
    return " ".join(path.read_text()[-800:] for path in logs if path.exists())
