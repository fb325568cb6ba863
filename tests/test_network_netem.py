"""Packets late, lost and narrow by netem: exactly as asked, only those that match, and nothing afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
from dataclasses import dataclass

import pytest

from runner.errors import OperationFailed
from runner.faults.network import Reorder
from runner.faults.record import Instance
from runner.operations import round_trip, tc
from runner.operations.kernel import kernel_features
from runner.operations.netem import TABLE
from runner.operations.nft import find_table
from runner.operations.record import CheckNetem, Cut, Match, Netem, NetemGone
from runner.places import Engine, Post
from tests.link_parts import until
from tests.network_parts import OTHER4, OURS4, THEIRS4, THEIRS6, Cable, Here, cable

NOBODY4 = THEIRS4.rsplit(".", 1)[0] + ".77"
HAS_NETEM = os.geteuid() == 0 and "netem" in kernel_features()
in_the_kernel = pytest.mark.skipif(
    not HAS_NETEM, reason="no netem in this kernel: test_stock_kernel.py runs these in one that has it"
)


@dataclass
class Wire:
    """A cable with echoes at both ends, and who holds operations at ours."""

    cable: Cable
    here: Here

    def __getattr__(self, name):
        return getattr(self.cable, name)


@pytest.fixture(scope="module")
def module_wire():
    with cable() as joined, contextlib.ExitStack() as stack:
        joined.theirs.echo(7000, stack)
        joined.theirs.echo(7003, stack)
        joined.ours.echo(7004, stack)
        here = Here(joined.ours)
        stack.callback(here.close)
        yield Wire(joined, here)


@pytest.fixture
def wire(module_wire):
    yield module_wire
    module_wire.here.release()
    assert module_wire.here.do(NetemGone()).ok


@in_the_kernel
@pytest.mark.parametrize("host", [THEIRS4, THEIRS6])
@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_a_delay_is_what_was_asked_within_2_ms(wire, host, direction):
    wanted = 0.08 * (2 if direction == "both" else 1)
    before = min(wire.ours.pings(host, 7000, 40, pause=0.08))
    wire.here.do(Netem(delay=0.08, match=Match(direction=direction)))
    found = min(wire.ours.pings(host, 7000, 40)) - before
    print(
        f"netem {direction} {host}: asked {wanted * 1e3:.1f} ms, measured {found * 1e3:.2f} ms over {before * 1e3:.2f} ms"
    )
    assert abs(found - wanted) < 0.002 * (2 if direction == "both" else 1)
    wire.here.release()
    assert min(wire.ours.pings(host, 7000, 10)) < before + 0.01


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_only_what_matches_is_late(wire, direction):
    wire.here.do(Netem(delay=1.0, match=Match(peers=(THEIRS4,), ports=(7000,), direction=direction)))
    assert wire.ours.trip(THEIRS4, 7000) >= 1.0
    assert wire.ours.trip(THEIRS4, 7003) < 1.0
    assert wire.ours.trip(OTHER4, 7000) < 1.0
    assert wire.ours.trip(THEIRS6, 7000) < 1.0
    assert wire.theirs.trip(OURS4, 7004) < 1.0
    assert wire.ours.trip("127.0.0.1", 7004) < 1.0


@in_the_kernel
def test_it_is_confirmed_by_counters_and_by_a_round_trip(wire):
    match = Match(peers=(THEIRS4,))
    check = CheckNetem(delay=0.05, match=match)
    wire.here.do(Netem(delay=0.05, match=match))
    wire.ours.trip(THEIRS4, 7000)
    until(lambda: wire.here.do(check).ok is not None)
    seen = wire.here.do(check)
    assert seen.ok, seen
    assert "netem passed" in seen.evidence
    assert f"a round trip to {THEIRS4} takes" in seen.evidence
    wire.here.release()
    assert wire.here.do(check).ok is False


def measured(wire, match):
    with wire.ours.entered():
        return round_trip.measured(match)


@pytest.fixture
def gate(monkeypatch):
    """What a measurement waits for."""
    opened, measure = threading.Event(), round_trip._measure
    monkeypatch.setattr(round_trip, "_measure", lambda match: (opened.wait(10), measure(match))[1])
    yield opened
    opened.set()


def measuring():
    return [each for each in threading.enumerate() if "(_run)" in each.name]


def test_a_round_trip_is_known_later_and_its_thread_ends(wire, gate):
    match = Match(peers=(THEIRS4,), ports=(7000,), protocol="tcp")
    for _ in range(2):
        assert measured(wire, match) is None
    assert len(measuring()) == 1
    gate.set()
    until(lambda: measured(wire, match) is not None)
    trip = measured(wire, match)
    assert trip.whom == f"{THEIRS4} port 7000"
    assert 0 < trip.seconds < 1
    round_trip.forget(match)
    until(lambda: not measuring())


def test_what_was_begun_before_it_was_forgotten_is_told_to_nobody(wire, gate):
    match = Match(peers=(THEIRS4,), ports=(7000,), protocol="tcp")
    assert measured(wire, match) is None
    round_trip.forget(match)
    gate.set()
    until(lambda: not measuring())
    gate.clear()
    assert measured(wire, match) is None
    round_trip.forget(match)


def test_who_looks_at_a_round_trip_does_not_wait_for_a_peer_that_is_silent(wire):
    match = Match(peers=(NOBODY4,), ports=(7000,), protocol="tcp")
    began = time.monotonic()
    assert measured(wire, match) is None
    assert time.monotonic() - began < round_trip.PATIENCE / 2
    until(lambda: measured(wire, match) == round_trip.Trip())
    round_trip.forget(match)


def test_a_delay_is_judged_by_a_round_trip_once_there_is_one(wire, gate, monkeypatch):
    counted = {"handle": tc.NETEM, "packets": 5, "drops": 0, "qlen": 0}
    monkeypatch.setattr(tc, "qdiscs", lambda: [counted])
    match = Match(peers=(THEIRS4,), ports=(7000,), protocol="tcp", direction="in")
    check = CheckNetem(delay=0.5, match=match)
    seen = wire.here.do(check)
    assert seen.ok is None
    assert "is being measured" in seen.evidence
    gate.set()
    until(lambda: wire.here.do(check).ok is not None)
    seen = wire.here.do(check)
    assert seen.ok is False
    assert "less than the delay" in seen.evidence
    round_trip.forget(match)
    monkeypatch.undo()  # the fixture reads that nothing is left


@pytest.mark.parametrize("ports", [(), (7000,)])
def test_no_round_trip_is_measured_where_only_some_ports_of_its_own_are_late(wire, monkeypatch, ports):
    """A probe leaves from another port, and is not late."""
    monkeypatch.setattr(tc, "qdiscs", lambda: [{"handle": tc.NETEM, "packets": 5, "drops": 0, "qlen": 0}])
    match = Match(peers=(THEIRS4,), ports=ports, local_ports=(7004,), direction="in")
    check = CheckNetem(delay=0.5, match=match)
    until(lambda: wire.here.do(check).ok is not None)
    seen = wire.here.do(check)
    assert seen.ok is True
    assert seen.evidence == "netem passed 5 packets; no round trip could be measured that it would make late"
    round_trip.forget(match)
    monkeypatch.undo()  # the fixture reads that nothing is left


def test_packets_that_overtake_are_confirmed_by_the_counters_alone(wire, monkeypatch):
    """A packet of ours may be one of those that overtake: a round trip tells nothing."""
    monkeypatch.setattr(tc, "qdiscs", lambda: [{"handle": tc.NETEM, "packets": 5, "drops": 0, "qlen": 0}])
    post = Post(engine=Engine(), image="any", container="c" * 64)
    there = Instance(target="shop", name="shop.0", platform="container", post=post, kernel=("netem", "ifb"))
    fault = Reorder(share=0.5, delay=0.5, direction="up", peers=(THEIRS4,), ports=(7000,))
    (check,) = fault.compile(there).do[0].confirm
    seen = wire.here.do(check)
    assert seen.ok is True
    assert seen.evidence == "netem passed 5 packets"
    assert not measuring()
    monkeypatch.undo()  # the fixture reads that nothing is left


def test_the_tree_is_taken_away_before_a_table_that_another_holds_is_waited_for(wire, monkeypatch):
    holder, take_away, there = wire.holder(), tc.take_away, []
    holder.do(Cut(table=TABLE, match=Match(peers=(NOBODY4,))))

    def taken():
        there.append(find_table(TABLE) is not None)
        holder.signal(signal.SIGKILL)
        return take_away()

    monkeypatch.setattr(tc, "take_away", taken)
    assert wire.here.do(NetemGone()).ok
    assert there == [True]


@in_the_kernel
def test_packets_are_lost_and_counted(wire):
    match = Match(peers=(THEIRS4,))
    wire.here.do(Netem(loss=1.0, match=match))
    assert wire.ours.trip(THEIRS4, 7000, patience=1.0) == "silence"
    seen = wire.here.do(CheckNetem(losses=True, match=match))
    assert seen.ok, seen
    assert "dropped" in seen.evidence


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_rate_is_kept(wire, direction):
    wire.here.do(Netem(rate=100_000, match=Match(direction=direction)))
    seconds = wire.ours.trip(THEIRS4, 7000, patience=20, size=200_000)
    print(f"asked 100 kB/s {direction}, measured {200 / seconds:.0f} kB/s")
    assert 1.8 < seconds < 3.5


@in_the_kernel
@pytest.mark.parametrize(
    "knobs", [{"corrupt": 0.1}, {"duplicate": 0.5}, {"reorder": 0.3, "delay": 0.01}], ids=str
)
def test_tcp_survives_what_is_done_to_its_packets(wire, knobs):
    wire.here.do(Netem(**knobs))
    assert wire.ours.trip(THEIRS4, 7000, patience=20, size=50_000) > 0
    assert wire.here.do(CheckNetem()).ok


@in_the_kernel
@pytest.mark.parametrize("distribution", ["uniform", "normal", "exponential", "pareto"])
def test_jitter_is_spread_as_asked(wire, distribution):
    wire.here.do(Netem(delay=0.04, jitter=0.02, distribution=distribution))
    seen = wire.ours.pings(THEIRS4, 7000, 80)
    least = {"uniform": 0.02, "normal": 0.0, "exponential": 0.04, "pareto": 0.04}[distribution]
    most = {"uniform": 0.035, "normal": 0.035, "exponential": 0.055, "pareto": 0.055}[distribution]
    print(f"asked 40 ± 20 ms {distribution}: measured {min(seen) * 1e3:.1f} to {max(seen) * 1e3:.1f} ms")
    assert least - 0.0005 < min(seen) < most
    assert statistics.pstdev(seen) > 0.005


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_foreign_qdisc_is_refused_and_stays(wire, direction):
    tbf = ["root", "handle", "7:", "tbf", "rate", "1gbit", "burst", "1mb", "latency", "1s"]
    wire.ours.run("tc", "qdisc", "add", "dev", "near", *(tbf if direction == "out" else ["ingress"]))
    before = wire.ours.run("tc", "qdisc", "show")
    try:
        with pytest.raises(OperationFailed, match="not ours"):
            wire.here.do(Netem(delay=0.1, match=Match(direction=direction)))
        assert wire.here.do(NetemGone()).ok
        assert wire.ours.run("tc", "qdisc", "show") == before
    finally:
        wire.ours.run("tc", "qdisc", "del", "dev", "near", "root" if direction == "out" else "ingress")


@in_the_kernel
def test_a_killed_holder_delays_nothing_and_another_takes_the_tree_away(wire):
    before = wire.ours.run("tc", "qdisc", "show")
    holder = wire.holder()
    holder.do(Netem(delay=1.0))
    assert min(wire.ours.pings(THEIRS4, 7000, 1)) >= 1.0
    holder.signal(signal.SIGKILL)
    assert min(wire.ours.pings(THEIRS4, 7000, 5)) < 1.0
    for _ in range(2):
        assert wire.here.do(NetemGone()).ok
    assert wire.ours.run("tc", "qdisc", "show") == before


def test_an_ingress_that_leads_nowhere_yet_goes_with_our_mirror(wire):
    """Where a kernel has no filter for it, or who laid it died in between."""
    before = wire.ours.run("tc", "qdisc", "show")
    wire.ours.run("ip", "link", "add", tc.MIRROR, "type", "ifb")
    wire.ours.run("tc", "qdisc", "add", "dev", "near", "handle", "ffff:", "ingress")
    assert wire.here.do(NetemGone()).ok
    assert wire.ours.run("tc", "qdisc", "show") == before


def test_an_ingress_of_somebody_else_stays_beside_our_mirror(wire):
    wire.ours.run("ip", "link", "add", tc.MIRROR, "type", "ifb")
    wire.ours.run("tc", "qdisc", "add", "dev", "near", "handle", "ffff:", "ingress")
    theirs = ["parent", "ffff:", "protocol", "ip", "u32", "match", "u32", "0", "0", "flowid", "1:1"]
    wire.ours.run("tc", "filter", "add", "dev", "near", *theirs)
    try:
        assert wire.here.do(NetemGone()).ok
        assert "ingress" in wire.ours.run("tc", "qdisc", "show", "dev", "near")
        assert tc.MIRROR not in wire.ours.run("ip", "link")
    finally:
        wire.ours.run("tc", "qdisc", "del", "dev", "near", "ingress")


def test_an_ingress_where_we_never_lay_one_stays_though_it_leads_nowhere(wire):
    wire.ours.run("ip", "link", "add", tc.MIRROR, "type", "ifb")
    wire.ours.run("tc", "qdisc", "add", "dev", "lo", "handle", "ffff:", "ingress")
    try:
        assert wire.here.do(NetemGone()).ok
        assert "ingress" in wire.ours.run("tc", "qdisc", "show", "dev", "lo")
    finally:
        wire.ours.run("tc", "qdisc", "del", "dev", "lo", "ingress")


@in_the_kernel
def test_twice_is_harmless(wire):
    before = wire.ours.run("tc", "qdisc", "show")
    for direction in ("out", "both"):
        wire.here.do(Netem(delay=0.1, match=Match(direction=direction)))
        wire.here.release()
        wire.here.release()
        assert wire.here.do(NetemGone()).ok
    assert wire.ours.run("tc", "qdisc", "show") == before


@pytest.mark.skipif(HAS_NETEM, reason="this kernel has netem")
def test_a_kernel_without_netem_says_so(wire):
    before = wire.ours.run("tc", "qdisc", "show")
    with pytest.raises(OperationFailed, match="lacks netem"):
        wire.here.do(Netem(delay=0.1))
    assert wire.here.do(NetemGone()).ok
    assert wire.here.do(CheckNetem()).ok is False
    assert wire.ours.run("tc", "qdisc", "show") == before
