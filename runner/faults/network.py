"""Faults of the network of a container or a pod: packets are lost, broken, doubled, out of order, or stay away."""

from __future__ import annotations

from typing import ClassVar

from runner.faults.packets import (
    CUT,
    SHAPE,
    THERE,
    Direction,
    check_peers,
    check_share,
    chosen,
    cut,
    matching,
    shaped,
    unsuited_choice,
)
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import suited
from runner.operations.record import Match, Netem
from runner.units import Duration, Share, written


class _NetworkFault(Fault, frozen=True, kw_only=True):
    """Packets between an instance and its *peers* (IPs or networks; none: everybody).

    *ports* are those of the peers, *local_ports* its own. A wire has its peers and port already. Loopback is never
    hurt. *direction*: `down` is what the serving end sends (the container or pod itself, of a wire the peers), `up` what comes
    to it, `both` each.
    """

    platforms: ClassVar[frozenset[str]] = THERE

    peers: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    local_ports: tuple[int, ...] = ()
    direction: Direction = "down"

    def unsuited(self, platform: str) -> str:
        return unsuited_choice(platform, self.peers, self.ports, self.local_ports)

    def _match(self, instance: Instance) -> Match:
        suited(self, instance)
        return matching(
            instance, self.direction, peers=self.peers, ports=self.ports, local_ports=self.local_ports
        )

    def _to(self) -> str:
        return chosen(self.peers, self.ports, self.local_ports)


class _Spoilt(_NetworkFault, frozen=True, kw_only=True):
    """A *share* of the packets meets with something."""

    property: ClassVar[str] = SHAPE

    share: Share

    def __post_init__(self) -> None:
        check_peers(self.peers, self.ports, self.local_ports)
        check_share(self.share)

    def does(self) -> str:
        return f"{self._verb} {written('share', self.share)} of the packets{self._to()}"

    _verb: ClassVar[str] = ""


class Loss(_Spoilt, frozen=True, kw_only=True, tag="loss"):
    """A *share* of the packets is lost."""

    _verb: ClassVar[str] = "lose"

    def compile(self, instance: Instance) -> Steps:
        return shaped(instance, "loss", Netem(loss=self.share, match=self._match(instance)), losses=True)


class Corrupt(_Spoilt, frozen=True, kw_only=True, tag="corrupt"):
    """A *share* of the packets has one bit turned; what checks sums drops them."""

    _verb: ClassVar[str] = "break"

    def compile(self, instance: Instance) -> Steps:
        return shaped(instance, "corrupt", Netem(corrupt=self.share, match=self._match(instance)))


class Duplicate(_Spoilt, frozen=True, kw_only=True, tag="duplicate"):
    """A *share* of the packets arrives twice."""

    _verb: ClassVar[str] = "double"

    def compile(self, instance: Instance) -> Steps:
        return shaped(instance, "duplicate", Netem(duplicate=self.share, match=self._match(instance)))


class Reorder(_Spoilt, frozen=True, kw_only=True, tag="reorder"):
    """A *share* of the packets overtakes the others, which all are *delay* late."""

    _verb: ClassVar[str] = "reorder"

    delay: Duration = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.delay <= 60:
            raise ValueError(f"delay is {written('duration', self.delay)}; it must lie between 0s and 1m")
        if self.share == 1:
            raise ValueError("share is 100%: then nobody overtakes anybody; write for example share: 25%")

    def compile(self, instance: Instance) -> Steps:
        netem = Netem(reorder=self.share, delay=self.delay, match=self._match(instance))
        return shaped(instance, "reorder", netem)

    def does(self) -> str:
        return f"{super().does()}, the others {written('duration', self.delay)} late"


class Partition(_NetworkFault, frozen=True, kw_only=True, tag="partition"):
    """Nothing passes between an instance and its *peers*: both ways, all protocols, without a word."""

    property: ClassVar[str] = CUT

    direction: Direction = "both"

    def __post_init__(self) -> None:
        check_peers(self.peers, self.ports, self.local_ports)

    def compile(self, instance: Instance) -> Steps:
        return cut(instance, "partition", self._match(instance), how="drop")

    def does(self) -> str:
        return f"cut it off{self._to() or ' from everybody'}"
