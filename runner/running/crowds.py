"""All loads of a run together: started, begun, stopped, their frames on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from runner.clock import TimeAnchor
from runner.load.client import Crowd, TimedStage
from runner.load.frames import Chunk
from runner.plan_record import Plan
from runner.planning.plan import timed_stages
from runner.scenario import Load
from runner.timeline import Appended, StageBegun


class Crowds:
    """Every worker of every load. Chunks go to *on_chunk* and, packed as they came, to *frames*."""

    def __init__(
        self,
        loads: tuple[Load, ...],
        *,
        anchor: TimeAnchor,
        run: str,
        folder: Path,
        variables: Mapping[str, str],
        on_chunk: Callable[[Chunk], object],
        on_disk_failure: Callable[[OSError], object],
    ) -> None:
        self._on_chunk, self._on_disk_failure = on_chunk, on_disk_failure
        self._frames = Appended(folder / "frames.bin")
        self._lock = threading.Lock()
        self._stopped = False
        parts = [(share_of(load, worker), worker) for load in loads for worker in range(load.workers)]
        self._shares = [share for share, _ in parts]
        self.members = [
            Crowd(
                share,
                worker=worker,
                anchor=anchor,
                run=run,
                log=folder / "logs" / f"load-{share.name}.{worker}.log",
                variables=variables,
                on_chunk=self._take,
            )
            for share, worker in parts
        ]

    def start(self) -> None:
        for crowd in self.members:
            crowd.start()

    def wait_ready(self, timeout: float) -> None:
        for crowd in self.members:
            crowd.wait_ready(timeout)

    def begin(self, at: float) -> None:
        """Order every load to begin *at* seconds after the anchor."""
        for crowd, share in zip(self.members, self._shares, strict=True):
            crowd.begin([TimedStage(*row) for row in timed_stages(share, begins=at)])

    def stop(self, grace: float) -> None:
        """Stop all at once; each worker's last chunk is in when this returns, or it was killed. Twice is harmless."""
        if self._stopped:
            return
        self._stopped = True
        threads = [threading.Thread(target=crowd.stop, args=(grace,)) for crowd in self.members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def lost(self) -> str:
        """Say which worker died, and why; empty while all live."""
        return next((crowd.problem for crowd in self.members if crowd.problem), "")

    def close(self) -> None:
        self._frames.close()

    def _take(self, chunk: Chunk, packed: bytes) -> None:
        self._on_chunk(chunk)
        try:
            with self._lock:
                self._frames.append(packed)
        except OSError as error:
            self._on_disk_failure(error)


def share_of(load: Load, worker: int) -> Load:
    """Give worker *worker* its part of a load: rates are divided, users dealt out one by one."""
    if load.workers == 1:
        return load

    def part(level: float) -> float:
        if load.model == "rate":
            return level / load.workers
        return float((int(level) + load.workers - 1 - worker) // load.workers)

    return msgspec.structs.replace(
        load,
        stages=tuple(
            msgspec.structs.replace(stage, start=part(stage.start), end=part(stage.end))
            for stage in load.stages
        ),
    )


def stages_begun(plan: Plan, zero: float) -> list[StageBegun]:
    """When each stage of each load begins, for the record."""
    return [StageBegun(at=zero + stage.start, load=stage.load, name=stage.stage) for stage in plan.stages]
