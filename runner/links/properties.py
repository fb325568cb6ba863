"""What can be wrong with a link: each property a frozen record of its knobs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Direction = Literal["down", "up", "both"]
PARETO_SHAPE = 3.0  # a heavy tail whose mean and variance still exist


class Property(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """*share*: the part of the connections that it hurts; the same *seed* chooses and delays alike."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: float = 0  # JSON knows one kind of number


class Latency(Property, frozen=True, kw_only=True):
    """Every chunk arrives later by *delay* and some jitter; the order stays.

    *direction*: `down` delays what the upstream sends, so that a round trip costs *delay* once. `up` delays what
    the client sends, `both` each, so that a round trip costs it twice. Opening a connection costs nothing extra.
    *jitter* by *distribution*: uniform within delay ± jitter; normal with that standard deviation;
    exponential and pareto never below delay, jitter more on average, pareto with the heavier tail.
    """

    delay: Seconds
    jitter: Seconds = 0.0
    distribution: Literal["uniform", "normal", "exponential", "pareto"] = "uniform"
    direction: Direction = "down"

    def draws(self) -> Callable[[], float]:
        """Make the source of delays, in seconds, never negative."""
        delay, jitter = self.delay, self.jitter
        chance = random.Random(self.seed)  # noqa: S311 — repeatable on purpose
        if not jitter:
            return lambda: delay
        match self.distribution:
            case "uniform":
                return lambda: max(0.0, delay + jitter * (2.0 * chance.random() - 1.0))
            case "normal":
                return lambda: max(0.0, chance.gauss(delay, jitter))
            case "exponential":
                return lambda: delay + chance.expovariate(1.0 / jitter)
        lomax = PARETO_SHAPE - 1.0  # the mean of paretovariate(a) - 1 is 1 / (a - 1)
        return lambda: delay + jitter * lomax * (chance.paretovariate(PARETO_SHAPE) - 1.0)


class Bandwidth(Property, frozen=True, kw_only=True):
    """The link carries *rate* bytes per second in each direction, shared by all its connections."""

    rate: Annotated[float, msgspec.Meta(gt=0)]

    @property
    def portion(self) -> int:
        """Bytes to take at once: 10 ms worth, so that connections take turns."""
        return max(512, min(1 << 16, math.ceil(self.rate * 0.01)))


class Blackhole(Property, frozen=True, kw_only=True):
    """Connections are accepted and never answered; what comes from either side is swallowed.

    After it, a connection that lost bytes cannot be whole again: it is reset, so that its client learns at once.
    One that lost nothing goes on.
    """


class Reset(Property, frozen=True, kw_only=True):
    """Connections, old and new, are reset *after* seconds (0: an old one now, a new one when accepted)."""

    after: Seconds = 0.0


class Refuse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New connections are refused as if nobody listened; open ones stay."""


class SlowClose(Property, frozen=True, kw_only=True):
    """The end of either side's stream arrives *delay* seconds late."""

    delay: Seconds


AnyProperty = Latency | Bandwidth | Blackhole | Reset | Refuse | SlowClose
Value = dict[str, float | str | bool]

KINDS: dict[str, type[AnyProperty]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "blackhole": Blackhole,
    "reset": Reset,
    "refuse": Refuse,
    "slow_close": SlowClose,
}


def read_property(name: str, value: Value) -> AnyProperty:
    """Type the knobs of property *name*. Raises ValueError, which says what is wrong."""
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise ValueError(f"a link has no property {name!r}; it has {known}")
    try:
        return msgspec.convert(value, KINDS[name])
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from None
