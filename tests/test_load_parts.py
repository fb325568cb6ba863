"""The parts of load that decide without a process: schedules, shares of levels, names, packets."""

from __future__ import annotations

import os
import threading
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.load.frames import Key
from runner.load.naming import MAX_ERRORS, MAX_REQUESTS, OTHER, KeyTable, error_text, fold
from runner.load.orders import TimedStage
from runner.load.packets import packets
from runner.load.recording import Cells
from runner.load.schedule import due_times, level_at, users_of

LEVELS = st.floats(min_value=0, max_value=500)


@st.composite
def stages(draw):
    at, made = draw(st.floats(0, 10)), []
    for _ in range(draw(st.integers(1, 4))):
        end = at + draw(st.floats(0.1, 5))
        made.append(TimedStage(at, end, draw(LEVELS), draw(LEVELS)))
        at = end
    return made


def integral(plan, until):
    total = 0.0
    for stage in plan:
        end = min(stage.end, until)
        if end > stage.start:
            at_end = level_at([stage], end) if end < stage.end else stage.level_to
            total += (end - stage.start) * (stage.level_from + at_end) / 2
    return total


@given(stages(), st.floats(0, 1))
def test_arrivals_follow_the_integral_of_the_rate_at_every_moment(plan, share):
    until = plan[0].start + share * (plan[-1].end - plan[0].start)
    due = list(due_times(plan))
    assert due == sorted(due)
    assert all(plan[0].start <= at <= plan[-1].end for at in due)
    assert abs(sum(at <= until for at in due) - integral(plan, until)) <= 0.5 + 1e-6


@given(stages(), st.integers(2, 5))
def test_workers_together_begin_what_one_would(plan, workers):
    share = [TimedStage(s.start, s.end, s.level_from / workers, s.level_to / workers) for s in plan]
    total = sum(len(list(due_times(share, (worker + 0.5) / workers))) for worker in range(workers))
    assert abs(total - integral(plan, plan[-1].end)) <= workers / 2 + 1e-6


def test_a_last_stage_without_end_goes_on():
    plan = [TimedStage(1.0, 2.0, 0, 10), TimedStage(2.0, None, 10, 10)]
    assert list(islice(due_times(plan), 5, 8)) == pytest.approx([2.05, 2.15, 2.25])
    assert list(due_times([TimedStage(0.0, None, 0, 0)])) == []
    assert len(list(takewhile(lambda at: at < 102, due_times(plan)))) == 1005


def test_the_level_is_known_at_any_moment():
    plan = [TimedStage(1, 3, 0, 10), TimedStage(3, 4, 10, 10)]
    assert [level_at(plan, at) for at in (0.5, 1, 2, 3, 3.5, 4, 9)] == [0, 0, 5, 10, 10, 0, 0]
    assert level_at([TimedStage(0, None, 7, 7)], 1e6) == 7


@given(st.integers(0, 1000), st.integers(1, 8))
def test_users_of_all_workers_add_up(total, workers):
    assert sum(users_of(total / workers, worker, workers) for worker in range(workers)) == total


def test_too_many_names_errors_and_labels_become_other():
    table = KeyTable()
    for number in range(MAX_REQUESTS + 5):
        table.number(f"GET /{number}", 200, "", (f"v={number}",))
    for number in range(MAX_ERRORS + 5):
        table.number("GET /0", 0, f"error {chr(0x4E00 + number)}", ())
    fresh = table.take_fresh()
    assert Key(OTHER, 200, "", ("v=other",)) in fresh
    assert Key("GET /0", 0, OTHER) in fresh
    assert len({key.request for key in fresh}) == MAX_REQUESTS + 1
    again = table.number("GET /1", 200, "", ("v=1",))
    assert fresh[again] == Key("GET /1", 200, "", ("v=1",))
    assert not table.take_fresh()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: Connection refused"),
        (ValueError("order 84212 at 0x7f11aa of\n port=8080"), "ValueError: order # at # of port=#"),
        (ValueError("expected 200, got 503"), "ValueError: expected 200, got 503"),
        (ValueError(), "ValueError"),
        ("", "failed"),
    ],
)
def test_equal_causes_have_equal_names(error, text):
    assert error_text(error) == text


@given(st.text(max_size=2000))
def test_any_text_becomes_one_short_line(text):
    folded = fold(text)
    assert len(folded) <= 120
    assert len(folded.splitlines()) <= 1


def test_counts_beyond_the_limit_are_not_lost_silently(monkeypatch):
    monkeypatch.setattr("runner.load.recording.MAX_CELLS", 3)
    cells = Cells(0.0)
    for number in range(5):
        cells.count(("GET", "/"), 200, "", (), begun=float(number), latency=0.01)
    assert cells.take_overflow()
    assert not cells.take_overflow()


def test_packets_arrive_whole_and_end_with_the_process_even_if_the_pipe_stays_open():
    reading, writing = os.pipe()
    alive, dying = os.pipe()  # stands for a pidfd: readable once the other side is gone
    one, two = b"\3\0\0\0abc", (70_000).to_bytes(4, "little") + b"x" * 70_000
    got: list[bytes] = []
    enough = threading.Event()

    def read():
        for packet in packets(reading, alive):
            got.append(packet)
            if len(got) == 2:
                enough.set()

    reader = threading.Thread(target=read)
    reader.start()
    stream = one + two
    for cut in (slice(0, 2), slice(2, 9), slice(9, 40_000), slice(40_000, None)):
        os.write(writing, stream[cut])
    assert enough.wait(20)
    os.write(writing, b"\\9\0\0\0torn"[:5])
    os.close(dying)
    reader.join(20)
    assert not reader.is_alive()
    assert got == [one, two]
    for descriptor in (reading, writing, alive):
        os.close(descriptor)
