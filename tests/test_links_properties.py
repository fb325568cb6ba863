"""What is set on a link hurts who uses it, shows in its counters, and is gone when it is healed."""

import re
import select
import socket
import statistics
import threading
import time
from types import SimpleNamespace

import pytest

from runner.links import flow
from runner.links.hurt import Hurt
from runner.links.loop import READABLE
from runner.links.properties import KINDS, Bandwidth, Latency, read_property
from tests.link_parts import PATIENCE, echo, greet, proxy, receive, round_trip, server, until

RESET = (ConnectionResetError, BrokenPipeError)
SETTINGS = {
    "latency": {"delay": 0.05},
    "bandwidth": {"rate": 50_000.0},
    "blackhole": {},
    "reset": {},
    "refuse": {},
    "slow_close": {"delay": 0.2},
}


@pytest.fixture
def link(tmp_path):
    with server(echo) as upstream, proxy(upstream, tmp_path) as running:
        yield running


def answered(client):
    """Whether the client gets an answer within a while."""
    client.settimeout(1.0)
    try:
        client.sendall(b"?")
        return client.recv(1) == b"?"
    except (TimeoutError, *RESET):
        return False
    finally:
        client.settimeout(PATIENCE)


def close_takes(link):
    """Seconds until the end of our stream has come back to us."""
    with link.client() as client:
        round_trip(client)
        begun = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        return time.monotonic() - begun


def refused(link):
    try:
        link.client().close()
    except ConnectionRefusedError:
        return True
    return False


def cut_off(link):
    """Whether a new connection is reset, however soon."""
    try:
        with link.client() as client:
            client.sendall(b"?")
            return client.recv(1) != b"?"
    except RESET:
        return True


def unanswered(link):
    with link.client() as client:
        return not answered(client)


def always(slow, tries=4):
    """What a link makes slow is slow each time; what a busy machine makes slow is not."""
    return all(slow() for _ in range(tries))


def slower_than(seconds, size):
    def hurts(link):
        with link.client() as client:
            return always(lambda: round_trip(client, b"x" * size) > seconds)

    return hurts


HURTS = {
    "latency": slower_than(0.045, 1),
    "bandwidth": slower_than(0.095, 5000),
    "blackhole": unanswered,
    "reset": cut_off,
    "refuse": refused,
    "slow_close": lambda link: always(lambda: close_takes(link) > 0.19),
}


@pytest.mark.parametrize("name", list(KINDS))
def test_it_hurts_is_counted_heals_and_may_be_set_and_healed_twice(link, name):
    assert not HURTS[name](link)
    assert link.check(name).ok is False
    for _ in range(2):
        assert link.set(name, **SETTINGS[name]).ok
    assert HURTS[name](link)
    checked = link.check(name)
    assert checked.ok is True, checked
    for _ in range(2):
        assert link.heal(name, **SETTINGS[name]).ok
    assert link.check(name).ok is False
    assert not HURTS[name](link)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "refuse"])
def test_a_property_that_nobody_met_is_not_confirmed(link, name):
    link.set(name, **SETTINGS[name])
    checked = link.check(name)
    assert (checked.ok, "nothing passed by" in checked.evidence) == (None, True)


@pytest.mark.parametrize("name", list(KINDS))
def test_healing_what_was_never_set_is_harmless(link, name):
    with link.client() as client:
        assert link.heal(name, **SETTINGS[name]).ok
        round_trip(client)


def test_latency_delays_each_answer_once_and_on_time(link):
    link.set("latency", delay=0.02)
    with link.client() as client:
        windows = [[round_trip(client) - 0.02 for _ in range(30)]]
        while statistics.median(windows[-1]) >= 0.005 and len(windows) < 8:  # others had the CPU meanwhile
            windows.append([round_trip(client) - 0.02 for _ in range(30)])
    assert min(min(late) for late in windows) >= 0
    assert statistics.median(windows[-1]) < 0.005  # the benchmark is stricter, on a quiet machine
    evidence = link.check("latency").evidence
    count, mean = re.search(r"delayed (\d+) chunks on 1 connection by ([\d.]+) ms", evidence).groups()
    assert int(count) == 30 * len(windows)
    assert 20 <= float(mean) <= 20 + 1000 * max(map(max, windows))


def test_latency_in_both_directions_costs_a_round_trip_twice(link):
    link.set("latency", delay=0.02, direction="both")
    with link.client() as client:
        assert round_trip(client) >= 0.04


def test_jitter_never_changes_the_order(link):
    link.set("latency", delay=0.01, jitter=0.01)
    with link.client() as client:
        sent = b""
        for number in range(60):
            part = b"%04d" % number
            client.sendall(part)
            sent += part
            time.sleep(0.001)
        assert receive(client, len(sent)) == sent


def test_healed_latency_lets_go_at_once_of_what_it_held(link):
    link.set("latency", delay=30.0)
    with link.client() as client:
        client.sendall(b"ping")
        until(lambda: link.state().connections == 1)
        time.sleep(0.05)
        begun = time.monotonic()
        link.heal("latency")
        assert receive(client, 4) == b"ping"
        assert time.monotonic() - begun < 10.0  # of the thirty seconds that it was to be held
        round_trip(client)


def test_a_shorter_delay_is_not_held_up_by_a_longer_one_before_it(link):
    with link.client() as client:
        for delay in (30.0, 0.01):
            link.set("latency", delay=delay)
            client.sendall(b"ping")
        assert receive(client, 8) == b"pingping"


def test_held_bytes_are_bounded(link):
    link.set("latency", delay=5.0)
    with link.client(0.3) as client, pytest.raises(TimeoutError):
        client.sendall(bytes(256 << 20))  # the kernel itself takes some 32 MiB


@pytest.mark.parametrize("distribution", ["uniform", "normal", "exponential", "pareto"])
def test_delays_have_the_mean_that_was_asked_for_and_repeat_with_the_seed(distribution):
    knobs = Latency(delay=0.1, jitter=0.02, distribution=distribution, seed=3)
    draw, again = knobs.draws(), knobs.draws()
    drawn = [draw() for _ in range(20_000)]
    mean = 0.1 if distribution in {"uniform", "normal"} else 0.12
    assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.02)
    assert min(drawn) >= 0
    assert drawn[:50] == [again() for _ in range(50)]


def test_bandwidth_is_shared_by_all_connections_and_exact(link):
    link.set("bandwidth", rate=200_000.0)
    with link.client() as one, link.client() as other:
        took = [_both_ways(one, other)]
        while took[-1] >= 0.45 and len(took) < 4:  # others had the CPU meanwhile
            took.append(_both_ways(one, other))
    assert min(took) >= 0.3
    assert took[-1] < 0.45


def _both_ways(*clients):
    """Seconds for 30 kB of each up, then the tail of it down."""
    begun = time.monotonic()
    for client in clients:
        client.sendall(bytes(30_000))
    for client in clients:
        receive(client, 30_000)
    return time.monotonic() - begun


class LateLoop:
    """A loop of one descriptor in a time of its own, in which every timer rings *late*."""

    def __init__(self, late):
        self.late, self.moment, self.timers = late, 1000.0, []

    def watch(self, _descriptor, events, ready):
        self.events, self.ready = events, ready

    def change(self, _descriptor, events):
        self.events = events

    def forget(self, _descriptor):
        self.events = 0

    def call_at(self, due, callback):
        self.timers.append((due, callback))

    def run(self):
        """Run until no timer is left."""
        self.ready(READABLE)
        while self.timers:
            due, callback = self.timers.pop(self.timers.index(min(self.timers, key=lambda timer: timer[0])))
            self.moment = max(self.moment, due + self.late)
            callback()
            if self.events & READABLE:
                self.ready(READABLE)


@pytest.mark.parametrize("late", [0.0, 0.003, 0.03])
def test_a_narrow_link_whose_process_wakes_late_is_no_narrower(monkeypatch, late):
    loop, rate = LateLoop(late), 200_000.0
    monkeypatch.setattr(flow, "now", lambda: loop.moment)
    hurt = Hurt({"rate": rate}, Bandwidth(rate=rate))
    pair = SimpleNamespace(number=1, hurts={"bandwidth": hurt}, gone=False, torn=False)
    outer, source = socket.socketpair()
    sink, inner = socket.socketpair()
    with outer, source, sink, inner:
        source.setblocking(False)
        outer.sendall(bytes(60_000))
        way = flow.Flow(
            loop,
            "up",
            source=flow.End(loop, source, pair),
            sink=SimpleNamespace(socket=sink, attend=lambda: None),
            pair=pair,
        )
        way.portion = Bandwidth(rate=rate).portion
        way.source.inward = SimpleNamespace(waiting=(), closed=False)
        way.source.attend()
        loop.run()
        assert receive(inner, 60_000) == bytes(60_000)
    assert 0.3 - 1e-6 <= loop.moment - 1000.0 <= 0.3 + late + 1e-6


def test_a_narrow_link_takes_small_portions():
    assert Bandwidth(rate=1e3).portion == 512
    assert Bandwidth(rate=1e6).portion == 10_000
    assert Bandwidth(rate=1e12).portion == 1 << 16


def test_a_blackhole_swallows_both_ways_and_resets_only_who_lost_something(link):
    with link.client() as hurt, link.client() as lucky:
        round_trip(hurt)
        round_trip(lucky)
        link.set("blackhole")
        assert not answered(hurt)
        link.heal("blackhole")
        with pytest.raises(RESET):
            hurt.recv(1)
        round_trip(lucky)


def test_a_blackhole_keeps_the_answer_that_was_on_its_way(tmp_path):
    sent = threading.Event()

    def answer(peer):
        peer.sendall(peer.recv(4))
        sent.set()
        peer.recv(1)

    with server(answer) as upstream, proxy(upstream, tmp_path) as link, link.client(0.2) as client:
        link.set("latency", delay=30.0)
        client.sendall(b"ping")
        assert sent.wait(PATIENCE)
        link.state()  # asked after the answer was sent: by its own answer the proxy has read that too
        link.set("blackhole")
        link.heal("latency")
        with pytest.raises(TimeoutError):
            client.recv(1)
        link.heal("blackhole")
        client.settimeout(PATIENCE)
        with pytest.raises(RESET):
            client.recv(1)


def test_who_came_during_a_blackhole_and_said_nothing_is_served_after_it(tmp_path):
    with server(greet) as upstream, proxy(upstream, tmp_path) as link:
        link.set("blackhole")
        with link.client(0.1) as client:
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert link.check("blackhole").ok is True
            link.heal("blackhole")
            client.settimeout(PATIENCE)
            assert receive(client, 6) == b"hello\n"


def test_a_client_that_gives_up_in_a_blackhole_leaves_nothing_behind(link):
    client = link.client()
    round_trip(client)
    link.set("blackhole")
    client.sendall(b"?")
    client.close()
    with link.client():
        pass
    link.heal("blackhole")
    until(lambda: link.state().connections == 0)


def test_reset_after_a_while_hurts_old_and_new_connections(link):
    with link.client() as old:
        round_trip(old)
        link.set("reset", after=1.0)
        with link.client() as new:
            round_trip(new)
            for client in (old, new):
                with pytest.raises(RESET):
                    client.recv(1)
    assert link.check("reset").evidence.endswith("reset 2 connections")


def test_a_reset_that_was_healed_in_time_does_not_come(link):
    with link.client() as client:
        round_trip(client)
        link.set("reset", after=1.0)
        link.heal("reset")
        time.sleep(1.05)
        round_trip(client)


def test_refuse_keeps_open_connections_and_the_port(link):
    with link.client() as client:
        link.set("refuse")
        assert refused(link)
        round_trip(client)
        link.heal("refuse")
        round_trip(client)
    assert (link.state().address, link.state().port) == link.address


def test_a_share_of_the_connections_is_hurt_and_the_others_are_not(link):
    clients = [link.client() for _ in range(60)]
    for client in clients:
        round_trip(client)
    link.set("latency", delay=1.5, share=0.5, seed=4)
    begun = {}
    for client in clients:
        begun[client] = time.monotonic()
        client.sendall(b"ping")
    took = {}
    while len(took) < len(clients):
        for client in select.select([client for client in clients if client not in took], (), (), PATIENCE)[
            0
        ]:
            assert receive(client, 4) == b"ping"
            took[client] = time.monotonic() - begun[client]
    slow = sum(seconds >= 1.5 for seconds in took.values())
    for client in clients:
        client.close()
    assert 15 <= slow <= 45
    assert link.state().properties["latency"].connections == slow


def test_properties_add_up_and_heal_one_by_one(link):
    link.set("latency", delay=0.1)
    link.set("bandwidth", rate=20_000.0)
    with link.client() as client:

        def least():
            return min(round_trip(client, bytes(500)) for _ in range(4))

        assert least() > 0.145  # 25 ms up, 25 ms down, 100 ms late
        link.heal("latency")
        assert 0.045 < least() < 0.145
        link.heal("bandwidth")
        assert least() < 0.045


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("fog", {}, "a link has no property 'fog'"),
        ("latency", {}, "delay"),
        ("latency", {"delay": "80ms"}, "delay"),
        ("latency", {"delay": 0.1, "loss": 1}, "loss"),
        ("latency", {"delay": -1.0}, "delay"),
        ("bandwidth", {"rate": 0.0}, "rate"),
        ("blackhole", {"share": 2.0}, "share"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(name, value, says):
    with pytest.raises(ValueError, match=says):
        read_property(name, value)
