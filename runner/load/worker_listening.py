"""Locust's events, heard: every request that ends, and every exception of user code, becomes a count."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import gevent
import locust

from runner.load.naming import OTHER, error_text
from runner.load.recording import Cells
from runner.load.worker_inflight import Flight, InFlight, Visit, request_of

MAX_TRACEBACKS = 20  # distinct ones of a worker's life
MAX_TRACEBACK_TEXT = 2000

_OURS = (str(Path(locust.__file__).parent), str(Path(__file__).parent))


class Listener:
    """Count what Locust's events say, and what they leave out (worker_inflight.Losses)."""

    def __init__(self, cells: Cells, labels: dict[str, str]) -> None:
        self._cells = cells
        self._labels = [(label, source.removeprefix("header").strip()) for label, source in labels.items()]
        self._places: dict[tuple[Any, ...], str] = {}
        self._tracebacks: Counter[str] = Counter()
        self.inflight = InFlight(self)

    def listen(self, events: Any) -> None:
        """Hear each request first: a listener of the locustfile may stop its user by raising."""
        events.request._handlers.insert(0, self.on_request)  # noqa: SLF001  # add_listener only appends
        events.user_error.add_listener(self.on_user_error)

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None = None,
        response: Any = None,
        exception: BaseException | str | None = None,
        flight: Flight | None = None,
        **_: Any,
    ) -> None:
        """Count a request that Locust has judged."""
        visit = self.inflight.visits.get(gevent.getcurrent())
        if flight is not None:
            if visit is None or not _take_unjudged(visit, flight):
                return  # counted by its status already
        elif visit is not None and visit.flight is not None and visit.flight.method == request_type:
            flight, visit.flight = visit.flight, None
        begun, latency = _timing(flight, visit, response_time)
        code = getattr(response, "status_code", 0) or 0
        error = "" if exception is None else error_text(exception, code)
        labels = self._labels_of(response) if self._labels and response is not None else ()
        self._cells.count((request_type, name), code, error, labels, begun, latency)
        if visit is not None:
            visit.failed = bool(error)

    def on_user_error(
        self, user_instance: Any, exception: BaseException, tb: TracebackType | None, **_: Any
    ) -> None:
        """Count an exception of user code once.

        As the error of the requests that it left without a verdict; else, unless the last request had failed
        already (that is counted), as the request `TASK function` since the task's start.
        """
        self._note_traceback(exception, tb)
        visit = self.inflight.here()
        text = error_text(exception)
        for flight, response in visit.unjudged:
            self._count_flight(flight, response, text)
        if not visit.unjudged and not visit.failed:
            name = _function_of(tb) or type(user_instance).__name__
            self._cells.count(("TASK", name), 0, text, (), visit.began, monotonic() - visit.began)
        visit.unjudged.clear()
        visit.failed, visit.due = False, None

    def broke_off(self, flight: Flight, error: BaseException) -> None:
        method, _, name = request_of(flight).partition(" ")
        latency = monotonic() - flight.intended
        self._cells.count((method, name), 0, error_text(error), (), flight.intended, latency)

    def left_unjudged(self, flight: Flight, response: Any) -> None:
        code = response.status_code or 0
        failed = response.request_meta.get("exception")
        error = error_text(failed, code) if failed else "" if 0 < code < 400 else f"status {code}"
        self._count_flight(flight, response, error)

    def take_tracebacks(self) -> dict[str, int]:
        taken, self._tracebacks = self._tracebacks, Counter()
        return dict(taken)

    def _count_flight(self, flight: Flight, response: Any, error: str) -> None:
        meta = response.request_meta
        begun, latency = _timing(flight, None, meta.get("response_time"))
        request = (flight.method, request_of(flight).partition(" ")[2])
        self._cells.count(
            request, response.status_code or 0, error, self._labels_of(response), begun, latency
        )

    def _labels_of(self, response: Any) -> tuple[str, ...]:
        """Read the labels from the answer's headers, else from those of its request."""
        found = []
        for label, header in self._labels:
            for message in (response, getattr(response, "request", None)):
                headers = getattr(message, "headers", None)
                value = headers.get(header) if headers else None
                if value is not None:
                    found.append(f"{label}={str(value)[:100]}")
                    break
        return tuple(found)

    def _note_traceback(self, exception: BaseException, tb: TracebackType | None) -> None:
        """Count the text of an exception; it is only formatted once for each place that raises it."""
        place = _place_of(exception, tb)
        text = self._places.get(place)
        if text is None:
            if len(self._places) >= MAX_TRACEBACKS:
                text = OTHER
            else:
                text = "".join(traceback.format_exception(type(exception), exception, _user_code(tb) or tb))[
                    -MAX_TRACEBACK_TEXT:
                ]
                self._places[place] = text
                print(text, flush=True)  # into the log, once
        self._tracebacks[text] += 1


def _timing(flight: Flight | None, visit: Visit | None, response_time: float | None) -> tuple[float, float]:
    """When a request began (was intended), and its latency since then, in seconds."""
    latency = (response_time or 0.0) / 1000
    if flight is not None:
        return flight.intended, latency + (flight.sent - flight.intended)
    begun = now = monotonic()
    begun -= latency
    if visit is not None and visit.due is not None:  # an arrival whose client is not one of Locust's two
        begun, visit.due = visit.due, None
    return begun, now - begun


def _take_unjudged(visit: Visit, flight: Flight) -> bool:
    for index, (waiting, _) in enumerate(visit.unjudged):
        if waiting is flight:
            del visit.unjudged[index]
            return True
    return False


def _place_of(exception: BaseException, tb: TracebackType | None) -> tuple[Any, ...]:
    lines = []
    while tb is not None:
        lines.append((tb.tb_frame.f_code, tb.tb_lineno))
        tb = tb.tb_next
    return (type(exception), *lines[-3:])


def _function_of(tb: TracebackType | None) -> str:
    """Name the outermost function of user code: the task."""
    tb = _user_code(tb)
    return tb.tb_frame.f_code.co_qualname if tb is not None else ""


def _user_code(tb: TracebackType | None) -> TracebackType | None:
    """Leave out the outer frames that are Locust's and ours."""
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_OURS):
        tb = tb.tb_next
    return tb
