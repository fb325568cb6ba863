"""What changed when: levels of errors, latency and rate on the timeline, each with the fault or stage that explains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runner.assertions import Selector, Term
from runner.load.frames import SLOT
from runner.record import Record
from runner.statistics.changes import CLEAR, Step, steps_of_rate, steps_of_share
from runner.statistics.cutting import Stretch, cut
from runner.statistics.doubt import Doubt
from runner.statistics.frames import Frames, Real
from runner.statistics.measures import measure
from runner.statistics.selection import is_of_load
from runner.verdict.case import Case
from runner.verdict.record import Change

_BEHIND, _AHEAD = 5.0, 1.5  # seconds by which a change may follow its cause, or seem to come before it
_SLOW = 0.9  # the quantile of the run's own beginning above which a request counts as slow
_BESIDE, _SURE = (
    5.0,
    0.95,
)  # seconds before and after that chosen requests are compared in, and how surely they differ
_PART = 1 << 20  # rows at a time
_PER_SECOND = round(1 / SLOT)
_SHOWN = Term(name="quantile", quantile=0.95, text="p95")
_KINDS = {"quantile": "p95", "mean": "p95", "max": "p95", "error_rate": "error_rate", "success_rate": "error_rate",
          "errors": "error_rate", "rps": "rps", "requests": "rps"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Counts of every whole second that is judged, of all loads together."""

    first: int  # slot
    total: Real
    bad: Real
    slow: Real


def changes_of(case: Case) -> tuple[Change, ...]:
    """Find every clear change of level from the end of the warm-up to the end of what is judged."""
    start, end = case.moments.warm, case.moments.end
    if start is None or end - start < 2 or not len(case.record.frames.start):
        return ()
    seconds = _seconds(case.record, start, end)
    edges = [(at / SLOT - seconds.first) / _PER_SECOND for at, _ in _edges(case)]
    found = [
        *_named("error_rate", "share", steps_of_share(seconds.bad, seconds.total, edges)),
        *_named("p95", "seconds", steps_of_share(seconds.slow, seconds.total, edges)),
        *_named("rps", "per second", steps_of_rate(seconds.total, edges)),
    ]
    changes = [(_change(case, seconds, name, unit, step), step.size) for name, unit, step in found]
    kept = [change for change, size in changes if change.cause or size >= CLEAR]
    return tuple(sorted(kept, key=lambda change: change.at))


def changed_at(case: Case, term: Term, start: float, end: float) -> tuple[str, ...]:
    """Name the causes at whose moments in a window what *term* measures changed; of chosen requests, where these did too."""
    about = _KINDS.get(term.name) if is_of_load(term) else None
    inside = [
        one
        for one in case.changes
        if one.cause and one.what == about and start - _AHEAD <= one.at < end - _AHEAD
    ]
    if term.selector != Selector():
        inside = [one for one in inside if _apart(case, term, one.at)]
    return tuple(dict.fromkeys(one.cause for one in inside))


def _apart(case: Case, term: Term, at: float) -> bool:
    """Whether the seconds before and after differ beyond the doubt about both."""
    middle, width = round(at / SLOT), round(_BESIDE / SLOT)
    sides = (Stretch(max(0, middle - width), middle), Stretch(middle, middle + width))
    one, other = (measure(case.record.frames, term, (side,), doubt=Doubt(_SURE)) for side in sides)
    if one.value is None or other.value is None:
        return False
    return one.high < other.low or other.high < one.low


def _named(name: str, unit: str, steps: list[Step]) -> list[tuple[str, str, Step]]:
    return [(name, unit, step) for step in steps]


def _change(case: Case, seconds: _Seconds, name: str, unit: str, step: Step) -> Change:
    at = seconds.first + step.at * _PER_SECOND
    before, after = step.before, step.after
    if name == "p95":
        width = step.length * _PER_SECOND
        sides = (Stretch(at - width, at), Stretch(at, at + width))
        values = [measure(case.record.frames, _SHOWN, (side,)).value for side in sides]
        before, after = (0.0 if value is None else value for value in values)
    cause = _cause(case, at * SLOT, late=max(_AHEAD, step.length / 3))
    return Change(at=at * SLOT, what=name, unit=unit, before=before, after=after, cause=cause)


def _cause(case: Case, at: float, *, late: float) -> str:
    """The edge that is nearest among those that may explain a change; empty where none does."""
    near = [(abs(at - edge), name) for edge, name in _edges(case) if edge - late <= at <= edge + _BEHIND]
    if near:
        return min(near)[1]
    for name, spans in case.moments.stages.items():
        if name in _ramps(case) and any(begun <= at <= ended + _BEHIND for begun, ended in spans):
            return f"ramp of {name}"
    return ""


def _edges(case: Case) -> list[tuple[float, str]]:
    found = []
    for one in case.moments.occurrences:
        turn = f" #{one.number + 1}" if one.number else ""
        found.append((one.start, f"start of {one.fault}{turn}"))
        if one.end is not None:
            found.append((one.end, f"end of {one.fault}{turn}"))
    for name, spans in case.moments.stages.items():
        found += [(begun, f"stage {name}") for begun, _ in spans]
    return found


def _ramps(case: Case) -> set[str]:
    return {
        stage.name for load in case.plan.scenario.loads for stage in load.stages if stage.start != stage.end
    }


def _seconds(record: Record, start: float, end: float) -> _Seconds:
    """Count every whole second, a million rows at a time."""
    frames = record.frames
    first = int(np.ceil(start / SLOT - 1e-6))
    length = int((end / SLOT + 1e-6 - first) // _PER_SECOND)
    low, high = np.searchsorted(frames.start, [first, first + length * _PER_SECOND])
    errors = np.array([bool(key.error) for _, key in frames.keys], dtype=np.bool_)
    slow = _slow_bucket(frames, first, length)
    counts = np.zeros((3, length))
    for begin in range(int(low), int(high), _PART):
        part = slice(begin, min(begin + _PART, int(high)))
        second = (frames.start[part] - first) // _PER_SECOND
        weight = frames.count[part].astype(np.float64)
        for row, chosen in enumerate((None, errors[frames.key[part]], frames.bucket[part] > slow)):
            mine = weight if chosen is None else weight * chosen
            counts[row] += np.bincount(second, weights=mine, minlength=length)
    waiting = (frames.waiting_start >= first) & (frames.waiting_start < first + length * _PER_SECOND)
    late = np.bincount(
        (frames.waiting_start[waiting] - first) // _PER_SECOND,
        weights=frames.waiting_count[waiting],
        minlength=length,
    )
    return _Seconds(first, counts[0] + late, counts[1], counts[2] + late)


def _slow_bucket(frames: Frames, first: int, length: int) -> int:
    """The bucket above which a tenth of the first quarter lies, at most ten minutes of it."""
    slots = max(_PER_SECOND, min(length * _PER_SECOND // 4, round(600 / SLOT)))
    one = cut(frames, _SHOWN, Stretch(first, first + slots))
    counts = np.bincount(one.bucket, weights=one.count, minlength=1)
    return int(np.searchsorted(counts.cumsum(), _SLOW * one.ended))
