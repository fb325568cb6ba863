"""The load worker: a process around Locust that takes orders from one pipe and tells through another what it saw."""

from __future__ import annotations

import locust  # isort: skip  # noqa: F401  # first of all: gevent patches the standard library before anything holds on to it

import gc
import logging
import os
import resource
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from time import monotonic, process_time
from typing import Any, Protocol

import gevent
import msgspec
from locust.runners import STATE_CLEANUP, STATE_STOPPED

from runner.load.frames import SLOT, Chunk, pack
from runner.load.orders import Begin, Hello, Prepare, Stop, TimedStage
from runner.load.recording import Cells, Pace, slot_of
from runner.load.worker_arrivals import Arrivals
from runner.load.worker_listening import Listener
from runner.load.worker_locustfile import UnloadableError, load
from runner.load.worker_users import Users
from runner.load.worker_wire import Wire

FAREWELL = 2.0  # seconds that the locustfile's test_stop and quitting listeners may take


class Model(Protocol):
    """How load is made: closed (Users) or open (Arrivals)."""

    def begin(self, stages: Sequence[TimedStage]) -> None: ...
    def drain(self) -> None: ...
    def take_pace(self, at: float, /) -> Pace: ...

    @property
    def present(self) -> int: ...

    @property
    def failure(self) -> BaseException | None: ...


class Worker:
    """Make the load of one order and tell of it every slot."""

    def __init__(self, order: Prepare, environment: Any, wire: Wire) -> None:
        self._order, self._environment, self._wire = order, environment, wire
        self._cells = Cells(order.anchor)
        self._listener = Listener(self._cells, order.labels)
        self._model = self._model_of(order)
        self._sequence = 0
        self._begun = False
        self._cpu, self._told_at = process_time(), monotonic()

    def run(self) -> None:
        """Follow orders until the last chunk is written."""
        self._listener.inflight.wrap()
        self._listener.listen(self._environment.events)
        grace, problem = self._work()
        self._model.drain()
        deadline = monotonic() + grace
        while self._model.present and monotonic() < deadline:
            gevent.sleep(0.01)
            self._tell_if_due()
        self._tell(final=True, problem=problem)
        while self._wire.busy:
            gevent.sleep(0.001)

    def _model_of(self, order: Prepare) -> Model:
        if order.model == "users":
            return Users(self._environment, anchor=order.anchor, worker=order.worker, workers=order.workers)
        phase = (order.worker + 0.5) / order.workers
        return Arrivals(self._environment, self._listener.inflight, anchor=order.anchor, phase=phase)

    def _work(self) -> tuple[float, str]:
        """Make load until told to stop: the grace; or until the locustfile stops it: the problem."""
        while True:
            order = self._wire.next_order(timeout=max(0.001, self._due_in()))
            match order:
                case Begin():
                    gevent.spawn(self._begin, order.stages)
                case Stop():
                    return order.grace, ""
            if self._environment.runner.state in (STATE_CLEANUP, STATE_STOPPED):
                return 0.0, "the locustfile ended the load itself (runner.quit or runner.stop)"
            if self._model.failure is not None:
                return 0.0, f"the load could not go on: {self._model.failure!r}; see its log"
            self._tell_if_due()

    def _begin(self, stages: Sequence[TimedStage]) -> None:
        """Let the locustfile's test_start listeners end first, as Locust does."""
        runner = self._environment.runner
        if not self._begun:  # else these stages take the place of earlier ones
            self._begun = True
            runner.start(0, spawn_rate=1)
            runner.spawning_greenlet.join()
        self._model.begin(stages)

    def _due_in(self) -> float:
        """Seconds to the next edge of a slot."""
        since_edge = (monotonic() - self._order.anchor) % SLOT
        return SLOT - since_edge

    def _tell_if_due(self) -> None:
        """Tell once a slot; while the last chunk is still on its way, gather on instead."""
        before, now = self._told_at - self._order.anchor, monotonic() - self._order.anchor
        if slot_of(now) > slot_of(before) and not self._wire.busy:
            self._tell()

    def _tell(self, *, final: bool = False, problem: str = "") -> None:
        now, cpu = monotonic(), process_time()
        at = now - self._order.anchor
        if final:
            self._listener.inflight.settle_all()
        else:
            self._listener.inflight.forget_dead()
        if self._cells.take_overflow():
            self._sequence += 1  # a gap: counts were lost
        pace = self._model.take_pace(at)
        chunk = Chunk(
            load=self._order.load,
            worker=self._order.worker,
            sequence=self._sequence,
            at=at,
            watermark=slot_of(at),
            rows=self._cells.take_rows(),
            pending=self._pending(),
            keys=self._cells.keys.take_fresh(),
            offered=sorted(pace.offered.items()),
            started=sorted(pace.started.items()),
            lag=(len(pace.lags), sum(pace.lags, 0.0), max(pace.lags, default=0.0)),
            cpu=(cpu - self._cpu) / max(now - self._told_at, 1e-6),
            users=pace.present,
            dropped=pace.dropped,
            tracebacks=self._listener.take_tracebacks(),
            final=final,
            problem=problem,
        )
        self._cells.frozen = final
        self._cpu, self._told_at, self._sequence = cpu, now, self._sequence + 1
        self._wire.send(pack(chunk))

    def _pending(self) -> list[tuple[int, str, int]]:
        admit, slot = self._cells.keys.requests.admit, self._cells.slot
        waiting = Counter(
            (slot(begun), admit(request)) for begun, request in self._listener.inflight.pending()
        )
        return [(begun, request, count) for (begun, request), count in sorted(waiting.items())]


def main() -> int:
    """Run as `worker FRAMES`: the number of the pipe for chunks; orders come from stdin."""
    wire = Wire(int(sys.argv[1]))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for loud in ("locust.user.task", "locust.user.users", "locust.runners"):
        logging.getLogger(loud).setLevel(
            logging.CRITICAL
        )  # tracebacks are counted and shown once, by Listener
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a user is a connection
    order = wire.next_order(timeout=None)
    assert isinstance(order, Prepare)
    try:
        environment = load(order)
    except UnloadableError as refusal:
        _say(wire, Hello(refused=str(refusal)))
        return 2
    gc.freeze()  # what is loaded by now stays: no collection has to walk it
    worker = Worker(order, environment, wire)
    _say(wire, Hello(classes=tuple(user_class.__name__ for user_class in environment.user_classes)))
    worker.run()
    _farewell(environment)
    return 0


def _say(wire: Wire, hello: Hello) -> None:
    body = msgspec.msgpack.encode(hello)
    wire.send(len(body).to_bytes(4, "little") + body)
    while wire.busy:
        gevent.sleep(0.001)


def _farewell(environment: Any) -> None:
    """Let the locustfile's listeners know that it is over; what is still under way is killed."""
    with gevent.Timeout(FAREWELL, exception=False):
        environment.runner.quit()
        environment.events.quitting.fire(environment=environment, reverse=True)


def _run() -> int:
    try:
        return main()
    except Exception:  # noqa: BLE001  # whatever it is, the log has to show it before the process ends
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    status = _run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # no waiting for threads or greenlets of user code
