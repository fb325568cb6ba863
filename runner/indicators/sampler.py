"""The schedule of indicators: a thread for each, so that a slow probe never delays another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

from runner.clock import now
from runner.errors import ProbeFailed, Refused
from runner.faults.record import Instance
from runner.indicators.probe import Probe, Reading
from runner.plan_record import Plan
from runner.scenario import Connection, Indicator
from runner.timeline import Sample

_LONGEST_REASON = 300  # characters


class Sampler:
    """Reads indicators at their `every`, from `start` to `stop`; every failure becomes a Sample with its error.

    *emit* is called on the indicators' threads, never after `stop` has returned. *at* gives the seconds since
    the run's anchor. Raises Refused where an indicator cannot be read at all (no connection, no token).
    """

    def __init__(
        self,
        indicators: Sequence[Indicator],
        connections: Mapping[str, Connection],
        *,
        instances: Callable[[str], Sequence[Instance]],
        at: Callable[[], float],
        emit: Callable[[Sample], None],
        run: str = "",
    ) -> None:
        self._rounds = [
            _Round(indicator, probe_of(indicator, connections, instances, run), at, emit)
            for indicator in indicators
        ]

    @classmethod
    def of(
        cls,
        plan: Plan,
        *,
        instances: Callable[[str], Sequence[Instance]],
        at: Callable[[], float],
        emit: Callable[[Sample], None],
    ) -> Sampler:
        """All indicators of a plan: the scenario's own, or what the environment has in their place."""
        own = plan.scenario.indicators  # those of the environment are among them
        connections = plan.environment.connections
        return cls(own, connections, instances=instances, at=at, emit=emit, run=plan.run)

    def start(self) -> None:
        """Begin to read, all at once."""
        for each in self._rounds:
            each.start()

    def stop(self, patience: float = 1.0) -> None:
        """End it: nothing is emitted any more, commands are killed; a probe that hangs is left behind."""
        for each in self._rounds:
            each.end()
        deadline = now() + patience
        for each in self._rounds:
            each.join(max(0.0, deadline - now()))


def probe_of(
    indicator: Indicator,
    connections: Mapping[str, Connection],
    instances: Callable[[str], Sequence[Instance]],
    run: str = "",
) -> Probe:
    """Make the probe that reads *indicator*. Raises Refused where it lacks a connection, a token or a measure."""
    match indicator.source:
        case "prometheus":
            from runner.indicators.prometheus import PrometheusProbe  # noqa: PLC0415 — requests is slow to import

            connection = connections.get("prometheus")
            if connection is None:
                raise Refused(
                    f"{_where(indicator)}: no Prometheus is known; add connections: {{prometheus: {{url: …}}}} "
                    "to the environment"
                )
            return PrometheusProbe(indicator, connection.url, _token(indicator, connection))
        case "http":
            from runner.indicators.http import HttpProbe  # noqa: PLC0415 — requests is slow to import

            return HttpProbe(indicator)
        case "command":
            from runner.indicators.command import CommandProbe  # noqa: PLC0415 — only where one is asked for

            return CommandProbe(indicator, run)
        case "process":
            from runner.indicators.process import LifeProbe, ProcessProbe  # noqa: PLC0415 — psutil is slow to import

            if indicator.measure in ("restarts", "available"):
                return LifeProbe(indicator, instances)
            return ProcessProbe(indicator, instances)


class _Round:
    """One indicator's thread: an absolute schedule, slots missed by a slow reading are left out."""

    def __init__(
        self, indicator: Indicator, probe: Probe, at: Callable[[], float], emit: Callable[[Sample], None]
    ) -> None:
        self._indicator, self._probe, self._at, self._emit = indicator, probe, at, emit
        self._ended = threading.Event()
        self._emitting = threading.Lock()
        self._thread = threading.Thread(target=self._go, name=f"indicator {indicator.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        with self._emitting:
            self._ended.set()
        self._probe.close()

    def join(self, patience: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _go(self) -> None:
        began, every = now(), self._indicator.every
        slot = 0
        while not self._ended.wait(max(0.0, began + slot * every - now())):
            self._publish(self._read())
            slot = max(slot + 1, int((now() - began) / every) + 1)

    def _read(self) -> list[Reading]:
        try:
            return self._probe.read()
        except ProbeFailed as failed:
            return [Reading(error=str(failed))]
        except Exception as error:  # noqa: BLE001 — whatever a probe runs into is no data, never a dead thread
            return [Reading(error=f"{type(error).__name__}: {error}")]

    def _publish(self, readings: list[Reading]) -> None:
        with self._emitting:
            if self._ended.is_set():
                return
            for reading in readings:
                self._emit(_sample(self._indicator.name, reading, self._at()))


def _sample(indicator: str, reading: Reading, at: float) -> Sample:
    return Sample(
        at=at,
        indicator=indicator,
        instance=reading.instance,
        value=reading.value,
        bad=reading.bad,
        valid=reading.valid,
        total=reading.total,
        buckets=reading.buckets,
        error=reading.error[:_LONGEST_REASON],
    )


def _token(indicator: Indicator, connection: Connection) -> str:
    if not connection.token_env:
        return ""
    token = os.environ.get(connection.token_env, "")
    if not token:
        raise Refused(
            f"{_where(indicator)}: ${connection.token_env} is not set; it holds the token of Prometheus"
        )
    return token


def _where(indicator: Indicator) -> str:
    return f"{indicator.place}: indicators.{indicator.name}"
