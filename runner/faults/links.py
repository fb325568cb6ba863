"""Faults of links: the network between two parts is slow, narrow, silent, or says no.

On a link of ours the proxy does it. On a container, a pod, or the wire from one to its peers, a helper does it to packets.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from runner.faults.packets import (
    CUT,
    SHAPE,
    THERE,
    Direction,
    check_peers,
    chosen,
    cut,
    matching,
    shaped,
    unsuited_choice,
)
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import socket_of, suited
from runner.operations.record import CheckLink, LinkSet, Match, Netem
from runner.units import Bandwidth as BytesPerSecond
from runner.units import Duration, Share, written

Value = dict[str, float | str | bool]
LONGEST = 3600.0  # seconds of delay; a link holds what it delays
LONGEST_THERE = 60.0  # of a packet: nobody waits longer for one


class _LinkFault(Fault, frozen=True, kw_only=True):
    """One property of a link, set and healed."""

    platforms: ClassVar[frozenset[str]] = frozenset({"link"})

    def compile(self, instance: Instance) -> Steps:
        if instance.platform not in THERE:
            return self._at_link(instance)
        suited(self, instance)
        return self._there(instance)

    def _at_link(self, instance: Instance) -> Steps:
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

    def _there(self, instance: Instance) -> Steps:
        raise NotImplementedError

    def _value(self) -> Value:
        raise NotImplementedError


class _WireFault(_LinkFault, frozen=True, kw_only=True):
    """The same to packets of a container or pod: with *peers* (IPs or networks; none: everybody) at their *ports*,
    at its own *local_ports*. A link and a wire have their peers already.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"link"}) | THERE
    of_packets: ClassVar[str] = CUT

    peers: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    local_ports: tuple[int, ...] = ()

    def owns(self, platform: str) -> str:
        return self.property if platform == "link" else self.of_packets

    def unsuited(self, platform: str) -> str:
        return unsuited_choice(platform, self.peers, self.ports, self.local_ports)

    def _match(self, instance: Instance, direction: Direction = "both") -> Match:
        return matching(instance, direction, peers=self.peers, ports=self.ports, local_ports=self.local_ports)

    def _whose(self) -> str:
        return chosen(self.peers, self.ports, self.local_ports)

    def _check_peers(self) -> None:
        check_peers(self.peers, self.ports, self.local_ports)


class Latency(_WireFault, frozen=True, kw_only=True, tag="latency"):
    """Answers arrive *delay* later, give or take *jitter*, on *share* of the connections.

    *direction*: `down` delays what the upstream sends (a round trip costs *delay* once), `up` what the client
    sends, `both` each. A container or pod is the upstream of its clients; of a wire the peers are. *distribution* of the jitter: uniform within delay ± jitter; normal with that standard
    deviation; exponential and pareto never below delay, jitter more on average, pareto with the heavier tail.
    Packets are late by netem, so opening a connection is too; *share* needs packets that leave.
    """

    property: ClassVar[str] = "latency"
    of_packets: ClassVar[str] = SHAPE

    delay: Duration
    jitter: Duration = 0.0
    distribution: Literal["uniform", "normal", "exponential", "pareto"] = "uniform"
    direction: Direction = "down"
    share: Share = 1.0

    def __post_init__(self) -> None:
        self._check_peers()
        _check_delay("delay", self.delay)
        _check_delay("jitter", self.jitter)
        _check_share(self.share)
        if self.delay == 0 and self.jitter == 0:
            raise ValueError("delay is 0 and so is jitter: that hurts nobody; write for example delay: 80ms")

    def does(self) -> str:
        jitter = f" ± {written('duration', self.jitter)} {self.distribution}" if self.jitter else ""
        direction = "" if self.direction == "down" else f" ({self.direction})"
        return f"delay {written('duration', self.delay)}{jitter}{direction}{_of(self.share)}{self._whose()}"

    def unsuited(self, platform: str) -> str:
        if platform != "link" and max(self.delay, self.jitter) > LONGEST_THERE:
            return "packets can be late by at most 1m; for silence use the kind blackhole"
        if (
            platform != "link"
            and self.share < 1
            and self.direction != ("up" if platform == "wire" else "down")
        ):
            leaves = "up" if platform == "wire" else "down"
            return f"a share of the connections can be late only in what leaves: write direction: {leaves}"
        return super().unsuited(platform)

    def _there(self, instance: Instance) -> Steps:
        netem = Netem(
            match=self._match(instance, self.direction),
            delay=self.delay,
            jitter=self.jitter,
            distribution=self.distribution,
            share=self.share,
        )
        return shaped(instance, "latency", netem)

    def _value(self) -> Value:
        return {
            "delay": self.delay,
            "jitter": self.jitter,
            "distribution": self.distribution,
            "direction": self.direction,
            "share": self.share,
        }


class Bandwidth(_WireFault, frozen=True, kw_only=True, tag="bandwidth"):
    """The link carries *rate* in each direction, shared by all its connections.

    Of packets *direction* says which: `down` is what a container or pod sends, or the peers of a wire.
    """

    property: ClassVar[str] = "bandwidth"
    of_packets: ClassVar[str] = SHAPE

    rate: BytesPerSecond
    direction: Direction = "both"

    def __post_init__(self) -> None:
        self._check_peers()
        if self.rate <= 0:
            raise ValueError("rate must be more than 0; for silence use the kind blackhole")

    def does(self) -> str:
        direction = "" if self.direction == "both" else f" ({self.direction})"
        return f"at most {written('bandwidth', self.rate)}{direction}{self._whose()}"

    def unsuited(self, platform: str) -> str:
        if platform == "link" and self.direction != "both":
            return "a link is narrow in both directions: leave direction out"
        return super().unsuited(platform)

    def _there(self, instance: Instance) -> Steps:
        return shaped(
            instance, "bandwidth", Netem(rate=self.rate, match=self._match(instance, self.direction))
        )

    def _value(self) -> Value:
        return {"rate": self.rate}


class Blackhole(_WireFault, frozen=True, kw_only=True, tag="blackhole"):
    """Connections, old and new, stay open and are never answered; *share* of them.

    On a container, a pod and a wire their packets are lost both ways, so that new ones are never opened.
    """

    property: ClassVar[str] = "blackhole"

    share: Share = 1.0

    def __post_init__(self) -> None:
        self._check_peers()
        _check_share(self.share)

    def does(self) -> str:
        return f"accept and never answer{_of(self.share)}{self._whose()}"

    def _there(self, instance: Instance) -> Steps:
        return cut(
            instance, "blackhole", self._match(instance), how="drop", share=self.share, of="connections"
        )

    def _value(self) -> Value:
        return {"share": self.share}


class Reset(_WireFault, frozen=True, kw_only=True, tag="reset"):
    """Connections, old and new, are reset (RST) *after* a while; *share* of them."""

    property: ClassVar[str] = "reset"

    after: Duration = 0.0
    share: Share = 1.0

    def __post_init__(self) -> None:
        self._check_peers()
        _check_delay("after", self.after)
        _check_share(self.share)

    def does(self) -> str:
        after = f" after {written('duration', self.after)}" if self.after else ""
        return f"reset connections{after}{_of(self.share)}{self._whose()}"

    def unsuited(self, platform: str) -> str:
        if platform != "link" and self.after:
            return "packets are answered with RST at once: leave out `after`"
        return super().unsuited(platform)

    def _there(self, instance: Instance) -> Steps:
        return cut(instance, "reset", self._match(instance), how="reset", share=self.share)

    def _value(self) -> Value:
        return {"after": self.after, "share": self.share}


class Refuse(_WireFault, frozen=True, kw_only=True, tag="refuse"):
    """New connections are refused as if nobody listened; open ones stay."""

    property: ClassVar[str] = "refuse"

    def __post_init__(self) -> None:
        self._check_peers()

    def does(self) -> str:
        return f"refuse new connections{self._whose()}"

    def _there(self, instance: Instance) -> Steps:
        return cut(instance, "refuse", self._match(instance), how="reject")

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
