"""Packets made late, lost, broken, doubled or narrow by netem, while a hand holds the table that picks them."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.errors import OperationFailed
from runner.operations import round_trip, spread, tc
from runner.operations.nft import OwnedTable, alive, find_table, remove_table
from runner.operations.nft_rules import Network, mark_table, read_peers
from runner.operations.record import CheckNetem, Match, Netem, Reading

TABLE = "squall_netem"
LIFETIME = 5.0  # seconds that packets go on being picked when nobody renews it
PACKETS = 100_000  # that a netem holds at most: a second of gigabit Ethernet
_SHARED = "/dev/shm"  # noqa: S108 - a folder of random name is made in it
_UNLIMITED = 10_000_000_000  # bytes per second; a rate, however high, keeps packets in their order


class Shaped:
    """Our qdiscs, and the table that picks packets for them: without it they hurt nobody."""

    def __init__(self, operation: Netem) -> None:
        self._match, self._table = operation.match, None
        out = operation.match.direction in ("out", "both")
        into = operation.match.direction in ("in", "both")
        tc.take_away()
        names = tc.devices()
        if not names:
            raise OperationFailed(
                "this network namespace has no device but loopback: there is nothing to shape"
            )
        tc.refuse_foreign(tc.qdiscs(), names, coming=into)
        try:
            with _tables(operation) as (folder, unit):
                netem = arguments(operation, unit)
                if out:
                    for name in names:
                        tc.lay(name, netem, folder)
                if into:
                    tc.lay_mirror(names, netem, filters(operation.match), folder)
            if out:
                text = mark_table(TABLE, operation.match, tc.HURT, share=operation.share)
                self._table = OwnedTable(TABLE, text, LIFETIME)
        except BaseException:
            self.release()
            raise

    _table: OwnedTable | None

    @property
    def reading(self) -> Reading:
        """What the qdiscs say."""
        return check_netem(CheckNetem(match=self._match))

    def tick(self) -> float:
        """Let packets be picked further on."""
        return self._table.tick() if self._table else 60.0

    def release(self) -> None:
        """Pick no packet any more, then take the qdiscs away."""
        round_trip.forget(self._match)
        if self._table:
            self._table.release()
        tc.take_away()


def netem_gone() -> Reading:
    """Take our tree away and read that it is gone. First the tree: without it a table that others hold hurts nobody."""
    taken = tc.take_away()
    table = remove_table(TABLE)
    if left := tc.left():
        return Reading(ok=False, evidence=f"our qdisc is still there on {', '.join(left)}")
    if not table.ok:
        return table
    what = f"our qdiscs are gone from {', '.join(taken)}" if taken else "no qdisc of ours is here"
    return Reading(evidence=what)


def check_netem(operation: CheckNetem) -> Reading:
    """Read the counters of our netems, and with a delay the time of a round trip to a peer that matches."""
    found = [each for each in tc.qdiscs() if each["handle"] == tc.NETEM]
    if not found:
        return Reading(ok=False, evidence="no netem of ours is here")
    picks = operation.match.direction == "in" or alive(find_table(TABLE))
    if not picks:
        return Reading(ok=False, evidence="netem is set, but nothing leads packets to it any more")
    packets, drops = (sum(each[key] for each in found) for key in ("packets", "drops"))
    waiting = sum(each["qlen"] for each in found)
    if not packets + drops + waiting:
        seen = Reading(ok=None, evidence="netem is set, but nothing passed by that it could have hurt")
    else:
        lost = f", dropped {drops:,}" if drops or operation.losses else ""
        struck = drops > 0 or not operation.losses
        seen = Reading(ok=struck or None, evidence=f"netem passed {packets + waiting:,} packets{lost}")
    if not operation.delay:
        return seen
    return _with_round_trip(seen, operation)


def _with_round_trip(seen: Reading, operation: CheckNetem) -> Reading:
    """Ask the second witness: a packet of ours to a peer."""
    trip = round_trip.measured(operation.match)
    if trip is None:
        return Reading(ok=None, evidence=f"{seen.evidence}; a round trip is being measured")
    if not trip.whom:
        said = f"{seen.evidence}; no round trip could be measured that it would make late"
        return Reading(ok=seen.ok, evidence=said)
    both = 2 if operation.match.direction == "both" else 1
    said = f"{seen.evidence}; a round trip to {trip.whom} takes {trip.seconds * 1e3:.1f} ms"
    if trip.seconds < (operation.delay - operation.jitter) * both * 0.9:
        return Reading(ok=False, evidence=f"{said}, less than the delay")
    return Reading(evidence=said)


@contextlib.contextmanager
def _tables(operation: Netem) -> Iterator[tuple[str, float]]:
    """Give tc the table of a distribution for a moment: its folder, and the jitters that its unit stands for."""
    if not operation.jitter or operation.distribution == "uniform":
        yield "", 1.0
        return
    unit, text = spread.table(operation.distribution)
    place = _SHARED if os.access(_SHARED, os.W_OK) else None  # a helper's other folders are read-only
    with tempfile.TemporaryDirectory(prefix="squall-", dir=place) as folder:
        Path(folder, "squall.dist").write_text(text, encoding="ascii")
        yield folder, unit


def arguments(operation: Netem, unit: float = 1.0) -> str:
    """Write the knobs as netem's arguments. *unit*: jitters that one unit of the distribution's table stands for."""
    words = [f"limit {PACKETS}"]
    if operation.delay or operation.jitter:
        words.append(f"delay {_us(operation.delay)}")
        if operation.jitter:
            spreads = "" if operation.distribution == "uniform" else " distribution squall"
            words.append(f"{_us(operation.jitter * unit)}{spreads}")
    shares = {"loss": operation.loss, "corrupt": operation.corrupt, "duplicate": operation.duplicate}
    words += [f"{name} {share * 100:.6f}%" for name, share in shares.items() if share]
    if operation.reorder:
        if not operation.delay:
            raise OperationFailed("packets are reordered by overtaking those that wait: give a delay too")
        words.append(f"reorder {operation.reorder * 100:.6f}%")
    rate = operation.rate or (0.0 if not operation.jitter or operation.reorder else _UNLIMITED)
    if rate:
        words.append(f"rate {round(rate * 8)}bit")
    return " ".join(words)


def _us(seconds: float) -> str:
    return f"{round(seconds * 1e6)}us"


def filters(match: Match) -> list[str]:
    """What comes in and matches, as filters of tc; IP options and extension headers are not looked behind."""
    return [text for four in (True, False) for text in _filters(match, read_peers(match.peers), four=four)]


def _filters(match: Match, peers: list[Network], *, four: bool) -> Iterator[str]:
    family, word, icmp = ("ip", "ip", "1") if four else ("ipv6", "ip6", "58")
    theirs = [f"match {word} src {peer}" for peer in peers if (peer.version == 4) is four]
    numbers = {"tcp": ["6"], "udp": ["17"], "icmp": [icmp]}.get(
        match.protocol, ["6", "17"] if match.ports or match.local_ports else []
    )
    choices = (
        theirs if peers else [""],
        [f"match {word} protocol {number} 0xff" for number in numbers] or [""],
        [f"match {word} sport {port} 0xffff" for port in match.ports] or [""],
        [f"match {word} dport {port} 0xffff" for port in match.local_ports] or [""],
    )
    for parts in itertools.product(*choices):
        yield f"protocol {family} u32 {' '.join(part for part in parts if part) or 'match u32 0 0'}"
