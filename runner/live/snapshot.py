"""What the live view shows of a moment, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request of the last five seconds."""

    request: str
    rps: float
    error_rate: float
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class IndicatorReading:
    """The newest good sample of an indicator; *value* None where there is none, *error* what its probe said last."""

    name: str
    instance: str
    value: float | None
    unit: str
    age: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class HaltReading:
    """How near a halt rule is to tripping. *value* None: too little to judge by; *limit* None: not armed yet.

    A rule with a confidence trips when its evidence is what is needed, whatever its value is.
    """

    rule: str
    value: float | None
    limit: float | None
    unit: str
    tripping: bool = False
    log10_evidence: float | None = None
    log10_needed: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the live view shows: the last five seconds before *at*. Shares and quantiles are None without data."""

    at: float
    begins_at: float | None  # when the load begins
    rps: float
    error_rate: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    in_flight: int
    users: int
    offered: float | None  # arrivals per second; None where no load has an open model
    requests: tuple[RequestRow, ...] = ()  # busiest first
    indicators: tuple[IndicatorReading, ...] = ()
    halts: tuple[HaltReading, ...] = ()
