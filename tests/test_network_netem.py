"""Packets late, lost and narrow by netem: exactly as asked, only those that match, and nothing afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys

import pytest

from runner.operations.kernel import kernel_features
from runner.operations.record import CheckNetem, Match, Netem, NetemGone
from tests.network_parts import OTHER4, OURS4, THEIRS4, THEIRS6, ask, cable, cannot

HAS_NETEM = os.geteuid() == 0 and "netem" in kernel_features()
in_the_kernel = pytest.mark.skipif(
    not HAS_NETEM, reason="no netem in this kernel: the last test runs these in one that has"
)


@pytest.fixture
def wire():
    with cable() as joined:
        joined.server(joined.theirs)
        yield joined


def trips(talker, number=15):
    for _ in range(3):
        ask(talker)
    return [float(ask(talker)) for _ in range(number)]


def added(wire, host, netem, number=15):
    """By how much the median round trip grows, in seconds."""
    talker, holder = wire.talker(wire.ours, host, "7000", "5"), wire.holder()
    before = statistics.median(trips(talker, number))
    holder.do(netem)
    after = statistics.median(trips(talker, number))
    holder.release()
    assert holder.do(NetemGone())[0].ok
    healed = statistics.median(trips(talker, number))
    assert healed < before + 0.01
    return after - before


@in_the_kernel
@pytest.mark.parametrize("host", [THEIRS4, THEIRS6])
@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_a_delay_is_what_was_asked_within_2_ms(wire, host, direction):
    wanted = 0.08 * (2 if direction == "both" else 1)
    found = added(wire, host, Netem(delay=0.08, match=Match(direction=direction)))
    print(f"netem {direction} {host}: asked {wanted * 1e3:.1f} ms, measured {found * 1e3:.2f} ms")
    assert abs(found - wanted) < 0.002


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_only_what_matches_is_late(wire, direction):
    wire.server(wire.theirs, port=7003)
    wire.server(wire.ours, port=7004)
    holder = wire.holder()
    holder.do(Netem(delay=0.3, match=Match(peers=(THEIRS4,), ports=(7000,), direction=direction)))

    def late(room, host, port):
        return float(wire.client(room, host, port, "5")) > 0.25

    assert late(wire.ours, THEIRS4, "7000")
    assert not late(wire.ours, THEIRS4, "7003")
    assert not late(wire.ours, OTHER4, "7000")
    assert not late(wire.ours, THEIRS6, "7000")
    assert not late(wire.theirs, OURS4, "7004")
    assert not late(wire.ours, "127.0.0.1", "7004")


@in_the_kernel
def test_it_is_confirmed_by_counters_and_by_a_round_trip(wire):
    holder, match = wire.holder(), Match(peers=(THEIRS4,))
    holder.do(Netem(delay=0.05, match=match))
    wire.client(wire.ours, THEIRS4, "7000", "5")
    (seen,) = holder.do(CheckNetem(delay=0.05, match=match))
    assert seen.ok, seen
    assert "netem passed" in seen.evidence
    assert f"a round trip to {THEIRS4} takes 5" in seen.evidence
    holder.release()
    (gone,) = holder.do(CheckNetem(delay=0.05, match=match))
    assert gone.ok is False


@in_the_kernel
def test_packets_are_lost_and_counted(wire):
    holder = wire.holder()
    holder.do(Netem(loss=1.0, match=Match(peers=(THEIRS4,))))
    assert wire.client(wire.ours, THEIRS4, "7000", "0.5") == "silence"
    (seen,) = holder.do(CheckNetem(losses=True, match=Match(peers=(THEIRS4,))))
    assert seen.ok, seen
    assert "dropped" in seen.evidence


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_rate_is_kept(wire, direction):
    holder = wire.holder()
    holder.do(Netem(rate=200_000, match=Match(direction=direction)))
    seconds = float(wire.client(wire.ours, THEIRS4, "7000", "20", "200000"))
    print(f"200 kB at 200 kB/s {direction}: {seconds:.2f} s")
    assert 0.8 < seconds < 2.0


@in_the_kernel
@pytest.mark.parametrize("knobs", [{"corrupt": 0.1}, {"duplicate": 0.5}, {"reorder": 0.3, "delay": 0.01}])
def test_tcp_survives_what_is_done_to_its_packets(wire, knobs):
    holder = wire.holder()
    holder.do(Netem(**knobs))
    assert float(wire.client(wire.ours, THEIRS4, "7000", "20", "50000")) > 0
    assert holder.do(CheckNetem())[0].ok


@in_the_kernel
@pytest.mark.parametrize("distribution", ["uniform", "normal", "exponential", "pareto"])
def test_jitter_is_spread_as_asked(wire, distribution):
    holder, talker = wire.holder(), wire.talker(wire.ours, THEIRS4, "7000", "5")
    holder.do(Netem(delay=0.05, jitter=0.01, distribution=distribution))
    seen = trips(talker, 60)
    least = {"uniform": 0.04, "normal": 0.01, "exponential": 0.05, "pareto": 0.05}[distribution]
    mean = 0.06 if distribution in ("exponential", "pareto") else 0.05
    assert min(seen) > least - 0.001
    assert abs(statistics.mean(seen) - mean) < 0.008
    assert statistics.pstdev(seen) > 0.002


@in_the_kernel
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_foreign_qdisc_is_refused_and_stays(wire, direction):
    if direction == "out":
        wire.ours.run(
            "tc",
            "qdisc",
            "add",
            "dev",
            "near",
            "root",
            "handle",
            "7:",
            "tbf",
            "rate",
            "1gbit",
            "burst",
            "1mb",
            "latency",
            "1s",
        )
    else:
        wire.ours.run("tc", "qdisc", "add", "dev", "near", "ingress")
    before = wire.ours.run("tc", "qdisc", "show")
    holder = wire.holder()
    assert "not ours" in holder.problem(Netem(delay=0.1, match=Match(direction=direction)))
    assert holder.do(NetemGone())[0].ok
    assert wire.ours.run("tc", "qdisc", "show") == before


@in_the_kernel
def test_a_killed_holder_delays_nothing_and_another_takes_the_tree_away(wire):
    before = wire.ours.run("tc", "qdisc", "show")
    holder, warden, talker = wire.holder(), wire.holder(), wire.talker(wire.ours, THEIRS4, "7000", "5")
    holder.do(Netem(delay=0.2))
    assert statistics.median(trips(talker, 3)) > 0.19
    holder.signal(signal.SIGKILL)
    assert float(ask(talker)) >= 0  # it may have been on its way
    assert statistics.median(trips(talker, 5)) < 0.1
    for _ in range(2):
        assert warden.do(NetemGone())[0].ok
    assert wire.ours.run("tc", "qdisc", "show") == before


@in_the_kernel
def test_twice_is_harmless(wire):
    holder = wire.holder()
    holder.do(Netem(delay=0.1))
    holder.release()
    holder.do(Netem(delay=0.1, match=Match(direction="both")))
    holder.release()
    assert holder.do(NetemGone())[0].ok


@pytest.mark.skipif(HAS_NETEM, reason="this kernel has netem")
def test_a_kernel_without_netem_says_so(wire):
    holder = wire.holder()
    before = wire.ours.run("tc", "qdisc", "show")
    assert "netem" in holder.problem(Netem(delay=0.1))
    assert holder.do(NetemGone())[0].ok
    assert holder.do(CheckNetem())[0].ok is False
    assert wire.ours.run("tc", "qdisc", "show") == before


@pytest.mark.timeout(600)
@pytest.mark.skipif(HAS_NETEM, reason="this kernel has netem itself; the other tests used it")
def test_in_a_stock_kernel():
    vm = os.environ.get("SQUALL_VM", "")
    if not shutil.which(vm):
        cannot("set SQUALL_VM to a command that runs its arguments as root on a stock kernel with netem")
    inside = [
        "env",
        "SQUALL_REQUIRE=1",
        "VM_SECONDS=580",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        sys.executable,
        "-m",
        "pytest",
    ]
    done = subprocess.run(
        [vm, *inside, "-p", "pytest_timeout", "-q", "-s", __file__],
        capture_output=True, text=True, timeout=590, env={**os.environ, "VM_SECONDS": "580"},
    )  # fmt: skip
    print("\n".join(line for line in done.stdout.splitlines() if "asked" in line or "passed" in line))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
