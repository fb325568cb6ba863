"""What ended, counted: cells of (start slot, end slot, key, bucket) between two chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from runner.load.frames import ROW, SLOT
from runner.load.histogram import bucket
from runner.load.naming import KeyTable

MAX_CELLS = 500_000  # between two chunks: some 100 MB; reached only where nobody reads for minutes
MAX_KNOWN = 20_000  # parts of keys looked up without building them

_SLOTS = 1 / SLOT


class Pace(NamedTuple):
    """What a model of load did since it was last asked; offered and started by slot of the intended start."""

    offered: Mapping[int, int]
    started: Mapping[int, int]
    lags: Sequence[float]  # seconds from intended to true start
    dropped: int
    present: int  # users, or arrivals under way


def slot_of(at: float) -> int:
    """Number the slot of a moment, in seconds since the anchor."""
    return max(0, int(at * _SLOTS))


class Cells:
    """Count requests that ended; *anchor* is the run's on the monotonic clock."""

    def __init__(self, anchor: float) -> None:
        self._anchor = anchor
        self.keys = KeyTable()
        self._known: dict[tuple[Any, ...], int] = {}
        self._counts: dict[tuple[int, int, int, int], int] = {}
        self.overflowed = False  # counts were lost since the last take
        self.frozen = False  # the final chunk is made: what ends now was pending in it

    def count(
        self,
        request: tuple[str, str],
        code: int,
        error: str,
        labels: tuple[str, ...],
        begun: float,
        latency: float,
    ) -> None:
        """Count one request that began (was intended) at *begun* and ended now."""
        if self.frozen:
            return
        parts = (request, code, error, labels)
        key = self._known.get(parts)
        if key is None:
            key = self.keys.number(f"{request[0]} {request[1]}", code, error, labels)
            if len(self._known) < MAX_KNOWN:
                self._known[parts] = key
        anchor = self._anchor
        cell = (int((begun - anchor) * _SLOTS), int((monotonic() - anchor) * _SLOTS), key, bucket(latency))
        counts = self._counts
        if cell in counts:
            counts[cell] += 1
        elif len(counts) < MAX_CELLS:
            counts[cell] = 1
        else:
            self.overflowed = True

    def slot(self, moment: float) -> int:
        """Number the slot of a moment on the monotonic clock."""
        return slot_of(moment - self._anchor)

    def take_overflow(self) -> bool:
        overflowed, self.overflowed = self.overflowed, False
        return overflowed

    def take_rows(self) -> bytes:
        counts, self._counts = self._counts, {}
        # a client of the locustfile's own may claim to have begun before the run
        return b"".join([ROW.pack(max(0, begun), *rest, count) for (begun, *rest), count in counts.items()])
