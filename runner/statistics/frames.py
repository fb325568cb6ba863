"""All that the load of a run measured, as columns: rows, waiting requests, the workers' health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.load.frames import Key

Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Worker:
    """One load worker from its chunks. *lags* and *cpus* have one entry per chunk at *ats*."""

    load: str
    number: int
    ats: Real
    lags: Real  # the greatest lag between intended and true start, seconds; 0 where nothing began
    cpus: Real
    users: Whole
    dropped: Whole
    watermark: int
    missing: int  # chunks that the sequence numbers show to be lost
    final: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows sorted by start slot; *key* indexes *keys*. Waiting requests have no answer on record.

    *offered* and *started*: per load, (slot, count) columns of arrivals of the open model.
    """

    start: Column
    end: Column
    key: Column
    bucket: Column
    count: Column
    keys: tuple[tuple[str, Key], ...]  # load, key
    waiting_start: Whole
    waiting_count: Whole
    waiting_age: Real  # seconds that they have waited at least
    waiting_key: Whole  # indexes waiting_keys
    waiting_keys: tuple[tuple[str, str], ...]  # load, request
    offered: dict[str, tuple[Whole, Whole]]
    started: dict[str, tuple[Whole, Whole]]
    workers: tuple[Worker, ...]

    @property
    def requests(self) -> set[str]:
        """Every request that was seen, ended or not."""
        return {key.request for _, key in self.keys} | {request for _, request in self.waiting_keys}

    @property
    def last_at(self) -> float:
        """When the last word of any worker came, seconds since the anchor; 0 where none did."""
        return max((float(worker.ats[-1]) for worker in self.workers if len(worker.ats)), default=0.0)
