"""Packets are cut while somebody holds the table, and not a moment longer: in real namespaces."""

from __future__ import annotations

import signal
import statistics
import time

import pytest

from runner.operations.record import CheckTable, Cut, Match, TableGone
from tests.network_parts import OTHER4, OURS4, THEIRS4, THEIRS6, ask, cable

TABLE = "squall_test"


@pytest.fixture
def wire():
    with cable() as joined:
        joined.server(joined.theirs)
        yield joined


def goes(answer: str) -> bool:
    return answer.replace(".", "").replace("e-", "").isdigit()


def cut(**knobs):
    match = Match(
        direction="both", **{key: knobs.pop(key) for key in list(knobs) if key in Match.__struct_fields__}
    )
    return Cut(table=TABLE, match=match, **knobs)


@pytest.mark.parametrize("host", [THEIRS4, THEIRS6])
@pytest.mark.parametrize(("how", "felt"), [("drop", "silence"), ("reject", "refused"), ("reset", "refused")])
def test_a_cut_hurts_new_connections_and_its_release_heals_them(wire, host, how, felt):
    holder = wire.holder()
    assert goes(wire.client(wire.ours, host, "7000", "2"))
    holder.do(cut(how=how))
    assert wire.client(wire.ours, host, "7000", "0.5") == felt
    (seen,) = holder.do(CheckTable(table=TABLE))
    assert seen.ok, seen
    holder.release()
    for _ in range(2):
        (gone,) = holder.do(TableGone(table=TABLE))
        assert gone.ok, gone
    assert goes(wire.client(wire.ours, host, "7000", "2"))
    assert TABLE not in wire.ours.run("nft", "list", "ruleset")


@pytest.mark.parametrize("host", [THEIRS4, THEIRS6])
def test_a_reset_ends_established_connections_at_both_ends(wire, host):
    wire.server(wire.ours, port=7001)
    holder = wire.holder()
    out, into = wire.talker(wire.ours, host, "7000", "3"), wire.talker(wire.theirs, "10.92.0.2", "7001", "5")
    assert goes(ask(out))
    assert goes(ask(into))
    holder.do(cut(how="reset"))
    assert ask(out) == "reset"
    assert ask(into) == "reset"


def test_a_reset_reaches_a_local_socket_that_only_listens(wire):
    wire.server(wire.theirs, port=7002, kind="push")
    holder = wire.holder()
    listener = wire.talker(wire.ours, THEIRS4, "7002", "5")
    assert goes(ask(listener, "hear"))
    holder.do(cut(how="reset"))
    answers = [ask(listener, "hear") for _ in range(200)]
    assert "reset" in answers


def test_a_reject_leaves_established_connections_alone(wire):
    holder, talker = wire.holder(), wire.talker(wire.ours, THEIRS4, "7000", "2")
    holder.do(cut(how="reject"))
    assert goes(ask(talker))
    assert wire.client(wire.ours, THEIRS4, "7000", "2") == "refused"


def test_only_what_matches_is_cut(wire):
    wire.server(wire.theirs, port=7003)
    wire.server(wire.ours, port=7004)
    holder = wire.holder()
    holder.do(cut(peers=(THEIRS4,), ports=(7000,)))
    assert wire.client(wire.ours, THEIRS4, "7000", "0.5") == "silence"
    assert goes(wire.client(wire.ours, THEIRS4, "7003", "2"))
    assert goes(wire.client(wire.ours, OTHER4, "7000", "2"))
    assert goes(wire.client(wire.ours, THEIRS6, "7000", "2"))
    assert goes(wire.client(wire.theirs, OURS4, "7004", "2"))
    assert goes(wire.client(wire.ours, "127.0.0.1", "7004", "2"))


def test_local_ports_are_those_of_the_target(wire):
    wire.server(wire.ours, port=7004)
    holder = wire.holder()
    holder.do(cut(local_ports=(7004,), how="reset"))
    assert wire.client(wire.theirs, OURS4, "7004", "2") == "refused"
    assert goes(wire.client(wire.ours, THEIRS4, "7000", "2"))


def test_loopback_is_never_cut(wire):
    wire.server(wire.ours, port=7004)
    holder = wire.holder()
    holder.do(cut())
    for host in ("127.0.0.1", "::1", OURS4):
        assert goes(wire.client(wire.ours, host, "7004", "2"))


def test_a_share_of_connections_is_hurt_whole(wire):
    holder = wire.holder()
    holder.do(cut(how="reset", share=0.5))
    felt = [wire.client(wire.ours, THEIRS4, "7000", "2") for _ in range(24)]
    assert 2 <= felt.count("refused") <= 22
    assert all(goes(answer) or answer == "refused" for answer in felt)


def test_without_do_undo_changes_nothing_and_foreign_tables_stay(wire):
    holder = wire.holder()
    wire.ours.run("nft", "-f", "-", text="table inet theirs { chain c { counter; }; }\n")
    before = wire.ours.run("nft", "list", "ruleset")
    assert holder.do(TableGone(table=TABLE))[0].ok
    assert holder.do(CheckTable(table=TABLE))[0].ok is False
    holder.do(cut())
    holder.release()
    assert holder.do(TableGone(table=TABLE))[0].ok
    assert wire.ours.run("nft", "list", "ruleset") == before


def test_undo_by_another_process_waits_for_the_owner_and_says_so(wire):
    owner, warden = wire.holder(), wire.holder()
    owner.do(cut(timeout=1.0))
    (gone,) = warden.do(TableGone(table=TABLE))
    assert gone.ok is False
    assert "only the end of its owner" in gone.evidence
    owner.signal(signal.SIGKILL)
    assert warden.do(TableGone(table=TABLE))[0].ok


def test_a_killed_holder_leaves_nothing_and_the_next_packet_passes(wire):
    seconds = [_first_after(wire, signal.SIGKILL, timeout=5.0) for _ in range(20)]
    print(
        f"SIGKILL to first packet: p50 {statistics.median(seconds) * 1e3:.1f} ms, max {max(seconds) * 1e3:.1f} ms"
    )
    assert max(seconds) < 1.0


@pytest.mark.long
def test_a_stopped_holder_hurts_no_longer_than_the_timeout(wire):
    seconds = [_first_after(wire, signal.SIGSTOP, timeout=1.0) for _ in range(5)]
    print(f"SIGSTOP to first packet: p50 {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s")
    assert max(seconds) < 1.5


def test_a_table_that_nobody_renews_is_no_fault_any_more(wire):
    owner, other = wire.holder(), wire.holder()
    owner.do(cut(timeout=0.5))
    owner.signal(signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while (seen := other.do(CheckTable(table=TABLE))[0]).ok is not False:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    assert "expired" in seen.evidence
    owner.signal(signal.SIGCONT)


def test_what_cannot_be_cut_is_said_in_one_sentence(wire):
    holder = wire.holder()
    assert "is no port" in holder.problem(cut(ports=(70000,)))
    assert "write an IP" in holder.problem(cut(peers=("db; flush ruleset",)))
    assert "icmp" in holder.problem(cut(protocol="icmp", how="reset"))
    assert "squall" not in wire.ours.run("nft", "list", "ruleset")


PINGER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.002)
print("up", flush=True)
for line in sys.stdin:
    while True:
        try:
            s.sendto(b"x", (sys.argv[1], 7009))
            s.recv(1)
        except OSError: continue
        print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
        break
"""
ANSWERER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7009))
print("up", flush=True)
while True:
    data, peer = s.recvfrom(10)
    s.sendto(data, peer)
"""


def _first_after(wire, number, *, timeout):
    """Seconds from a signal to the holder until the first datagram comes through."""
    answerer, pinger, holder = wire.theirs.python(ANSWERER), wire.ours.python(PINGER, THEIRS4), wire.holder()
    try:
        assert answerer.stdout.readline() == pinger.stdout.readline() == "up\n"
        holder.do(cut(timeout=timeout))
        pinger.stdin.write("go\n")
        pinger.stdin.flush()
        time.sleep(0.1)
        begun = time.monotonic()
        holder.signal(number)
        return float(pinger.stdout.readline()) - begun
    finally:
        for each in (answerer, pinger):
            each.kill()
            each.wait(10)
            each.stdin.close()
            each.stdout.close()
        holder.close()
