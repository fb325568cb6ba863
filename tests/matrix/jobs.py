"""What one process of the matrix carries out: tries of one kind, in scenes of their own."""

from __future__ import annotations

import random
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.kinds import DOCKER, KUBERNETES, Kind
from tests.matrix.scenes import OnDocker, OnKubernetes
from tests.matrix.strikes import strike
from tests.torture.world import Try

SCENES = {"docker": (OnDocker, DOCKER), "kubernetes": (OnKubernetes, KUBERNETES)}
ALONE = "unreachable 10 s"


@dataclass(frozen=True, slots=True)
class Job:
    """Tries of one kind in one scene: each strike so many times."""

    platform: str
    kind: Kind
    strikes: tuple[str, ...]
    tries: int
    seed: str

    @property
    def alone(self) -> bool:
        return self.kind.target == "node" or ALONE in self.strikes

    def cell(self, name: str) -> str:
        return f"{self.platform} {self.kind.name}: {name}"

    def run(self) -> list[tuple[str, Try]]:
        """Strike; what was not clean has spoiled its scene, and the rest gets a fresh one."""
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        left = [name for name in self.strikes for _ in range(self.tries)]
        chance, done = random.Random(self.seed), []
        while left:
            for name, one in self._in_a_scene(left, chance):
                done.append((self.cell(name), one))
        return done

    def _in_a_scene(self, left: list[str], chance: random.Random) -> Iterator[tuple[str, Try]]:
        try:
            with (
                tempfile.TemporaryDirectory(prefix="squall-matrix-") as folder,
                SCENES[self.platform][0](self.kind, Path(folder)) as scene,
            ):
                while left:
                    one = strike(scene, left[0], chance)
                    yield left.pop(0), one
                    if not one.clean:
                        return
        except Exception:  # whatever it is, it is one more line of the table
            if left:
                yield (
                    left.pop(0),
                    Try(False, False, 0.0, "the try itself failed", traceback.format_exc()[-900:]),
                )
