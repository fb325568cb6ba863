"""What one process of the matrix carries out: tries in scenes of their own."""

from __future__ import annotations

import contextlib
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
    """Strikes one after the other; each hits a scene of each of *kinds* at the same time."""

    platform: str
    kinds: tuple[Kind, ...]
    strikes: tuple[str, ...]
    seed: str

    @property
    def alone(self) -> bool:
        return ALONE in self.strikes or any(kind.target == "node" for kind in self.kinds)

    def run(self) -> list[tuple[str, Try]]:
        """Strike; what was not clean has spoiled its scene, and the rest gets fresh ones."""
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        left, chance = list(self.strikes), random.Random(self.seed)
        done = list[tuple[str, Try]]()
        while left:
            done += self._in_scenes(left, chance)
        return done

    def _in_scenes(self, left: list[str], chance: random.Random) -> Iterator[tuple[str, Try]]:
        try:
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="squall-matrix-"))
                of_platform = SCENES[self.platform][0]
                scenes = [
                    stack.enter_context(of_platform(kind, Path(folder, kind.name))) for kind in self.kinds
                ]
                while left:
                    tries = strike(scenes, left[0], chance)
                    yield from self._cells(left.pop(0), tries)
                    if not all(one.clean for one in tries):
                        return
        except Exception:  # whatever it is, it is one more line of the table
            if left:
                broken = Try(False, False, 0.0, "the try itself failed", traceback.format_exc()[-900:])
                yield from self._cells(left.pop(0), [broken] * len(self.kinds))

    def _cells(self, name: str, tries: list[Try]) -> Iterator[tuple[str, Try]]:
        for kind, one in zip(self.kinds, tries, strict=True):
            yield cell_of(self.platform, kind, name), one


def cell_of(platform: str, kind: Kind, name: str) -> str:
    return f"{platform} {kind.name}: {name}"
