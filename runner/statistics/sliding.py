"""Windows of a fixed length that slide slot by slot: the worst of them, and where a comparison was true."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from runner.assertions import Operator, Term
from runner.load.frames import SLOT
from runner.statistics.comparison import Measured, looks_up, nothing
from runner.statistics.cutting import VALUES, Cut, Stretch, cut, in_flight, part
from runner.statistics.doubt import CERTAIN, Doubt
from runner.statistics.frames import Column, Frames, Real, Truth, Whole
from runner.statistics.measures import NO_REQUEST, gauge, offered
from runner.statistics.selection import GAUGES
from runner.statistics.sureness import sure

EXPECTED = 20  # requests that a silent window must have been due to hold, to count as one without data

_COMPARE = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


def width_of(seconds: float) -> int:
    """A length in slots."""
    return max(1, round(seconds / SLOT))


def worst(
    frames: Frames,
    term: Term,
    stretch: Stretch,
    *,
    width: int,
    operator: Operator,
    doubt: Doubt = CERTAIN,
) -> Measured:
    """The worst of every window of *width* slots that lies in *stretch*.

    With requests still waiting it lies between the worst with them at their age and the worst with no end to them.
    With a confidence in *doubt* its ends hold for all windows together that do not overlap.
    """
    if stretch.slots < width:
        return nothing(f"the window of {stretch.seconds:.3g} s is shorter than {width * SLOT:.3g} s")
    if term.name in GAUGES or term.name == "offered_rps":
        return _extreme(_levels(frames, term, stretch, width), None, stretch, width=width, operator=operator)
    one = cut(frames, term, stretch)
    find = _worst_quantile if term.name == "quantile" else _worst_value
    least = find(one, term, width=width, operator=operator, endless=False)
    if least.value is None:
        return least
    most = find(one, term, width=width, operator=operator, endless=True) if one.waiting else least
    ends = sorted((least.value, least.value if most.value is None else most.value))
    found = replace(least, low=ends[0], high=ends[1])
    if not doubt.confidence or found.first is None or found.last is None:
        return found
    inside = part(one, found.first, found.last)
    return sure(inside, term, found, doubt.shared(stretch.slots / width), seconds=width * SLOT)


def truth(
    frames: Frames, term: Term, stretch: Stretch, *, width: int, operator: Operator, limit: float
) -> tuple[Truth, Truth]:
    """For every window: is the comparison true, and is there anything to compare? (What is not there is not true.)"""
    if stretch.slots < width:
        return np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_)
    if term.name in GAUGES or term.name == "offered_rps":
        return _compared(_levels(frames, term, stretch, width), operator, limit)
    one = cut(frames, term, stretch)
    if term.name != "quantile":
        return _compared(values(one, term, width, endless=False), operator, limit)
    requests, allowed = _ranks(one, term, width)
    above = exceeding(one, width, int(np.searchsorted(VALUES, limit, side="right")) - 1) > allowed
    at_least = exceeding(one, width, int(np.searchsorted(VALUES, limit, side="left")) - 1) > allowed
    true = {
        "<": ~at_least,
        "<=": ~above,
        ">": above,
        ">=": at_least,
        "==": at_least & ~above,
        "!=": ~at_least | above,
    }
    return true[operator] & (requests > 0), requests > 0


def silent(frames: Frames, term: Term, stretch: Stretch, *, width: int) -> int:
    """How many windows had no request begun, none under way, and yet were long enough for 20 at the usual pace."""
    if term.name in GAUGES or term.name == "offered_rps" or stretch.slots < width:
        return 0
    one = cut(frames, term, stretch)
    requests = windowed(one, width)
    if one.ended + one.waiting < EXPECTED * stretch.slots / width:
        return 0
    return int(((requests == 0) & (_windows(in_flight(frames, term, stretch), width) == 0)).sum())


def windowed(one: Cut, width: int, *, chosen: Truth | None = None) -> Whole:
    """Requests in every window; *chosen* restricts to some of the ended ones and leaves out the waiting."""
    slots, counts = (one.slot, one.count) if chosen is None else (one.slot[chosen], one.count[chosen])
    per_slot: Column = np.bincount(slots, weights=counts, minlength=one.stretch.slots)
    if chosen is None:
        per_slot = per_slot + _waiting_by_slot(one, np.ones(len(one.waiting_slot), dtype=np.bool_))
    return _windows(per_slot, width).astype(np.int64)


def exceeding(one: Cut, width: int, over: int, *, endless: bool = False) -> Whole:
    """Requests of every window in a bucket above *over*; *endless* takes all waiting ones to be."""
    late = one.waiting_bucket > (-1 if endless else over)
    more = _windows(_waiting_by_slot(one, late), width)
    return windowed(one, width, chosen=one.bucket > over) + more.astype(np.int64)


def values(one: Cut, term: Term, width: int, *, endless: bool) -> Real:
    """The value of every window, nan where nothing is. For all measures of requests but the quantile."""
    ended = windowed(one, width, chosen=np.ones(len(one.slot), dtype=np.bool_)).astype(np.float64)
    requests = windowed(one, width).astype(np.float64)
    bad = windowed(one, width, chosen=one.bad) + (requests - ended if endless else 0)
    there = np.where(requests > 0, requests, np.nan)
    match term.name:
        case "error_rate":
            return np.asarray(bad / there)
        case "success_rate":
            return np.asarray(1 - bad / there)
        case "rps":
            return np.where(requests > 0, ended / (width * SLOT), np.nan)
        case "requests":
            return there
        case "errors":
            return np.where(requests > 0, bad, np.nan)
        case "mean":
            return _means(one, width, there, endless=endless)
        case "max":
            return np.where(requests > 0, _largest(one, width, endless=endless), np.nan)
        case _:
            return np.full(len(requests), np.nan)


def _worst_value(one: Cut, term: Term, *, width: int, operator: Operator, endless: bool) -> Measured:
    requests = windowed(one, width)
    return _extreme(
        values(one, term, width, endless=endless), requests, one.stretch, width=width, operator=operator
    )


def _worst_quantile(one: Cut, term: Term, *, width: int, operator: Operator, endless: bool) -> Measured:
    """Bisect for the greatest (or least) order statistic of all windows: one exceedance count per step."""
    requests, allowed = _ranks(one, term, width)
    there = requests > 0
    candidates = np.unique(np.concatenate([one.bucket, one.waiting_bucket]))
    if not len(candidates):
        return nothing(NO_REQUEST)
    up, low, high, place = looks_up(operator), 0, len(candidates), int(np.argmax(there))
    while low < high:
        middle = (low + high) // 2
        within = exceeding(one, width, int(candidates[middle]), endless=endless) <= allowed
        beyond = there & ~within if up else there & within
        found = int(np.argmax(beyond)) if beyond.any() else None
        if (found is None) == up:
            high = middle
        else:
            low = middle + 1
        place = place if found is None else found
    value = float(VALUES[candidates[low]]) if low < len(candidates) else math.inf
    first = one.stretch.first + place
    return Measured(value, value, value, requests=int(requests[place]), first=first, last=first + width)


def _ranks(one: Cut, term: Term, width: int) -> tuple[Whole, Whole]:
    """Requests of every window, and how many of them may exceed what its order statistic ceil(q n) does not."""
    requests = windowed(one, width)
    rank = np.maximum(1, np.ceil((term.quantile or 0.0) * requests - 1e-9)).astype(np.int64)
    return requests, requests - rank


def _extreme(
    found: Real, requests: Whole | None, stretch: Stretch, *, width: int, operator: Operator
) -> Measured:
    if np.isnan(found).all():
        return nothing(NO_REQUEST)
    place = int(np.nanargmax(found) if looks_up(operator) else np.nanargmin(found))
    value, first = float(found[place]), stretch.first + place
    behind = 0 if requests is None else int(requests[place])
    return Measured(value, value, value, requests=behind, first=first, last=first + width)


def _levels(frames: Frames, term: Term, stretch: Stretch, width: int) -> Real:
    """A gauge's mean, or the rate offered, in every window."""
    if term.name == "offered_rps":
        due = offered(frames, term, stretch)
        return np.full(1, np.nan) if due is None else _windows(due, width) / (width * SLOT)
    levels = gauge(frames, term, (stretch,))
    return _windows(levels, width) / width if len(levels) == stretch.slots else np.full(1, np.nan)


def _compared(found: Real, operator: Operator, limit: float) -> tuple[Truth, Truth]:
    there = ~np.isnan(found)
    return _COMPARE[operator](np.where(there, found, 0.0), limit) & there, there


def _means(one: Cut, width: int, requests: Real, *, endless: bool) -> Real:
    """The mean latency of every window; endless where a request of it waits and *endless* says so."""
    ended: Column = np.bincount(one.slot, weights=one.count * VALUES[one.bucket], minlength=one.stretch.slots)
    ages = one.waiting_age * one.waiting_count
    waited: Column = np.bincount(one.waiting_slot, weights=ages, minlength=one.stretch.slots)
    means: Real = _windows(ended + waited, width) / requests
    if endless:
        waiting = _waiting_by_slot(one, np.ones(len(one.waiting_slot), dtype=np.bool_))
        means = np.where(_windows(waiting, width) > 0, np.inf, means)
    return means


def _largest(one: Cut, width: int, *, endless: bool) -> Real:
    peaks = np.zeros(one.stretch.slots)
    np.maximum.at(peaks, one.slot, VALUES[one.bucket])
    np.maximum.at(peaks, one.waiting_slot, np.inf if endless else one.waiting_age)
    largest: Real = np.lib.stride_tricks.sliding_window_view(peaks, width).max(axis=1)
    return largest


def _waiting_by_slot(one: Cut, chosen: Truth) -> Real:
    counts = one.waiting_count[chosen].astype(np.float64)
    by_slot: Column = np.bincount(one.waiting_slot[chosen], weights=counts, minlength=one.stretch.slots)
    return by_slot


def _windows(per_slot: Column | Real | Whole, width: int) -> Real:
    sums = np.concatenate([[0], np.cumsum(per_slot)])
    return np.asarray(sums[width:] - sums[:-width], dtype=np.float64)
