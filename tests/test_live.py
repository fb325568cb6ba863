import sys
import threading

import msgspec
import pytest

from runner.live import LiveWindow
from runner.load.frames import ROW, Key
from runner.scenario import Stage
from runner.timeline import Sample
from tests.made import BAD, Crowd, indicator, load, plan


def fed(crowd, end, **scenario):
    window = LiveWindow(plan(**scenario))
    window.expect(0.0)
    for chunk in crowd.chunks(end):
        window.add_chunk(chunk)
    return window


def test_a_snapshot_shows_the_last_five_seconds():
    crowd = Crowd().steady(0, 10, rate=10, took=2.0, key=BAD).steady(13, 20, rate=20, took=0.05)
    crowd.steady(13, 20, rate=20, took=0.15, key=Key("POST /order", 200))
    shown = fed(crowd, 20.0).snapshot(20.0)
    assert shown.rps == pytest.approx(40, rel=0.03)
    assert shown.error_rate == 0
    assert shown.p50 == pytest.approx(0.05, rel=0.01)
    assert shown.p95 == pytest.approx(0.15, rel=0.01)
    assert [row.request for row in shown.requests] == ["GET /item", "POST /order"]
    assert shown.requests[1].p50 == pytest.approx(0.15, rel=0.01)


def test_a_snapshot_without_data_shows_none():
    shown = LiveWindow(plan()).snapshot(3.0)
    assert (shown.rps, shown.error_rate, shown.p95, shown.in_flight, shown.offered) == (
        0,
        None,
        None,
        0,
        None,
    )


def test_in_flight_is_what_all_workers_have_pending():
    window = LiveWindow(plan())
    for worker in (0, 1):
        for chunk in Crowd(worker=worker).request(0.05, None, count=4).chunks(1.0):
            window.add_chunk(chunk)
    assert window.snapshot(1.0).in_flight == 8


def test_it_is_settled_when_every_worker_has_passed_the_slot():
    window = LiveWindow(plan(loads=(load(workers=2),)))
    chunks = [Crowd(worker=worker).chunks(2.0, final=False) for worker in (0, 1)]
    for chunk in chunks[0]:
        window.add_chunk(chunk)
    assert not window.settled(10)
    for chunk in chunks[1]:
        assert window.settled(10) is (
            window.workers.get(("shoppers", 1)) is not None and chunk.sequence >= 10
        )
        window.add_chunk(chunk)
    assert window.settled(20)


def test_it_is_settled_without_load():
    assert LiveWindow(plan(loads=())).settled(100)


def test_a_stage_that_ramps_is_due_its_level():
    stages = (Stage(name="ramp", start=20, end=60, duration=4.0), Stage(name="steady", start=60, end=60))
    one = load()
    window = LiveWindow(plan())
    window.expect(10.0)
    ramping = msgspec.structs.replace(one, stages=stages)
    assert [window.level(ramping, at) for at in (9.0, 10.0, 12.0, 14.0, 99.0)] == [0, 20, 40, 60, 60]
    ends = msgspec.structs.replace(one, stages=stages[:1])
    assert window.level(ends, 14.1) == 0


def test_indicators_show_their_newest_good_sample():
    window = LiveWindow(plan(indicators=(indicator("rss"),)))
    window.add_sample(Sample(at=1.0, indicator="rss", instance="shop.1", value=5.0))
    window.add_sample(Sample(at=2.0, indicator="rss", instance="shop.1", error="no such process"))
    (reading,) = window.snapshot(4.0).indicators
    assert (reading.name, reading.value, reading.unit, reading.age) == ("rss", 5.0, "bytes", 3.0)
    assert reading.error == "no such process"


def test_a_ratio_and_a_distribution_show_a_value():
    window = LiveWindow(plan())
    window.add_sample(Sample(at=1.0, indicator="ratio", bad=1.0, total=4.0))
    window.add_sample(Sample(at=1.0, indicator="spread", buckets={"0.1": 90.0, "0.5": 100.0, "+Inf": 100.0}))
    shown = {reading.name: reading.value for reading in window.snapshot(1.0).indicators}
    assert shown["ratio"] == 0.25
    assert shown["spread"] == pytest.approx(0.3)


def test_memory_stays_bounded_over_a_long_run():
    window = LiveWindow(plan())
    crowd = Crowd().steady(0, 30, rate=20)
    chunks = crowd.chunks(30.0, final=False)
    sizes = []
    for turn in range(40):
        for chunk in chunks:
            shift = turn * 300
            window.add_chunk(_moved(chunk, shift, named=turn == 0))
            window.add_sample(Sample(at=chunk.at + turn * 30, indicator="rss", value=1.0))
        sizes.append(
            sum(map(len, (window._news, window._shown["GET /item"].by_slot, window._samples["rss"][""])))
        )
    assert max(sizes[10:]) <= max(sizes[:10])
    assert sys.getsizeof(window._news) < 100_000


def _moved(chunk, slots, *, named):
    rows = b"".join(ROW.pack(a + slots, b + slots, *rest) for a, b, *rest in ROW.iter_unpack(chunk.rows))
    return msgspec.structs.replace(
        chunk, at=chunk.at + slots / 10, watermark=chunk.watermark + slots, rows=rows, keys=chunk.keys if named else [],
        offered=[(chunk.watermark + slots, 2)],
    )  # fmt: skip


def test_a_key_that_was_lost_does_no_harm():
    window = LiveWindow(plan())
    for chunk in Crowd().steady(0, 5).chunks(5.0):
        chunk.keys = []
        window.add_chunk(chunk)
    assert window.snapshot(5.0).rps == 0


def test_threads_may_write_and_look_at_once():
    window, problems = LiveWindow(plan()), []

    def write(worker):
        try:
            for chunk in Crowd(worker=worker).steady(0, 20, rate=20).chunks(20.0):
                window.add_chunk(chunk)
                window.add_sample(Sample(at=chunk.at, indicator=f"i{worker}{chunk.sequence % 9}", value=1.0))
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        window.snapshot(10.0)
    for thread in threads:
        thread.join()
    assert not problems
    assert window.ended["shoppers"] > 1000
