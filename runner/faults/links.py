"""Faults of links: the network between two parts is slow, narrow, silent, or says no."""

from __future__ import annotations

from typing import ClassVar, Literal

from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import socket_of
from runner.operations.record import CheckLink, LinkSet
from runner.units import Bandwidth as BytesPerSecond
from runner.units import Duration, Share, written

Value = dict[str, float | str | bool]
LONGEST = 3600.0  # seconds of delay; a link holds what it delays


class _LinkFault(Fault, frozen=True, kw_only=True):
    """One property of a link, set and healed."""

    platforms: ClassVar[frozenset[str]] = frozenset({"link"})

    def compile(self, instance: Instance) -> Steps:
        socket = socket_of(instance, self.property)
        value = self._value()
        link, name = instance.name, self.property
        again = (instance.spawn,) if instance.spawn is not None else ()  # a proxy that hangs is replaced
        heal = LinkSet(link=link, socket=socket, property=name, expect=value, replace=bool(again))
        return Steps(
            do=(LinkSet(link=link, socket=socket, property=name, value=value),),
            undo=(heal, *again),
            confirm=(CheckLink(link=link, socket=socket, property=name),),
            expiry=True,
        )

    def _value(self) -> Value:
        raise NotImplementedError


class Latency(_LinkFault, frozen=True, kw_only=True, tag="latency"):
    """Answers arrive *delay* later, give or take *jitter*, on *share* of the connections.

    *direction*: `down` delays what the upstream sends (a round trip costs *delay* once), `up` what the client
    sends, `both` each. *distribution* of the jitter: uniform within delay ± jitter; normal with that standard
    deviation; exponential and pareto never below delay, jitter more on average, pareto with the heavier tail.
    """

    property: ClassVar[str] = "latency"

    delay: Duration
    jitter: Duration = 0.0
    distribution: Literal["uniform", "normal", "exponential", "pareto"] = "uniform"
    direction: Literal["down", "up", "both"] = "down"
    share: Share = 1.0

    def __post_init__(self) -> None:
        _check_delay("delay", self.delay)
        _check_delay("jitter", self.jitter)
        _check_share(self.share)
        if self.delay == 0 and self.jitter == 0:
            raise ValueError("delay is 0 and so is jitter: that hurts nobody; write for example delay: 80ms")

    def does(self) -> str:
        jitter = f" ± {written('duration', self.jitter)} {self.distribution}" if self.jitter else ""
        direction = "" if self.direction == "down" else f" ({self.direction})"
        return f"delay {written('duration', self.delay)}{jitter}{direction}{_of(self.share)}"

    def _value(self) -> Value:
        return {
            "delay": self.delay,
            "jitter": self.jitter,
            "distribution": self.distribution,
            "direction": self.direction,
            "share": self.share,
        }


class Bandwidth(_LinkFault, frozen=True, kw_only=True, tag="bandwidth"):
    """The link carries *rate* in each direction, shared by all its connections."""

    property: ClassVar[str] = "bandwidth"

    rate: BytesPerSecond

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("rate must be more than 0; for silence use the kind blackhole")

    def does(self) -> str:
        return f"at most {written('bandwidth', self.rate)}"

    def _value(self) -> Value:
        return {"rate": self.rate}


class Blackhole(_LinkFault, frozen=True, kw_only=True, tag="blackhole"):
    """Connections, old and new, stay open and are never answered; *share* of them."""

    property: ClassVar[str] = "blackhole"

    share: Share = 1.0

    def __post_init__(self) -> None:
        _check_share(self.share)

    def does(self) -> str:
        return f"accept and never answer{_of(self.share)}"

    def _value(self) -> Value:
        return {"share": self.share}


class Reset(_LinkFault, frozen=True, kw_only=True, tag="reset"):
    """Connections, old and new, are reset (RST) *after* a while; *share* of them."""

    property: ClassVar[str] = "reset"

    after: Duration = 0.0
    share: Share = 1.0

    def __post_init__(self) -> None:
        _check_delay("after", self.after)
        _check_share(self.share)

    def does(self) -> str:
        after = f" after {written('duration', self.after)}" if self.after else ""
        return f"reset connections{after}{_of(self.share)}"

    def _value(self) -> Value:
        return {"after": self.after, "share": self.share}


class Refuse(_LinkFault, frozen=True, kw_only=True, tag="refuse"):
    """New connections are refused as if nobody listened; open ones stay."""

    property: ClassVar[str] = "refuse"

    def does(self) -> str:
        return "refuse new connections"

    def _value(self) -> Value:
        return {}


class SlowClose(_LinkFault, frozen=True, kw_only=True, tag="slow_close"):
    """The end of either side's stream arrives *delay* late, on *share* of the connections."""

    property: ClassVar[str] = "slow_close"

    delay: Duration
    share: Share = 1.0

    def __post_init__(self) -> None:
        _check_delay("delay", self.delay)
        _check_share(self.share)
        if self.delay == 0:
            raise ValueError("delay is 0: that hurts nobody; write for example delay: 2s")

    def does(self) -> str:
        return f"closes arrive {written('duration', self.delay)} late{_of(self.share)}"

    def _value(self) -> Value:
        return {"delay": self.delay, "share": self.share}


def _check_delay(name: str, seconds: float) -> None:
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{name} is {written('duration', seconds)}; it must lie between 0s and 1h")


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share is {written('share', share)}; it must be more than 0% and at most 100%")


def _of(share: float) -> str:
    return "" if share == 1 else f", {written('share', share)} of the connections"
