"""A running sum over the last seconds of what ended: requests, errors and a histogram, kept slot by slot."""

from __future__ import annotations

import bisect
import itertools
import math

from runner.load.frames import SLOT
from runner.load.histogram import quantile, value


class Tally:
    """Requests that ended in the last *seconds* (inf: since ever). Adding and forgetting cost what changes, no more."""

    def __init__(self, seconds: float) -> None:
        self.slots = None if math.isinf(seconds) else max(1, round(seconds / SLOT))
        self.requests = self.errors = 0
        self.counts: dict[int, int] = {}  # bucket -> requests
        self.by_slot: dict[int, list[tuple[int, int, bool]]] = {}  # end slot -> (bucket, count, is an error)
        self._first = 0  # no slot before this is held
        self._ordered: tuple[list[int], list[int]] | None = (
            None  # buckets and cumulative counts, until they change
        )

    def add(self, slot: int, bucket: int, count: int, *, bad: bool) -> None:
        """Count requests that ended in *slot*. What is older than the window is not counted."""
        if slot < self._first:
            return
        self._ordered = None
        self.requests += count
        self.errors += count if bad else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        if self.slots is not None:
            self.by_slot.setdefault(slot, []).append((bucket, count, bad))

    def forget_before(self, right: int) -> None:
        """Drop what ended earlier than the window that ends with slot *right* (exclusive)."""
        if self.slots is None or right - self.slots <= self._first:
            return
        self._first = right - self.slots
        for slot in [slot for slot in self.by_slot if slot < self._first]:
            for bucket, count, bad in self.by_slot.pop(slot):
                self._drop(bucket, count, bad=bad)

    def complete(self, right: int) -> int:
        """Requests that ended before slot *right*: the slots that are final."""
        late = sum(count for slot, found in self.by_slot.items() if slot >= right for _, count, _ in found)
        return self.requests - late

    def merge(self, other: Tally) -> None:
        """Count what *other* counts, once."""
        self._ordered = None
        self.requests += other.requests
        self.errors += other.errors
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def quantile(self, q: float, overdue: dict[int, int] | None = None) -> float | None:
        """The order statistic ceil(q n) of what ended, together with *overdue* (bucket -> requests)."""
        if overdue:
            both = dict(self.counts)
            for bucket, count in overdue.items():
                both[bucket] = both.get(bucket, 0) + count
            return quantile(both, q)
        return self.at_rank(max(1, math.ceil(q * self.requests - 1e-9)))

    def at_rank(self, rank: int) -> float | None:
        """The latency that *rank* requests do not exceed; None where fewer ended."""
        if rank > self.requests:
            return None
        if self._ordered is None:
            buckets = sorted(self.counts)
            self._ordered = buckets, list(itertools.accumulate(map(self.counts.__getitem__, buckets)))
        buckets, sums = self._ordered
        return value(buckets[bisect.bisect_left(sums, rank)])

    def mean(self) -> float | None:
        """The mean latency of what ended."""
        if not self.requests:
            return None
        return math.fsum(value(bucket) * count for bucket, count in self.counts.items()) / self.requests

    def largest(self) -> float | None:
        """The greatest latency of what ended."""
        return value(max(self.counts)) if self.counts else None

    def _drop(self, bucket: int, count: int, *, bad: bool) -> None:
        self._ordered = None
        self.requests -= count
        self.errors -= count if bad else 0
        left = self.counts[bucket] - count
        if left:
            self.counts[bucket] = left
        else:
            del self.counts[bucket]
