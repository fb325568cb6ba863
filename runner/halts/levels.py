"""The current level of a term of the load, as halts see it: what ended lately, and what is overdue."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.assertions import WHOLE_RUN, Operator, Term
from runner.live.window import LiveWindow, Row
from runner.load.frames import SLOT
from runner.load.histogram import bucket, value
from runner.statistics.comparison import holds
from runner.statistics.selection import (
    OF_SHARES,
    in_population,
    is_bad,
    waiting_in_population,
)
from runner.statistics.tally import Tally

LATELY = 5.0  # seconds that a rule looks back where `over` does not say
ENOUGH = 20  # requests that a share, quantile, mean or max needs
_bucket = functools.lru_cache(maxsize=8192)(bucket)  # several rules ask for the same ages
_LATENCIES = frozenset({"quantile", "mean", "max"})

Waiting = tuple[float, int]  # seconds that they have waited at least, how many


@dataclass(frozen=True, slots=True)
class Level:
    """What a term stands at. *value* None: too little to tell. *who*: the request or instance, where it is one of several."""

    value: float | None
    requests: int = 0
    who: str = ""


class LoadTerm:
    """Follows one term: a tally for all its requests, or one for each."""

    def __init__(self, term: Term, over: float | None) -> None:
        self.term, self.seconds = term, LATELY if over is None else math.inf if over >= WHOLE_RUN else over
        self.tallies: dict[str, Tally] = {} if term.selector.each else {"": Tally(self.seconds)}
        self._routes: list[tuple[Tally, bool] | None] = []  # by number of the key
        self._chosen: dict[tuple[str, str], bool] = {}  # load, request -> is a waiting one of this term

    def take(self, window: LiveWindow, news: list[list[Row]], *, not_before: int) -> None:
        """Count new rows that ended in slot *not_before* or later, and forget old ones."""
        for load, key in window.keys[len(self._routes) :]:
            chosen = in_population(self.term, load, key)
            self._routes.append((self._tally(key.request), is_bad(self.term, key)) if chosen else None)
        for rows in news:
            for end, number, place, count in rows:
                route = self._routes[number]
                if route is not None and end >= not_before:
                    route[0].add(end, place, count, bad=route[1])
        right = window.edge()
        for tally in self.tallies.values():
            tally.forget_before(right)

    def waiting(self, window: LiveWindow, who: str) -> list[Waiting]:
        """The requests without an answer that are of this term."""
        found: list[Waiting] = []
        for (load, request), waiting in window.waiting().items():
            if self._chooses(load, request) and (not who or request == who):
                found += waiting
        return found

    def names(self, window: LiveWindow) -> list[str]:
        """What is judged each by itself; of `each`, also requests that never got an answer."""
        if not self.term.selector.each:
            return [""]
        for load, request in window.waiting():
            if self._chooses(load, request):
                self._tally(request)
        return list(self.tallies)

    def level(
        self, window: LiveWindow, who: str, operator: Operator, limit: float | None, *, since: float
    ) -> Level:
        """The level now. A waiting request counts once it is overdue: older than a latency's limit, or, as an
        error, than the whole window. *since*: rules look at nothing earlier.
        """
        tally, name = self.tallies[who], self.term.name
        if name in _LATENCIES:
            return self._latency(tally, who, overdue(self.waiting(window, who), operator, limit), limit)
        if name in OF_SHARES:
            return self._share(tally, who, self.waiting(window, who))
        if name == "in_flight":
            return Level(sum(count for _, count in self.waiting(window, who)), who=who)
        if name == "users":
            return Level(window.users(self.term.selector.load), who=who)
        return self._count(window, tally, who, operator, since=since)

    def breached_at(
        self, window: LiveWindow, who: str, operator: Operator, limit: float, *, at: float
    ) -> float:
        """When the first response that tipped it ended, or became overdue; *at* for terms that no response tips."""
        term, tally = self.term, self.tallies[who]
        marks = [
            (slot * SLOT, count, self._tips(term, place, bad, operator, limit))
            for slot, found in tally.by_slot.items()
            for place, count, bad in found
        ]
        after = limit if term.name in _LATENCIES else self._patience
        newest = max((worker.at for worker in window.workers.values()), default=at)
        marks += [
            (newest - age + after, count, True) for age, count in self.waiting(window, who) if age >= after
        ]
        requests = bad = 0
        for moment, count, tips in sorted(marks):
            requests, bad = requests + count, bad + (count if tips else 0)
            if requests >= ENOUGH and self._tipped(requests, bad, operator, limit):
                return moment
        return at

    @property
    def _patience(self) -> float:
        """Seconds after which a request without an answer counts as an error."""
        return LATELY if math.isinf(self.seconds) else self.seconds

    def _chooses(self, load: str, request: str) -> bool:
        if (load, request) not in self._chosen:
            self._chosen[load, request] = waiting_in_population(self.term, load, request)
        return self._chosen[load, request]

    def _tally(self, request: str) -> Tally:
        name = request if self.term.selector.each else ""
        return self.tallies.get(name) or self.tallies.setdefault(name, Tally(self.seconds))

    def _latency(self, tally: Tally, who: str, late: list[Waiting], limit: float | None) -> Level:
        requests = tally.requests + sum(count for _, count in late)
        if requests < ENOUGH:
            return Level(None, requests, who)
        if self.term.name == "quantile":
            return Level(self._quantile(tally, late, requests, limit), requests, who)
        if self.term.name == "max":
            return Level(max([tally.largest() or 0.0, *(age for age, _ in late)]), requests, who)
        seconds = (tally.mean() or 0.0) * tally.requests + math.fsum(age * count for age, count in late)
        return Level(seconds / requests, requests, who)

    def _quantile(
        self, tally: Tally, late: list[Waiting], requests: int, limit: float | None
    ) -> float | None:
        """Overdue requests are all above the limit: an order statistic below it is among what ended."""
        q = self.term.quantile or 0.0
        ended = tally.at_rank(max(1, math.ceil(q * requests - 1e-9)))
        if not late or (ended is not None and limit is not None and ended <= limit):
            return ended
        buckets: dict[int, int] = {}
        for age, count in late:
            place = _bucket(age)
            buckets[place] = buckets.get(place, 0) + count
        return tally.quantile(q, buckets)

    def _share(self, tally: Tally, who: str, waiting: list[Waiting]) -> Level:
        hung = sum(count for age, count in waiting if age >= self._patience)
        requests = tally.requests + hung
        if requests < ENOUGH:
            return Level(None, requests, who)
        errors = (tally.errors + hung) / requests
        return Level(errors if self.term.name == "error_rate" else 1 - errors, requests, who)

    def _count(
        self, window: LiveWindow, tally: Tally, who: str, operator: Operator, *, since: float
    ) -> Level:
        """Rates and counts. Too few are only too few once a whole window has been seen."""
        right = window.edge()
        if operator not in {">", ">="} and right * SLOT - since < min(self.seconds, 1e9):
            return Level(None, who=who)
        if self.term.name == "errors":
            return Level(tally.errors, tally.requests, who)
        ended = tally.complete(right)
        if self.term.name == "requests":
            return Level(ended, ended, who)
        if self.term.name == "offered_rps":
            return Level(window.offered_rate(self.seconds, self.term.selector.load), who=who)
        passed = min(self.seconds, max(right * SLOT - since, SLOT))
        return Level(ended / passed, ended, who)

    def _tips(self, term: Term, place: int, bad: bool, operator: Operator, limit: float) -> bool:
        if term.name in _LATENCIES:
            return holds(operator, value(place), limit)
        return bad

    def _tipped(self, requests: int, bad: int, operator: Operator, limit: float) -> bool:
        match self.term.name:
            case "quantile":
                return requests - bad < max(1, math.ceil((self.term.quantile or 0.0) * requests - 1e-9))
            case "max":
                return bad > 0
            case "error_rate":
                return holds(operator, bad / requests, limit)
            case "success_rate":
                return holds(operator, 1 - bad / requests, limit)
            case _:
                return False


def overdue(waiting: Sequence[Waiting], operator: Operator, limit: float | None) -> list[Waiting]:
    """Of requests without an answer those that already exceed what a rule allows a latency to be."""
    if limit is None or operator not in {">", ">="}:
        return []
    return [(age, count) for age, count in waiting if age > limit]
