"""What the runner tells a load worker, and the worker's first words back."""

from __future__ import annotations

import msgspec


class TimedStage(msgspec.Struct, frozen=True):
    """The level of one worker goes linearly from *level_from* to *level_to* between two moments.

    Moments are seconds since the run's anchor; *end* None: at *level_to* until the stop.
    Levels are this worker's share: users, or arrivals per second, of the load divided by its number of workers.
    """

    start: float
    end: float | None
    level_from: float
    level_to: float


class Prepare(msgspec.Struct, frozen=True, tag="prepare"):
    """The first order: import this locustfile; nothing is sent to the target yet."""

    load: str
    worker: int
    workers: int
    locustfile: str
    classes: tuple[str, ...]
    host: str | None
    model: str  # rate | users
    labels: dict[str, str]
    anchor: float  # the run's anchor on the monotonic clock


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Make load as these stages say, in their own time."""

    stages: tuple[TimedStage, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Begin nothing new; give users *grace* seconds to finish their task; send the final chunk."""

    grace: float


Order = Prepare | Begin | Stop


class Hello(msgspec.Struct, frozen=True):
    """The worker is ready, or *refused* says in one line why it cannot be."""

    classes: tuple[str, ...] = ()
    refused: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Order)


def write_order(order: Order) -> bytes:
    """One order is one line of JSON."""
    return _encoder.encode(order) + b"\n"


def read_order(line: bytes) -> Order:
    order: Order = _decoder.decode(line)
    return order
