"""Cut the rows of one term out of a stretch of time, with the rule for requests that cross a fault's edge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runner.assertions import Term
from runner.load.frames import SLOT
from runner.load.histogram import GROWTH, SMALLEST, bucket
from runner.statistics.frames import Column, Frames, Real, Truth, Whole
from runner.statistics.selection import in_population, is_bad, waiting_in_population

YOUNG = 5.0  # seconds; an older waiting request always counts
VALUES: Real = np.concatenate([[SMALLEST], 2 * SMALLEST / (GROWTH + 1) * GROWTH ** np.arange(1, 0x10000)])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots [first, last). A calm one ends before a fault: a request still under way at *ends_before* is the fault's.

    A fault's own stretch also takes requests that began before it, but not before *crossing_from*, and ended in it
    or later.
    """

    first: int
    last: int
    crossing_from: int | None = None
    ends_before: int | None = None

    @property
    def slots(self) -> int:
        return max(0, self.last - self.first)

    @property
    def seconds(self) -> float:
        return self.slots * SLOT


def calm(start: float, end: float, *, ends_before: float | None = None) -> Stretch:
    """The whole slots inside [start, end) seconds."""
    before = None if ends_before is None else _floor(ends_before)
    return Stretch(first=_ceil(start), last=_floor(end), ends_before=before)


def harmed(start: float, end: float) -> Stretch:
    """Every slot that a fault touched, and the requests that it found under way."""
    return Stretch(first=_floor(start), last=_ceil(end), crossing_from=0)


def staged(start: float, end: float) -> Stretch:
    """The slots of a stage of load: each slot belongs to one stage."""
    return Stretch(first=_floor(start), last=_floor(end))


@dataclass(frozen=True, slots=True)
class Cut:
    """The requests of one term in one stretch. *slot* counts from the stretch's first.

    Waiting requests younger than the slowest that ended say nothing yet (they may be as quick as any) and are left out.
    """

    slot: Column
    bucket: Column
    count: Column
    bad: Truth
    waiting_slot: Whole
    waiting_age: Real
    waiting_count: Whole
    stretch: Stretch
    parts: tuple[int, ...] = ()  # where its stretches begin, and where they end, in slots of the run
    ends: tuple[int, ...] = ()

    @property
    def ended(self) -> int:
        return int(self.count.sum())

    @property
    def waiting(self) -> int:
        return int(self.waiting_count.sum())

    @property
    def waiting_bucket(self) -> Whole:
        """The buckets of the least that the waiting ones can have come to."""
        return np.array([bucket(age) for age in self.waiting_age], dtype=np.int64)


def cut(frames: Frames, term: Term, stretch: Stretch) -> Cut:
    """Select by key and by intended start."""
    low, high = np.searchsorted(frames.start, [stretch.first, max(stretch.first, stretch.last)])
    wanted = key_mask(frames, term)
    inside = np.arange(low, high)
    if stretch.ends_before is not None:
        inside = inside[frames.end[low:high] < stretch.ends_before]
    if stretch.crossing_from is not None and stretch.slots:
        earliest = int(np.searchsorted(frames.start, stretch.crossing_from))
        crossing = np.nonzero(frames.end[earliest:low] >= stretch.first)[0] + earliest
        inside = np.concatenate([crossing, inside])
    if not wanted.all():
        inside = inside[wanted[frames.key[inside]]]
    buckets, counts = frames.bucket[inside].astype(np.int64), frames.count[inside].astype(np.int64)
    waiting = _waiting(frames, term, stretch, slowest=float(VALUES[buckets.max()]) if len(buckets) else 0.0)
    return Cut(
        slot=np.maximum(frames.start[inside].astype(np.int64) - stretch.first, 0),
        bucket=buckets,
        count=counts,
        bad=_bad_mask(frames, term)[frames.key[inside]],
        waiting_slot=np.maximum(frames.waiting_start[waiting] - stretch.first, 0),
        waiting_age=frames.waiting_age[waiting],
        waiting_count=frames.waiting_count[waiting],
        stretch=stretch,
        parts=(stretch.first,),
        ends=(stretch.last,),
    )


def joined(cuts: list[Cut]) -> Cut:
    """Several stretches as one population (for measures of the whole, not of its slots)."""
    if len(cuts) == 1:
        return cuts[0]
    first, last = min(one.stretch.first for one in cuts), max(one.stretch.last for one in cuts)

    def together(name: str) -> Column:
        return np.concatenate([getattr(one, name) for one in cuts])

    return Cut(
        slot=np.concatenate([one.slot + (one.stretch.first - first) for one in cuts]),
        bucket=together("bucket"),
        count=together("count"),
        bad=together("bad"),
        waiting_slot=np.concatenate([one.waiting_slot + (one.stretch.first - first) for one in cuts]),
        waiting_age=together("waiting_age"),
        waiting_count=together("waiting_count"),
        stretch=Stretch(first, last),
        parts=tuple(one.stretch.first for one in cuts),
        ends=tuple(one.stretch.last for one in cuts),
    )


def part(one: Cut, first: int, last: int) -> Cut:
    """Only what began in slots [first, last) of the run, of what was cut out."""
    begin, end = first - one.stretch.first, last - one.stretch.first
    inside = (one.slot >= begin) & (one.slot < end)
    waiting = (one.waiting_slot >= begin) & (one.waiting_slot < end)
    return Cut(
        slot=one.slot[inside] - begin,
        bucket=one.bucket[inside],
        count=one.count[inside],
        bad=one.bad[inside],
        waiting_slot=one.waiting_slot[waiting] - begin,
        waiting_age=one.waiting_age[waiting],
        waiting_count=one.waiting_count[waiting],
        stretch=Stretch(first, last),
        parts=(first,),
        ends=(last,),
    )


def at_rank(one: Cut, rank: int, *, endless: bool) -> float:
    """The order statistic of that rank, counted from 1: waiting requests at their age, or *endless*."""
    counts = np.bincount(one.bucket, weights=one.count, minlength=1)
    if endless or not one.waiting:
        return float(VALUES[np.searchsorted(counts.cumsum(), rank - 0.5)]) if rank <= one.ended else math.inf
    aged = np.bincount(one.waiting_bucket, weights=one.waiting_count, minlength=len(counts))
    aged[: len(counts)] += counts
    return float(VALUES[np.searchsorted(aged.cumsum(), rank - 0.5)])


def key_mask(frames: Frames, term: Term) -> Truth:
    """Which keys are of the term's population."""
    return np.array([in_population(term, load, key) for load, key in frames.keys], dtype=np.bool_)


def waiting_mask(frames: Frames, term: Term) -> Truth:
    """Which waiting requests are of the term's population."""
    wanted = [waiting_in_population(term, load, request) for load, request in frames.waiting_keys]
    return np.array(wanted, dtype=np.bool_)[frames.waiting_key]


def in_flight(frames: Frames, term: Term, stretch: Stretch) -> Whole:
    """How many requests were under way as each slot of the stretch ended."""
    chosen = key_mask(frames, term)[frames.key] if len(frames.keys) else np.zeros(0, dtype=np.bool_)
    waiting = waiting_mask(frames, term)
    last = max(stretch.last, 0)
    change = _counted(frames.start[chosen], frames.count[chosen], last)
    change -= _counted(frames.end[chosen], frames.count[chosen], last)
    change += _counted(frames.waiting_start[waiting], frames.waiting_count[waiting], last)
    return change.cumsum()[max(stretch.first, 0) : last]


def _counted(slots: Column, counts: Column, length: int) -> Whole:
    early = slots < length
    return np.bincount(slots[early], weights=counts[early], minlength=length).astype(np.int64)


def _bad_mask(frames: Frames, term: Term) -> Truth:
    return np.array([is_bad(term, key) for _, key in frames.keys], dtype=np.bool_)


def _waiting(frames: Frames, term: Term, stretch: Stretch, *, slowest: float) -> Truth:
    start = frames.waiting_start
    earliest = stretch.first if stretch.crossing_from is None or not stretch.slots else stretch.crossing_from
    chosen = (start < stretch.last) & (start >= earliest) & waiting_mask(frames, term)
    if stretch.ends_before is not None:
        chosen &= np.zeros(len(start), dtype=np.bool_)  # it outlived the calm: it is the fault's
    return chosen & (frames.waiting_age >= min(slowest, YOUNG))


def _floor(seconds: float) -> int:
    return max(0, math.floor(seconds / SLOT + 1e-6))


def _ceil(seconds: float) -> int:
    return max(0, math.ceil(seconds / SLOT - 1e-6))
