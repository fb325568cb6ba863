"""Takes what arrives while a run goes on, forgets it in time, and sums up the last seconds."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from runner.assertions import WHOLE_RUN, Term
from runner.live.snapshot import HaltReading, IndicatorReading, RequestRow, Snapshot
from runner.load.frames import ROW, SLOT, Chunk, Key
from runner.plan_record import Plan
from runner.scenario import Load
from runner.statistics.samples import is_good, measure_samples
from runner.statistics.tally import Tally
from runner.timeline import Sample

SHOWN = 5.0  # seconds that a snapshot looks back
_NEWS = 15.0  # seconds that rows are kept for a reader that has not fetched them yet
_SAMPLES = 120.0  # seconds that samples are kept, at least; longer where a rule's `over` asks for it
_ASIDE = 1.0  # seconds after which a silent worker's watermark does not hold the others up

Row = tuple[int, int, int, int]  # end slot, number of the key, bucket, count
Waiting = dict[tuple[str, str], list[tuple[float, int]]]  # load, request -> seconds waited at least, how many


@dataclass(slots=True)
class WorkerSeen:
    """The last word of one load worker. *keys*: its key numbers as ours."""

    load: str
    number: int
    at: float = 0.0
    watermark: int = 0
    users: int = 0
    pending: list[tuple[int, str, int]] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    problem: str = ""
    final: bool = False


class LiveWindow:
    """Takes chunks and samples from any thread and forgets them in time. Readers hold *lock* while they look."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lock = threading.RLock()
        self.begins_at: float | None = None
        self.keys: list[tuple[str, Key]] = []  # load and key by number
        self.workers: dict[tuple[str, int], WorkerSeen] = {}
        self.active: dict[str, float] = {}  # load -> when it last showed a sign of life
        self.ended: dict[str, int] = {}  # load -> requests since the start
        self.good: dict[str, float] = {}  # indicator -> when its last good sample was taken
        self.halts: tuple[HaltReading, ...] = ()
        self._numbers: dict[tuple[str, Key], int] = {}
        self._news: deque[tuple[int, float, list[Row]]] = deque()
        self._serial = 0
        self._waiting: Waiting | None = None
        self._offered: dict[str, dict[int, int]] = {}
        self._samples: dict[str, dict[str, deque[Sample]]] = {}
        self._shown: dict[str, Tally] = {}
        spans = [rule.over for rule in plan.scenario.halt if rule.over is not None and rule.over < WHOLE_RUN]
        self._kept = max([_SAMPLES, *spans])

    def expect(self, begins_at: float) -> None:
        """Say when the loads begin, in seconds since the anchor: from then on their silence counts."""
        with self.lock:
            self.begins_at = begins_at

    def add_chunk(self, chunk: Chunk) -> None:
        """Take what a worker flushed."""
        with self.lock:
            name = (chunk.load, chunk.worker)
            worker = self.workers.setdefault(name, WorkerSeen(chunk.load, chunk.worker))
            worker.at, worker.users, worker.pending = chunk.at, chunk.users, chunk.pending
            self._waiting = None
            worker.watermark, worker.final = chunk.watermark, chunk.final
            worker.problem = chunk.problem or worker.problem
            worker.keys += [self._number(chunk.load, key) for key in chunk.keys]
            if chunk.rows or chunk.pending or chunk.started:
                self.active[chunk.load] = max(self.active.get(chunk.load, 0.0), chunk.at)
            if chunk.rows:
                self._take_rows(chunk, worker)
            self._take_offered(chunk)

    def add_sample(self, sample: Sample) -> None:
        """Take a reading of an indicator."""
        with self.lock:
            readings = self._samples.setdefault(sample.indicator, {}).setdefault(sample.instance, deque())
            readings.append(sample)
            while readings[0].at < sample.at - self._kept:
                readings.popleft()
            if is_good(sample):
                self.good[sample.indicator] = max(self.good.get(sample.indicator, 0.0), sample.at)

    def news(self, since: int) -> tuple[int, list[list[Row]]]:
        """Rows that came after serial number *since*, and the number to ask with next time."""
        found: list[list[Row]] = []
        for serial, _, rows in reversed(self._news):
            if serial <= since:
                break
            found.append(rows)
        return self._serial, found[::-1]

    def samples(self, indicator: str) -> dict[str, list[Sample]]:
        """The kept samples of an indicator by instance."""
        return {instance: list(kept) for instance, kept in self._samples.get(indicator, {}).items()}

    def waiting(self) -> Waiting:
        """Requests without an answer, by load and request; gathered anew only when a chunk has come."""
        if self._waiting is None:
            found: Waiting = {}
            for worker in self.workers.values():
                for slot, request, count in worker.pending:
                    age = max(0.0, worker.at - (slot + 1) * SLOT)
                    found.setdefault((worker.load, request), []).append((age, count))
            self._waiting = found
        return self._waiting

    def edge(self) -> int:
        """The slot before which everything that ended is known."""
        newest = max((worker.at for worker in self.workers.values()), default=0.0)
        marks = [worker.watermark for worker in self.workers.values() if worker.at >= newest - _ASIDE]
        return min(marks, default=0)

    def settled(self, slot: int) -> bool:
        """Whether every worker has told all that ended before *slot*."""
        with self.lock:
            expected = sum(load.workers for load in self.plan.scenario.loads)
            return len(self.workers) >= expected and all(
                worker.watermark >= slot or worker.final for worker in self.workers.values()
            )

    def is_over(self, load: str = "") -> bool:
        """Whether all workers (of one load) have sent their last chunk, as ordered: they are due nothing more."""
        said = [worker for worker in self.workers.values() if load in ("", worker.load)]
        return bool(said) and all(worker.final for worker in said)

    def level(self, load: Load, at: float) -> float:
        """The rate or users that *load* is due to have at a moment; 0 before it begins and after its stages."""
        if self.begins_at is None or at < self.begins_at:
            return 0.0
        begun = self.begins_at
        for stage in load.stages:
            if stage.duration is None or at < begun + stage.duration:
                share = 0.0 if not stage.duration else (at - begun) / stage.duration
                return stage.start + (stage.end - stage.start) * share
            begun += stage.duration
        return 0.0

    def offered_rate(self, seconds: float, load: str = "") -> float | None:
        """Arrivals due per second over the last *seconds*; None where no load has an open model."""
        if not self._offered:
            return None
        right, width = self.edge(), max(1, round(seconds / SLOT))
        chosen = [slots for name, slots in self._offered.items() if load in ("", name)]
        due = sum(count for slots in chosen for slot, count in slots.items() if right - width <= slot < right)
        return due / (width * SLOT)

    def users(self, load: str = "") -> int:
        """Users now, of all workers."""
        return sum(worker.users for worker in self.workers.values() if load in ("", worker.load))

    def snapshot(self, at: float) -> Snapshot:
        """What the live view shows now."""
        with self.lock:
            right = self.edge()
            begun = self.begins_at if self.begins_at is not None else right * SLOT - SHOWN
            seconds = max(SLOT, min(SHOWN, right * SLOT - begun))
            whole = Tally(SHOWN)
            for tally in self._shown.values():
                tally.forget_before(right)
                whole.merge(tally)
            named = [(tally.requests, name, tally) for name, tally in self._shown.items() if tally.requests]
            named.sort(key=lambda row: (-row[0], row[1]))
            return Snapshot(
                at=at,
                begins_at=self.begins_at,
                rps=whole.requests / seconds,
                error_rate=whole.errors / whole.requests if whole.requests else None,
                p50=whole.quantile(0.5),
                p95=whole.quantile(0.95),
                p99=whole.quantile(0.99),
                in_flight=sum(count for found in self.waiting().values() for _, count in found),
                users=self.users(),
                offered=self.offered_rate(seconds),
                requests=tuple(_row(name, tally, seconds) for _, name, tally in named),
                indicators=tuple(self._readings(at)),
                halts=self.halts,
            )

    def _take_rows(self, chunk: Chunk, worker: WorkerSeen) -> None:
        rows: list[Row] = []
        for _, end, key, bucket, count in ROW.iter_unpack(chunk.rows):
            if key >= len(worker.keys):
                continue  # the chunk that named it was lost: the verdict says so
            number = worker.keys[key]
            rows.append((end, number, bucket, count))
            request, bad = self.keys[number][1].request, bool(self.keys[number][1].error)
            tally = self._shown.get(request) or self._shown.setdefault(request, Tally(SHOWN))
            tally.add(end, bucket, count, bad=bad)
            self.ended[chunk.load] = self.ended.get(chunk.load, 0) + count
        right = self.edge()
        for tally in self._shown.values():
            tally.forget_before(right)
        self._serial += 1
        self._news.append((self._serial, chunk.at, rows))
        while self._news[0][1] < chunk.at - _NEWS:
            self._news.popleft()

    def _take_offered(self, chunk: Chunk) -> None:
        if not chunk.offered:
            return
        slots = self._offered.setdefault(chunk.load, {})
        for slot, count in chunk.offered:
            slots[slot] = slots.get(slot, 0) + count
        oldest = int((chunk.at - self._kept) / SLOT)
        for slot in [slot for slot in slots if slot < oldest]:
            del slots[slot]

    def _number(self, load: str, key: Key) -> int:
        number = self._numbers.setdefault((load, key), len(self.keys))
        if number == len(self.keys):
            self.keys.append((load, key))
        return number

    def _readings(self, at: float) -> list[IndicatorReading]:
        own = {
            each.name: each for each in (*self.plan.scenario.indicators, *self.plan.environment.indicators)
        }
        return [
            _reading(name, instance, kept, unit=own[name].unit if name in own else "", at=at)
            for name, instances in sorted(self._samples.items())
            for instance, kept in sorted(instances.items())
        ]


def _reading(name: str, instance: str, kept: deque[Sample], *, unit: str, at: float) -> IndicatorReading:
    good = next((sample for sample in reversed(kept) if is_good(sample)), None)
    value = measure_samples(Term(name=name, quantile=0.95), [good]).value if good else None
    newest = kept[-1]
    return IndicatorReading(name, instance, value, unit, at - (good or newest).at, newest.error)


def _row(request: str, tally: Tally, seconds: float) -> RequestRow:
    return RequestRow(
        request,
        rps=tally.requests / seconds,
        error_rate=tally.errors / tally.requests,
        p50=tally.quantile(0.5),
        p95=tally.quantile(0.95),
        p99=tally.quantile(0.99),
    )
