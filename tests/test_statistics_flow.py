"""The flow through a system: what is offered, what comes out in time, what is good of it, what is under way."""

import msgspec
import pytest

from runner.record import Record
from runner.statistics.cutting import Stretch
from runner.statistics.flow import flow
from tests.made import BAD, Crowd, phases


def frames(crowd, *, until=30.0, load_until=None, rate=6):
    last = round((load_until or until) * 10)
    chunks = [
        msgspec.structs.replace(chunk, offered=[(number, rate)] if number < last else [])
        for number, chunk in enumerate(crowd.chunks(until))
    ]
    return Record.of(phases(end=until), chunks).frames


def test_a_system_that_keeps_up_answers_what_is_offered():
    found = flow(frames(Crowd().steady(0, 30, rate=60.0)), Stretch(50, 300))
    assert (found.offered, found.answered) == (60.0, pytest.approx(60.0, rel=0.01))
    assert found.served == found.answered


def test_answers_count_when_they_come_so_a_growing_queue_is_seen():
    crowd = Crowd()
    for number in range(1800):  # 60/s come, 40/s are answered, in their order
        crowd.request(number / 60, (number + 1) / 40 - number / 60)
    found = flow(frames(crowd, until=46.0, load_until=30.0), Stretch(0, 460))
    assert found.offered == pytest.approx(60.0)
    assert found.answered == pytest.approx(40.0, rel=0.02)
    assert found.in_flight == pytest.approx(300, rel=0.1)  # grows to 600


def test_errors_are_answers_but_no_service():
    crowd = Crowd().steady(0, 30, rate=40.0).steady(0, 30, rate=20.0, key=BAD)
    found = flow(frames(crowd), Stretch(50, 300))
    assert found.served == pytest.approx(2 / 3 * found.answered, rel=0.01)


def test_the_time_after_the_load_dilutes_nothing():
    crowd = Crowd().steady(0, 10, rate=60.0)
    found = flow(frames(crowd, load_until=10.0), Stretch(20, 300))
    assert (found.offered, found.answered) == (60.0, pytest.approx(60.0, rel=0.02))


def test_without_load_there_is_no_flow():
    assert flow(Record.of(phases(end=30.0), []).frames, Stretch(0, 300)) is None
