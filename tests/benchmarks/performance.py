"""One worker of ours under load for a benchmark, and all that it told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runner.clock import anchor
from runner.errors import Place
from runner.load.client import Crowd, TimedStage
from runner.load.frames import ROW, Chunk
from runner.scenario import Load


class Performance:
    """Spawn a worker, wait until it is ready, keep its chunks."""

    def __init__(
        self,
        locustfile: Path,
        url: str,
        model: str,
        *,
        variables: Mapping[str, str] | None = None,
        heard: Callable[[Chunk], None] | None = None,
    ) -> None:
        self.anchor, self.chunks = anchor(), []
        load = Load(
            name="load", locustfile=str(locustfile), host=url, model=model, stages=(), place=Place("bench", 1)
        )
        self._heard = heard
        self.crowd = Crowd(
            load,
            worker=0,
            anchor=self.anchor,
            run="bench",
            log=locustfile.with_suffix(".log"),
            variables=variables or {},
            on_chunk=self._keep,
        )
        self.crowd.start()

    def begin(self, stages: Sequence[TimedStage]) -> float:
        """Begin; stages count from 0.2 s on. Return when that was, since the anchor."""
        self.crowd.wait_ready(30)
        now = self.anchor.at() + 0.2  # an arrival that was due before the order came is left out
        self.crowd.begin(
            [
                TimedStage(now + s.start, None if s.end is None else now + s.end, s.level_from, s.level_to)
                for s in stages
            ]
        )
        return now

    def latencies(self) -> dict[int, int]:
        """Counts by bucket."""
        counts: Counter[int] = Counter()
        for chunk in self.chunks:
            for _, _, _, bucket, count in ROW.iter_unpack(chunk.rows):
                counts[bucket] += count
        return dict(counts)

    def _keep(self, chunk: Chunk, _packed: bytes) -> None:
        self.chunks.append(chunk)
        if self._heard is not None:
            self._heard(chunk)
