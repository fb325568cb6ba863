"""Requests on their way: a table that sees them from the send, wrapped around Locust's two HTTP clients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, NamedTuple, Protocol

import gevent
from locust.clients import HttpSession, requests
from locust.contrib.fasthttp import FastHttpSession
from locust.user.task import TaskSet

MAX_UNJUDGED = 100  # answered requests of one greenlet whose with-block has not ended


class Flight(NamedTuple):
    """One request under way. *intended* is earlier than *sent* for the first one of an arrival."""

    sent: float
    intended: float
    session: Any
    method: str
    url: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class Visit:
    """What one greenlet is doing: its arrival or task, its request, its answers without a verdict yet."""

    __slots__ = ("began", "due", "failed", "flight", "task", "unjudged")

    def __init__(self, due: float | None = None, task: str = "") -> None:
        self.due = due  # intended start of an arrival that has sent nothing yet
        self.task = task
        self.began = monotonic() if due is None else due
        self.flight: Flight | None = None
        self.unjudged: list[tuple[Flight, Any]] = []
        self.failed = False  # its last request was an error


class Losses(Protocol):
    """Who is told of requests that Locust reports to nobody."""

    def broke_off(self, flight: Flight, error: BaseException) -> None:
        """The client raised instead of answering."""

    def left_unjudged(self, flight: Flight, response: Any) -> None:
        """The answer came, but its with-block never said how it was."""


class InFlight:
    """All visits of this worker."""

    def __init__(self, losses: Losses) -> None:
        self.visits: dict[Any, Visit] = {}
        self._losses = losses
        self._originals = (HttpSession.request, FastHttpSession.request, TaskSet.execute_next_task)

    def wrap(self) -> None:
        """See every request of this process from its send."""
        http, fast, execute = self._originals
        HttpSession.request = self._seeing(http)
        FastHttpSession.request = self._seeing(fast)
        TaskSet.execute_next_task = self._timing(execute)

    def here(self) -> Visit:
        """The visit of the running greenlet."""
        greenlet = gevent.getcurrent()
        visit = self.visits.get(greenlet)
        if visit is None:
            visit = self.visits[greenlet] = Visit()
        return visit

    def pending(self) -> Iterator[tuple[float, str]]:
        """Intended start and request of everything without an answer; also arrivals that have sent nothing yet."""
        for visit in self.visits.values():
            if visit.flight is not None:
                yield visit.flight.intended, request_of(visit.flight)
            elif visit.due is not None:
                yield visit.due, f"TASK {visit.task}"

    def settle(self, visit: Visit) -> None:
        """Judge by their status the answers whose with-block will say nothing any more."""
        for flight, response in visit.unjudged:
            self._losses.left_unjudged(flight, response)
        visit.unjudged.clear()

    def forget(self, greenlet: Any) -> None:
        """A greenlet is done: nothing of it is under way any more."""
        visit = self.visits.pop(greenlet, None)
        if visit is None:
            return
        if visit.flight is not None:
            self._losses.broke_off(visit.flight, gevent.GreenletExit("killed by the locustfile"))
        self.settle(visit)

    def forget_dead(self) -> None:
        for greenlet in [greenlet for greenlet in self.visits if greenlet.dead]:
            self.forget(greenlet)

    def settle_all(self) -> None:
        for visit in self.visits.values():
            self.settle(visit)

    def _seeing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        visits, getcurrent, losses = self.visits, gevent.getcurrent, self._losses

        def request(session: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            greenlet = getcurrent()
            visit = visits.get(greenlet)
            if visit is None:
                visit = visits[greenlet] = Visit()
            sent = monotonic()
            due, visit.due = visit.due, None
            flight = Flight(
                sent, sent if due is None else min(due, sent), session, method, url, arguments, options
            )
            visit.flight = flight
            try:
                response = original(session, method, url, *arguments, **options)
            except gevent.GreenletExit:
                raise  # killed at the stop: it stays pending
            except BaseException as error:
                if visit.flight is flight:
                    visit.flight, visit.failed = None, True
                    losses.broke_off(flight, error)
                raise
            if visit.flight is flight:  # no event yet: the with-block will judge it
                visit.flight = None
                self._await_verdict(visit, flight, response)
            return response

        return request

    def _await_verdict(self, visit: Visit, flight: Flight, response: Any) -> None:
        response.request_meta["flight"] = flight  # comes back with the event
        visit.unjudged.append((flight, response))
        if len(visit.unjudged) > MAX_UNJUDGED:
            self._losses.left_unjudged(*visit.unjudged.pop(0))

    def _timing(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        here = self.here

        def execute_next_task(taskset: Any) -> Any:
            here().began = monotonic()
            return original(taskset)

        return execute_next_task


def request_of(flight: Flight) -> str:
    """Name a request as Locust will when it has ended."""
    arguments, options, session = flight.arguments, flight.options, flight.session
    name = (arguments[0] if arguments else options.get("name")) or session.request_name
    if not name and isinstance(session, FastHttpSession):
        name = flight.url
    elif not name:
        url, parameters = session._build_url(flight.url), options.get("params")  # noqa: SLF001  # as Locust does it
        name = _path(url, str(parameters or ""), _Unhashed(parameters))
    return f"{flight.method} {name}"


class _Unhashed:
    """Carry parameters past the cache, which goes by their text."""

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(4096)
def _path(url: str, _text: str, carried: _Unhashed) -> str:
    """Build the path and query that requests will send: HttpUser's name of a request without one."""
    try:
        return str(requests.Request("GET", url, params=carried.parameters).prepare().path_url)
    except (requests.RequestException, ValueError):
        return url
