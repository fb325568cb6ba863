"""Operations in a network namespace, as values: they are performed in that of the hand, or of a helper."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from runner.operations.record_base import BaseOperation


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which packets a network operation hurts; empty fields match all. Addresses are IPs or networks, v4 or v6.

    *direction* `out`: what leaves the namespace towards *peers* and *ports* (theirs); `in`: what comes from them,
    `both`: each. *local_ports*: ports of the target's own side. Loopback is never hurt.
    """

    peers: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    local_ports: tuple[int, ...] = ()
    protocol: Literal["", "tcp", "udp", "icmp"] = ""
    direction: Literal["out", "in", "both"] = "out"


class Netem(BaseOperation, frozen=True, kw_only=True, tag="netem"):
    """Put a qdisc tree of ours (handle 5c00:) under every device but lo of this network namespace.

    Seconds, shares (0 to 1) and bytes per second. A foreign root qdisc is refused, never replaced.
    """

    holds: ClassVar[bool] = True

    match: Match = Match()
    delay: float = 0.0
    jitter: float = 0.0
    distribution: Literal["uniform", "normal", "exponential", "pareto"] = "uniform"
    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    rate: float = 0.0
    share: float = 1.0  # of the connections, in what leaves


class NetemGone(BaseOperation, frozen=True, kw_only=True, tag="netem-gone"):
    """Take our qdisc tree away; verified by reading. What is not ours is left alone."""


class CheckNetem(BaseOperation, frozen=True, kw_only=True, tag="check-netem"):
    """Read our qdiscs: True where their counters moved, None where nothing passed yet, False where they are not there."""

    delay: float = 0.0  # with it the effect is measured too, where a peer of *match* answers, and no local ports are meant
    jitter: float = 0.0
    losses: bool = False  # it is to drop packets: that it does is what confirms it
    match: Match = Match()


class Cut(BaseOperation, frozen=True, kw_only=True, tag="cut"):
    """Cut packets by nftables while the hand lives: a table with `flags owner`, elements with `timeout`, renewed.

    *how*: `drop` loses them, `reject` answers that nobody listens (new connections only), `reset` answers every
    TCP packet with RST, established connections included. *share*: of the packets or the connections, as *of* says;
    reject and reset always take whole connections.
    """

    holds: ClassVar[bool] = True

    table: str  # its name is ours: squall_...
    how: Literal["drop", "reject", "reset"] = "drop"
    match: Match = Match()
    share: float = 1.0
    of: Literal["packets", "connections"] = "packets"
    timeout: float = 2.0


class Serve(BaseOperation, frozen=True, kw_only=True, tag="serve"):
    """Redirect a port to a responder of ours in this namespace while the hand lives (an owned nftables table).

    *what* `dns`: answers queries for *names* (globs; empty: all) with *answer*: nxdomain, servfail, timeout or an IP.
    *what* `http`: a proxy in front of the local *port*: *answer* is JSON of delay, status, abort, path, method, share.
    """

    holds: ClassVar[bool] = True

    table: str
    what: Literal["dns", "http"]
    port: int = 53
    names: tuple[str, ...] = ()
    answer: str = ""


class TableGone(BaseOperation, frozen=True, kw_only=True, tag="table-gone"):
    """Make sure that a table of ours is not there (its owner dead), and its connections' tracking entries neither."""

    table: str


class CheckTable(BaseOperation, frozen=True, kw_only=True, tag="check-table"):
    """Read our table's counters: True where they moved, None where nothing passed yet, False where it is not there."""

    table: str
