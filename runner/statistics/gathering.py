"""Chunks of all workers into one set of columns; a million chunks in seconds."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from runner.load.frames import SLOT, Chunk, Key
from runner.statistics.frames import Column, Frames, Whole, Worker

_ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("key", "<u2"), ("bucket", "<u2"), ("count", "<u4")])
_TOLD = 6  # sequence, at, greatest lag, cpu, users, dropped
_UNKNOWN = Key("(its key was lost)")


@dataclass(slots=True)
class _Heard:
    """What one worker told, in the order it was heard."""

    load: str
    number: int
    place: int
    keys: list[Key] = field(default_factory=list)
    told: array[float] = field(default_factory=lambda: array("d"))  # per chunk: the columns of _TOLD
    offered: list[tuple[int, int]] = field(default_factory=list)
    started: list[tuple[int, int]] = field(default_factory=list)
    last: Chunk | None = None
    problem: str = ""

    def hear(self, chunk: Chunk) -> None:
        self.told.extend((chunk.sequence, chunk.at, chunk.lag[2], chunk.cpu, chunk.users, chunk.dropped))
        if chunk.keys:
            self.keys += chunk.keys
        if chunk.offered:
            self.offered += chunk.offered
        if chunk.started:
            self.started += chunk.started
        if chunk.problem:
            self.problem = chunk.problem
        self.last = chunk

    def worker(self) -> Worker:
        """Sum up. Sequences count from 0 or 1: a gap is a lost chunk, a repetition is none."""
        assert self.last is not None
        sequence, at, lag, cpu, users, dropped = np.array(self.told).reshape(-1, _TOLD).T
        first = int(min(sequence.min(), 1))
        return Worker(
            load=self.load,
            number=self.number,
            ats=at,
            lags=lag,
            cpus=cpu,
            users=users.astype(np.int64),
            dropped=dropped.astype(np.int64),
            watermark=self.last.watermark,
            missing=int(sequence.max()) - first + 1 - len(np.unique(sequence)),
            final=self.last.final,
            problem=self.problem,
        )


def gather(chunks: Iterable[Chunk]) -> Frames:
    """Join the chunks of all workers and loads; keys are numbered anew, the same for all."""
    heard: dict[tuple[str, int], _Heard] = {}
    parts: list[bytes] = []
    owners: list[int] = []
    for chunk in chunks:
        name = (chunk.load, chunk.worker)
        worker = heard.get(name)
        if worker is None:
            worker = heard[name] = _Heard(chunk.load, chunk.worker, len(heard))
        worker.hear(chunk)
        if chunk.rows:
            parts.append(chunk.rows)
            owners.append(worker.place)
    everyone = list(heard.values())
    sizes = np.fromiter((len(part) // _ROW.itemsize for part in parts), dtype=np.int64, count=len(parts))
    rows = np.frombuffer(b"".join(parts), dtype=_ROW)
    parts.clear()
    keys, renumbered = _renumber(everyone, rows, np.repeat(np.array(owners, dtype=np.int64), sizes))
    order = np.argsort(rows["start"], kind="stable")
    waiting = _waiting(everyone)
    return Frames(
        start=rows["start"][order].astype(np.int32),
        end=rows["end"][order].astype(np.int32),
        key=renumbered[order],
        bucket=rows["bucket"][order],
        count=rows["count"][order],
        keys=keys,
        waiting_start=waiting[0],
        waiting_count=waiting[1],
        waiting_age=waiting[2].astype(np.float64),
        waiting_key=waiting[3],
        waiting_keys=tuple(dict.fromkeys(_waiting_keys(everyone))),
        offered=_arrivals((worker.load, worker.offered) for worker in everyone),
        started=_arrivals((worker.load, worker.started) for worker in everyone),
        workers=tuple(worker.worker() for worker in everyone),
    )


def _renumber(
    everyone: list[_Heard], rows: Column, owner: Whole
) -> tuple[tuple[tuple[str, Key], ...], Column]:
    """Give all workers' keys common numbers. A number beyond a worker's list (its chunk was lost) is unknown."""
    if not len(rows):
        return (), np.zeros(0, dtype=np.int32)
    table: dict[tuple[str, Key], int] = {}
    sizes = np.array([len(worker.keys) for worker in everyone], dtype=np.int64)
    local = np.minimum(rows["key"].astype(np.int64), sizes[owner])
    lost = [_UNKNOWN] if (local == sizes[owner]).any() else []
    numbers = [
        table.setdefault((each.load, key), len(table)) for each in everyone for key in (*each.keys, *lost)
    ]
    begins = np.concatenate([[0], np.cumsum(sizes + len(lost))[:-1]])
    return tuple(table), np.array(numbers, dtype=np.int32)[local + begins[owner]]


def _waiting_keys(everyone: list[_Heard]) -> list[tuple[str, str]]:
    return [
        (worker.load, request) for worker in everyone if worker.last for _, request, _ in worker.last.pending
    ]


def _waiting(everyone: list[_Heard]) -> tuple[Whole, Whole, Column, Whole]:
    """Start, count, least age and key of what the last chunk of each worker says is pending."""
    table = {name: number for number, name in enumerate(dict.fromkeys(_waiting_keys(everyone)))}
    found = [
        (slot, count, max(0.0, worker.last.at - (slot + 1) * SLOT), table[worker.load, request])
        for worker in everyone
        if worker.last
        for slot, request, count in worker.last.pending
    ]
    starts, counts, ages, keys = zip(*found, strict=True) if found else ((), (), (), ())
    return (
        np.array(starts, dtype=np.int64),
        np.array(counts, dtype=np.int64),
        np.array(ages, dtype=np.float64),
        np.array(keys, dtype=np.int64),
    )


def _arrivals(told: Iterable[tuple[str, list[tuple[int, int]]]]) -> dict[str, tuple[Whole, Whole]]:
    """Per load, (slot, count) of arrivals."""
    pairs: dict[str, list[tuple[int, int]]] = {}
    for load, more in told:
        pairs.setdefault(load, []).extend(more)
    joined = {load: np.array(found, dtype=np.int64).reshape(-1, 2) for load, found in pairs.items()}
    return {load: (both[:, 0], both[:, 1]) for load, both in joined.items() if len(both)}
