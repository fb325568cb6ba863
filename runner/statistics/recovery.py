"""Recovery: when bad seconds surely ended and good ones surely began, before the next disturbance; censored there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.statistics.comparison import Needed
from runner.statistics.frames import Real

BUCKET = 1.0  # seconds
_SPANS = (1, 3, 10)  # seconds looked at together, to find what is surely bad at few requests
# A start is looked for among many, and some look good by luck (measured: bench_coverage.py).
_FIRST = 2  # the first that is possible may be wrong with so small a part of the chance
_STARTS = 8  # and each later one with so small a part
LONGEST = 60  # seconds of good that are asked for at most before a start of them is given up


@dataclass(frozen=True, slots=True)
class Recovery:
    """*seconds* to the end of the last bad bucket. Not *recovered*: bad to the last, so it took longer than that."""

    seconds: float
    recovered: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """Between which buckets it recovered: *low* the end of the last surely bad one, *high* the start of the first stretch
    that surely held to the end (None: none did). *held_from*: it surely held before, from there on, and relapsed.
    *needs*: what would have shown that it holds since the last bad one, if none of it is bad.
    """

    low: int
    high: int | None
    held_from: int | None = None
    needs: Needed | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the steady state, bucket by bucket: *bad* by points.

    *hits* of *tries* broke it, of which a share of *limit* may; None where it is no question of shares: points then decide.
    *effect*: how alike the fates of one second are; a single bad moment is then no proof that the line was broken.
    """

    bad: tuple[bool | None, ...]
    hits: Real | None = None
    tries: Real | None = None
    limit: float = 0.0
    effect: float = 1.0

    def part(self, first: int, last: int | None) -> Line:
        """The buckets [first, last) alone."""
        hits, tries = (None if one is None else one[first:last] for one in (self.hits, self.tries))
        return Line(self.bad[first:last], hits, tries, self.limit)


def recovery(bad: Sequence[bool | None]) -> Recovery | None:
    """Read the time to recover from one verdict per complete bucket; None where no bucket says anything.

    A bucket that says nothing (None) counts as the one before it, and before the first everything was bad.
    """
    if all(one is None for one in bad):
        return None
    states = _filled(bad)
    last = max((number + 1 for number, state in enumerate(states) if state), default=0)
    return Recovery(seconds=last * BUCKET, recovered=not states[-1])


def between(lines: Sequence[Line], *, confidence: float) -> Stretch:
    """Bound the recovery of all *lines* together."""
    tail = (1 - confidence) / 2
    low = max(_surely_bad_until(line, tail) for line in lines)
    states = [_filled(line.bad) for line in lines]

    def held_from(first: int, end: int) -> int | None:
        possible = (start for start in range(first, end) if not any(state[start] for state in states))
        for number, start in enumerate(possible):
            share = tail / (_STARTS if number else _FIRST)
            if all(
                _surely_holds(line, state, start, end, share)
                for line, state in zip(lines, states, strict=True)
            ):
                return start
        return None

    size = len(lines[0].bad)
    high, earlier = held_from(low, size), held_from(0, min(low, size))
    return Stretch(low, high, earlier, _needs(lines, states, low, confidence) if high is None else None)


def fewest(limit: float, confidence: float, *, first: bool = True, hits: float = 0.0) -> int:
    """The fewest requests after a start, the first that is possible or a later one, that show a line to hold.

    *hits* of them break it.
    """
    from scipy.special import bdtrin  # noqa: PLC0415 - slow to import, and only intervals need it

    share = (1 - confidence) / 2 / (_FIRST if first else _STARTS)
    return math.ceil(float(bdtrin(hits, share, limit)))


def _needs(
    lines: Sequence[Line], states: Sequence[Sequence[bool]], low: int, confidence: float
) -> Needed | None:
    """The requests that were missing after the last bad bucket, of the line that needs most time; at the pace of all."""
    broken = [any(state[number] for state in states) for number in range(low, len(states[0]))]
    start = max((number + 1 for number, one in enumerate(broken) if one), default=0)
    missing = []
    for line in lines:
        if (
            line.hits is None
            or line.tries is None
            or not line.limit
            or not (pace := float(line.tries.mean()))
        ):
            continue
        hits, tries = (float(each[low + start :].sum()) for each in (line.hits, line.tries))
        more = fewest(line.limit, confidence, first=all(broken[:start]), hits=hits) - tries
        missing.append(Needed(max(1, math.ceil(more)), more / pace))
    return max(missing, key=lambda one: one.seconds, default=None)


def longest_run(true: Sequence[bool]) -> int:
    """The greatest number of neighbours that are all true."""
    longest = current = 0
    for one in true:
        current = current + 1 if one else 0
        longest = max(longest, current)
    return longest


def _filled(bad: Sequence[bool | None]) -> list[bool]:
    state, states = True, []
    for one in bad:
        state = state if one is None else one
        states.append(state)
    return states


def _surely_bad_until(line: Line, tail: float) -> int:
    """The end of the last bucket that is surely bad; of a longer span, of which only some bucket is, its beginning."""
    if line.hits is None or line.tries is None:
        states = _filled(line.bad)
        return max((number + 1 for number, state in enumerate(states) if state), default=0)
    from scipy.special import betainc  # noqa: PLC0415 - slow to import, and only intervals need it

    last, size = 0, len(line.bad)
    for span in _SPANS:
        if span > size:
            break
        hits, tries = (_sums(one, span) / line.effect for one in (line.hits, line.tries))
        chance = np.where(hits > 0, betainc(np.maximum(hits, 1e-9), tries - hits + 1, line.limit), 1.0)
        found = np.nonzero(chance < tail / size)[0]
        if len(found):
            last = max(last, int(found[-1]) + (1 if span == 1 else 0))
    return last


def _surely_holds(line: Line, states: Sequence[bool], start: int, end: int, share: float) -> bool:
    """Whether a stretch that begins at *start*, and ends by *end*, shows the line to hold, with no bucket in it that did not,
    at a chance of *share* to be wrong.

    Else a long good time would make up for a bad beginning, and the start of a slow recovery would look like its end.
    """
    stop = min(end, start + LONGEST)
    if line.hits is None or line.tries is None:
        return not any(states[start : min(stop, start + 1)])
    from scipy.special import betainc  # noqa: PLC0415 - slow to import, and only intervals need it

    hits, tries = (np.cumsum(one[start:stop]) for one in (line.hits, line.tries))
    there = tries > hits
    chance = betainc(np.where(there, tries - hits, 1.0), hits + 1, 1 - line.limit)
    shown = there & (chance <= share)
    first = int(shown.argmax())
    return bool(shown.any()) and not any(states[start : start + first + 1])


def _sums(counts: Real, span: int) -> Real:
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    return np.asarray(sums[span:] - sums[:-span])
