"""A property while it is set on a link: its knobs at work, and what they did so far."""

from __future__ import annotations

import random
from typing import Literal

from runner.links.properties import AnyProperty, Bandwidth, Latency, Refuse, SlowClose, Value

Way = Literal["down", "up"]


class Hurt:
    """One setting of one property, from set to heal."""

    def __init__(self, value: Value, knobs: AnyProperty) -> None:
        self.value, self.knobs = value, knobs
        self.chunks = self.bytes = 0
        self.seconds = 0.0  # by which chunks were delayed, summed
        self._met: set[int] = set()
        self._chance = random.Random(getattr(knobs, "seed", 0))  # noqa: S311 — repeatable on purpose
        self._draw = knobs.draws() if isinstance(knobs, Latency) else None
        self._free: dict[Way, float] = {"down": 0.0, "up": 0.0}

    @property
    def connections(self) -> int:
        return len(self._met)

    def strikes(self) -> bool:
        """Decide whether one connection is hurt."""
        share = 1.0 if isinstance(self.knobs, Refuse) else self.knobs.share
        return share >= 1.0 or self._chance.random() < share

    def count(self, connection: int, *, chunks: int = 0, size: int = 0, seconds: float = 0.0) -> None:
        """Note what was done to a connection, by its number."""
        self._met.add(connection)
        self.chunks += chunks
        self.bytes += size
        self.seconds += seconds

    def delay(self, way: Way) -> float:
        """Say by how much a chunk is late: latency both for chunks and ends of stream."""
        if (
            self._draw is None
            or not isinstance(self.knobs, Latency)
            or self.knobs.direction not in (way, "both")
        ):
            return 0.0
        return self._draw()

    def end_delay(self) -> float:
        """Say by how much the end of a stream is late."""
        return self.knobs.delay if isinstance(self.knobs, SlowClose) else 0.0

    def carried_at(self, way: Way, size: int, moment: float) -> float:
        """Say when a narrow link has carried *size* more bytes, behind what it carries already."""
        if not isinstance(self.knobs, Bandwidth):
            return moment
        self._free[way] = max(self._free[way], moment) + size / self.knobs.rate
        return self._free[way]

    @property
    def portion(self) -> int:
        """Bytes to read at once; 0: as many as there are."""
        return self.knobs.portion if isinstance(self.knobs, Bandwidth) else 0
