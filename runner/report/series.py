"""What the load measured, as arrays over time: quantiles, errors, rates and requests in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.load import histogram
from runner.load.frames import SLOT, Key
from runner.statistics.frames import Frames, Worker

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

_WIDTHS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0)  # seconds a point may stand for


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of one load: one entry of each array for requests alike. Slots as in frames."""

    start: Counts
    end: Counts
    key: Counts
    bucket: Counts
    count: Counts
    keys: tuple[Key, ...]
    pending: tuple[tuple[int, int], ...]  # without an answer at the end: start slot, count
    offered: tuple[Counts, Counts]  # slots and arrivals due; empty in the closed model
    workers: tuple[Worker, ...]

    @property
    def begins(self) -> float:
        """When the first chunk was begun, seconds since the anchor."""
        return max(
            0.0,
            min((float(worker.ats[0]) for worker in self.workers if len(worker.ats)), default=SLOT) - SLOT,
        )

    @property
    def ends(self) -> float:
        return max((float(worker.ats[-1]) for worker in self.workers if len(worker.ats)), default=0.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One load over time. *at* is the middle of each point, *width* the seconds it stands for; nan is no data."""

    at: Numbers
    width: float
    quantiles: dict[float, Numbers]  # seconds, by intended start; pending requests count with their age
    error_rate: Numbers  # share, by intended start
    ended: Numbers  # per second, by end
    offered: Numbers  # per second, by intended start; all nan in the closed model
    in_flight: Numbers  # the mean of the point
    users: Numbers


def requests_by_load(frames: Frames) -> dict[str, Requests]:
    """Part the frames of a run by load."""
    loads = dict.fromkeys([*(worker.load for worker in frames.workers), *(load for load, _ in frames.keys)])
    owner = np.array([load for load, _ in frames.keys], dtype=object)
    return {load: _of_load(frames, load, owner == load) for load in loads}


def over_time(requests: Requests, quantiles: Sequence[float], *, points: int = 3600) -> Series:
    """Lay the requests of one load on a time axis of at most *points* points."""
    width = width_for(requests.ends - requests.begins, points)
    first = math.floor(requests.begins / width + 1e-6)
    size = max(1, math.ceil(requests.ends / width - 1e-6) - first)
    edges = (first + np.arange(size + 1)) * width
    covered = np.minimum(edges[1:], requests.ends) - np.maximum(edges[:-1], requests.begins)
    covered = np.where(covered >= width / 2, covered, np.nan)
    group = _groups(requests.start, width, first, size)
    total = _sum(group, requests.count, size)
    bad = np.array([bool(key.error) for key in requests.keys] or [False])
    errors = _sum(group, requests.count * bad[requests.key], size) if len(requests.key) else total
    late = [(start, max(0.0, requests.ends - start * SLOT), count) for start, count in requests.pending]
    waiting_group = _groups(np.array([entry[0] for entry in late], dtype=np.int64), width, first, size)
    waiting_bucket = np.array([histogram.bucket(entry[1]) for entry in late], dtype=np.int64)
    waiting_count = np.array([entry[2] for entry in late], dtype=np.int64)
    ended = _sum(_groups(requests.end, width, first, size), requests.count, size)
    return Series(
        at=(edges[:-1] + edges[1:]) / 2,
        width=width,
        quantiles=grouped_quantiles(
            np.concatenate([group, waiting_group]),
            np.concatenate([requests.bucket, waiting_bucket]),
            np.concatenate([requests.count, waiting_count]),
            groups=size,
            quantiles=quantiles,
        ),
        error_rate=np.divide(errors, total, out=np.full(size, np.nan), where=total > 0),
        ended=ended / covered,
        offered=_offered(requests, width, first, size) / covered,
        in_flight=_in_flight(requests, width, first, size) + 0 * covered,
        users=_users(requests, width, first, size),
    )


def width_for(seconds: float, points: int) -> float:
    """Choose how much time a point stands for: fine in a short run, one second up to an hour."""
    if seconds < 15:
        return 0.2
    return next((width for width in _WIDTHS[2:] if seconds / width <= points), _WIDTHS[-1])


def grouped_quantiles(
    group: Counts, bucket: Counts, count: Counts, *, groups: int, quantiles: Sequence[float]
) -> dict[float, Numbers]:
    """Order statistics ceil(q n) of each group, in seconds; nan of an empty group."""
    order = np.argsort((group << 16) | bucket, kind="stable")
    cumulated = np.cumsum(count[order])
    totals = _sum(group, count, groups)
    before = np.concatenate([[0.0], np.cumsum(totals)[:-1]])
    found: dict[float, Numbers] = {}
    for quantile in quantiles:
        line = np.full(groups, np.nan)
        filled = totals > 0
        rank = before + np.maximum(1, np.ceil(quantile * totals - 1e-9))
        line[filled] = bucket_values(bucket[order][np.searchsorted(cumulated, rank[filled], side="left")])
        found[quantile] = line
    return found


def bucket_values(numbers: Counts) -> Numbers:
    """Give the representatives of buckets, in seconds."""
    distinct, back = np.unique(numbers, return_inverse=True)
    return np.array([histogram.value(int(number)) for number in distinct], dtype=np.float64)[back]


def _of_load(frames: Frames, load: str, own: NDArray[np.bool_]) -> Requests:
    chosen = own[frames.key] if len(frames.key) else np.zeros(0, dtype=bool)
    workers = [worker for worker in frames.workers if worker.load == load]
    waiting = zip(
        frames.waiting_start.tolist(), frames.waiting_key.tolist(), frames.waiting_count.tolist(), strict=True
    )
    slots, counts = frames.offered.get(load, (np.zeros(0), np.zeros(0)))
    return Requests(
        start=frames.start[chosen].astype(np.int64),
        end=frames.end[chosen].astype(np.int64),
        key=frames.key[chosen].astype(np.int64),
        bucket=frames.bucket[chosen].astype(np.int64),
        count=frames.count[chosen].astype(np.int64),
        keys=tuple(key for _, key in frames.keys),
        pending=tuple((start, count) for start, key, count in waiting if frames.waiting_keys[key][0] == load),
        offered=(slots.astype(np.int64), counts.astype(np.int64)),
        workers=tuple(workers),
    )


def _groups(slots: Counts, width: float, first: int, size: int) -> Counts:
    """Number the point each slot belongs to; what lies outside goes to the nearest."""
    numbers = np.floor((slots + 0.5) * SLOT / width).astype(np.int64) - first
    return np.asarray(np.clip(numbers, 0, size - 1), dtype=np.int64)


def _sum(group: Counts, count: NDArray[np.int64] | Numbers, size: int) -> Numbers:
    return np.bincount(group, weights=count, minlength=size).astype(np.float64)


def _offered(requests: Requests, width: float, first: int, size: int) -> Numbers:
    slots, arrivals = requests.offered
    if not len(slots):
        return np.full(size, np.nan)
    return _sum(_groups(slots, width, first, size), arrivals, size)


def _in_flight(requests: Requests, width: float, first: int, size: int) -> Numbers:
    """The mean of each point: a request fills half of its first and last slot; within one, its latency's share."""
    low, per = round(first * width / SLOT), round(width / SLOT)
    slots = size * per
    start, end = (np.clip(edge - low, 0, slots - 1) for edge in (requests.start, requests.end))
    short = start == end
    latency = bucket_values(requests.bucket[short])
    started = _sum(start, requests.count, slots)
    ended = _sum(end, requests.count, slots)
    for begun, count in requests.pending:
        started[min(max(begun - low, 0), slots - 1)] += count
    halves = np.where(short, 0.0, requests.count / 2)
    within = _sum(start[short], requests.count[short] * np.minimum(latency / SLOT, 1.0), slots)
    mean = np.cumsum(started - ended) - _sum(start, halves, slots) + _sum(end, halves, slots) + within
    return np.asarray(mean.reshape(size, per).mean(axis=1), dtype=np.float64)


def _users(requests: Requests, width: float, first: int, size: int) -> Numbers:
    """The users of all workers: the most of each in a point, added up."""
    whole = np.full(size, np.nan)
    for worker in requests.workers:
        point = np.clip(np.floor(worker.ats / width - 1e-6).astype(np.int64) - first, 0, size - 1)
        most = np.full(size, -1.0)
        np.maximum.at(most, point, worker.users)
        whole = np.where(most >= 0, np.nan_to_num(whole) + most, whole)
    return whole
