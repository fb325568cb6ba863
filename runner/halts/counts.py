"""Counts of one term's requests and of the bad ones among them, since a moment on and never forgotten."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from runner.assertions import Term
from runner.live.window import LiveWindow, Row
from runner.load.histogram import bucket, value
from runner.statistics.selection import in_population, is_bad, waiting_in_population


@dataclass(slots=True)
class _Population:
    """The counts of one request name, or of all. *beyond*: the last bucket that is not slow; *overdue*: seconds."""

    beyond: int | None
    overdue: float
    bad: int = 0
    total: int = 0


class Counts:
    """Counts what ended, by name where each is judged by itself, and what is overdue as bad until it ends.

    A request counts once: an overdue one that ends is counted by its outcome instead.
    """

    def __init__(self, term: Term) -> None:
        self._term = term
        self._slow: dict[str, tuple[int | None, float]] = {}
        self._populations: dict[str, _Population] = {}
        self._routes: list[tuple[_Population, bool] | None] = []  # by number of the key
        self._chosen: dict[tuple[str, str], bool] = {}

    def begin(self, names: dict[str, tuple[float | None, float]]) -> None:
        """Say what is bad, by name (empty: of any other): slower than so many seconds (None: errors), and overdue."""
        self._slow = {
            name: (None if slow is None else _last_below(slow), late) for name, (slow, late) in names.items()
        }
        if not self._term.selector.each:
            self._population("")

    @property
    def names(self) -> list[str]:
        """Every name seen so far."""
        return list(self._populations)

    def take(self, window: LiveWindow, news: list[list[Row]], *, not_before: int) -> None:
        """Count new rows that ended in slot *not_before* or later."""
        for load, key in window.keys[len(self._routes) :]:
            chosen = in_population(self._term, load, key)
            self._routes.append((self._population(key.request), is_bad(self._term, key)) if chosen else None)
        for rows in news:
            for end, number, place, count in rows:
                route = self._routes[number]
                if route is None or end < not_before:
                    continue
                population, failed = route
                population.total += count
                if failed if population.beyond is None else place > population.beyond:
                    population.bad += count

    def now(self, window: LiveWindow, who: str) -> tuple[float, float]:
        """Bad and all requests so far, with those that are overdue now."""
        own = self._populations[who]
        late = 0
        for (load, request), waiting in window.waiting().items():
            if self._chooses(load, request) and (not who or request == who):
                late += sum(count for age, count in waiting if age > own.overdue)
        return float(own.bad + late), float(own.total + late)

    def notice_waiting(self, window: LiveWindow) -> None:
        """Of each, a request that never got an answer is a name too."""
        if self._term.selector.each:
            for load, request in window.waiting():
                if self._chooses(load, request):
                    self._population(request)

    def _chooses(self, load: str, request: str) -> bool:
        if (load, request) not in self._chosen:
            self._chosen[load, request] = waiting_in_population(self._term, load, request)
        return self._chosen[load, request]

    def _population(self, request: str) -> _Population:
        name = request if self._term.selector.each else ""
        if name not in self._populations:
            beyond, overdue = self._slow.get(name, self._slow[""])
            self._populations[name] = _Population(beyond, overdue)
        return self._populations[name]


@functools.lru_cache(maxsize=256)
def _last_below(seconds: float) -> int:
    """The last bucket whose value is not above *seconds*."""
    if math.isinf(seconds):
        return 1 << 16
    near = bucket(seconds)
    return near if value(near) <= seconds else near - 1
