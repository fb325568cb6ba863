import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.assertions import Selector
from runner.load.frames import Key
from runner.record import Record
from runner.statistics.comparison import Measured, exactly, nothing, standing
from runner.statistics.cutting import Stretch, calm, cut, harmed, in_flight
from runner.statistics.measures import measure
from runner.statistics.recovery import longest_run, recovery
from runner.statistics.selection import in_population, is_bad, request_names
from runner.statistics.sliding import silent, truth, worst
from tests.made import BAD, OK, Crowd, term

P95, ERRORS = term("p95"), term("error_rate")


def frames(crowd, end=60.0):
    return Record.of([], crowd.chunks(end)).frames


latencies = st.lists(st.floats(1e-5, 100.0), min_size=1, max_size=200)


@given(latencies, st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
@settings(deadline=None, max_examples=30)
def test_a_quantile_is_the_order_statistic_within_a_thousandth(values, q):
    crowd = Crowd()
    for value in values:
        crowd.request(1.0, value)
    found = measure(frames(crowd, 110.0), term(f"p{q * 100:g}"), (Stretch(0, 100),))
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    assert found.value == pytest.approx(exact, rel=0.001)
    assert found.exact


def test_mean_max_rates_and_counts():
    crowd = Crowd().steady(0, 10, rate=10, took=0.1).steady(0, 10, rate=10, took=0.3, key=BAD)
    these = frames(crowd), (Stretch(0, 100),)
    assert measure(these[0], term("mean"), these[1]).value == pytest.approx(0.2, rel=0.001)
    assert measure(these[0], term("max"), these[1]).value == pytest.approx(0.3, rel=0.001)
    assert measure(these[0], ERRORS, these[1]).value == 0.5
    assert measure(these[0], term("success_rate"), these[1]).value == 0.5
    assert measure(these[0], term("rps"), these[1]).value == 20
    assert measure(these[0], term("requests"), these[1]).value == 200
    assert measure(these[0], term("errors"), these[1]).value == 100


def test_no_request_is_no_value():
    for name in (
        "p95",
        "mean",
        "max",
        "error_rate",
        "success_rate",
        "rps",
        "requests",
        "errors",
        "offered_rps",
        "users",
    ):
        found = measure(Record.of([], []).frames, term(name), (Stretch(0, 100),))
        assert found.value is None, name
        assert found.why, name
        assert standing(found, "<", math.inf) == "inconclusive"


def test_users_and_offered_are_read_from_the_chunks():
    chunks = Crowd().steady(0, 10).chunks(10.0, users=7)
    for number, one in enumerate(chunks):
        one.offered = [(number, 6)]
    these = Record.of([], chunks).frames
    assert measure(these, term("users"), (Stretch(0, 99),), "<").value == 7
    assert measure(these, term("offered_rps"), (Stretch(0, 100),)).value == pytest.approx(60)


def test_in_flight_counts_what_is_under_way_as_a_slot_ends():
    crowd = Crowd().request(0.0, 0.35).request(0.1, 0.05).request(0.2, None)
    assert in_flight(frames(crowd), term("in_flight"), Stretch(0, 6)).tolist() == [1, 1, 2, 1, 1, 1]


# the edges of a fault


def crossing():
    return frames(
        Crowd().request(1.0, 0.1).request(4.9, 0.5).request(6.0, 0.1).request(9.9, 0.5).request(12.0, 0.1)
    )


def starts(these, stretch):
    return (cut(these, P95, stretch).slot + stretch.first).tolist()


def test_a_request_that_crosses_into_a_fault_is_the_faults():
    assert starts(crossing(), calm(0.0, 5.0, ends_before=5.0)) == [10]
    assert cut(crossing(), P95, harmed(5.0, 10.0)).ended == 3


def test_a_request_that_crosses_out_of_a_fault_is_the_faults():
    assert starts(crossing(), calm(10.0, 20.0)) == [120]


def test_a_fault_owns_the_slots_that_it_began_and_ended_in():
    these = frames(Crowd().request(5.01, 0.01).request(5.09, 0.01).request(9.95, 0.01))
    assert cut(these, P95, harmed(5.05, 9.91)).ended == 3
    assert cut(these, P95, calm(0.0, 5.05, ends_before=5.05)).ended == 0
    assert cut(these, P95, calm(9.91, 20.0)).ended == 0


# requests without an answer


def test_a_quantile_on_a_waiting_request_is_at_least_its_age():
    crowd = Crowd().steady(0, 10, rate=9, took=0.05)
    for _ in range(10):
        crowd.request(5.0, None)
    found = measure(frames(crowd, 10.0), P95, (Stretch(0, 100),))
    assert (found.value, found.high) == (pytest.approx(4.9, rel=0.01), math.inf)
    assert standing(found, "<", 1.0) == "broken"
    assert standing(found, "<", 20.0) == "inconclusive"


def test_a_quantile_below_the_waiting_ones_is_known():
    crowd = Crowd().steady(0, 10, rate=100, took=0.05).request(1.0, None)
    found = measure(frames(crowd, 11.0), P95, (Stretch(0, 100),))
    assert found.exact
    assert found.requests == 1001


def test_waiting_requests_may_yet_be_errors():
    crowd = Crowd().steady(0, 10, rate=9, took=0.05)
    for _ in range(10):
        crowd.request(1.0, None)
    found = measure(frames(crowd, 10.0), ERRORS, (Stretch(0, 100),))
    assert (found.low, found.high) == (0.0, 0.1)
    assert standing(found, "<", 0.2) == "held"
    assert standing(found, "<", 0.05) == "inconclusive"


def test_what_was_just_begun_says_nothing_yet():
    crowd = Crowd().steady(0, 9.7, rate=10, took=0.5).request(9.75, None).request(2.0, None)
    assert cut(frames(crowd, 10.0), P95, Stretch(0, 100)).waiting == 1


# sliding windows

requests = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 60), st.booleans(), st.booleans()), min_size=1, max_size=60
)


def crowd_of(found):
    crowd = Crowd()
    for start, took, bad, hangs in found:
        crowd.request(start / 10 + 0.05, None if hangs and start < 10 else took / 20, BAD if bad else OK)
    return crowd


@given(
    requests,
    st.integers(1, 20),
    st.sampled_from(["p50", "p95", "error_rate", "mean", "max", "errors", "requests"]),
)
@settings(deadline=None, max_examples=60)
def test_the_worst_window_is_the_worst_of_all_windows(found, width, name):
    these, asked = frames(crowd_of(found), 20.0), term(name)
    whole = Stretch(0, 40)
    if cut(these, asked, whole).waiting:
        return
    each = [measure(these, asked, (Stretch(first, first + width),)) for first in range(40 - width + 1)]
    values = [one.value for one in each if one.value is not None]
    for operator, pick in (("<", max), (">", min)):
        measured = worst(these, asked, whole, width=width, operator=operator)
        assert measured.value == (pytest.approx(pick(values)) if values else None)
        if values:
            assert each[measured.first].value == pytest.approx(measured.value)
            assert measured.last - measured.first == width
            assert measured.requests == each[measured.first].requests


@given(
    requests,
    st.integers(1, 20),
    st.sampled_from(["p50", "p95", "error_rate", "max"]),
    st.sampled_from(["<", "<=", ">", ">="]),
)
@settings(deadline=None, max_examples=60)
def test_truth_by_counting_equals_truth_by_measuring(found, width, name, operator):
    these, asked = frames(crowd_of(found), 20.0), term(name)
    if cut(these, asked, Stretch(0, 40)).waiting:
        return
    for limit in (0.3, float(measure(these, asked, (Stretch(0, 40),)).value or 0.0)):
        true, there = truth(these, asked, Stretch(0, 40), width=width, operator=operator, limit=limit)
        for first in range(40 - width + 1):
            one = measure(these, asked, (Stretch(first, first + width),))
            assert there[first] == (one.value is not None)
            assert true[first] == (one.value is not None and standing(one, operator, limit) == "held")


@given(requests, st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_waiting_requests_only_ever_widen_the_worst_window(found, width):
    these = frames(crowd_of(found), 20.0)
    for name in ("p95", "error_rate", "max", "mean"):
        measured = worst(these, term(name), Stretch(0, 40), width=width, operator="<")
        if measured.value is not None:
            assert measured.low <= measured.value <= measured.high


def test_ten_bad_seconds_in_ten_minutes_are_the_worst_window():
    crowd = Crowd().steady(0, 300, rate=20).steady(300, 310, rate=20, key=BAD).steady(310, 600, rate=20)
    these = frames(crowd, 600.0)
    whole = measure(these, ERRORS, (Stretch(0, 6000),))
    assert whole.value < 0.02
    found = worst(these, ERRORS, Stretch(0, 6000), width=50, operator="<")
    assert found.value == 1.0
    assert found.first >= 3000
    assert found.last <= 3100


def test_a_window_shorter_than_asked_for_says_nothing():
    found = worst(frames(Crowd().steady(0, 3)), ERRORS, Stretch(0, 30), width=50, operator="<")
    assert found.value is None
    assert "shorter than 5 s" in found.why


def test_a_gap_in_the_traffic_is_silent_only_where_requests_were_due():
    busy = frames(Crowd().steady(0, 10, rate=50).steady(20, 30, rate=50))
    assert silent(busy, ERRORS, Stretch(0, 300), width=20) == pytest.approx(81, abs=2)
    slow = frames(Crowd().steady(0, 10, rate=1).steady(20, 30, rate=1))
    assert silent(slow, ERRORS, Stretch(0, 300), width=20) == 0


def test_hung_requests_are_no_silence():
    crowd = Crowd().steady(0, 10, rate=50).steady(20, 30, rate=50)
    for _ in range(30):
        crowd.request(9.99, 10.2)
    assert silent(frames(crowd), ERRORS, Stretch(0, 300), width=20) == 0


# selectors


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, True),
        ({"request": "GET /item"}, True),
        ({"request": "/item"}, True),
        ({"request": "GET *"}, True),
        ({"request": "/it*"}, True),
        ({"request": "POST /item"}, False),
        ({"request": "GET /it"}, False),
        ({"request": "GET /i?em"}, False),
        ({"load": "shoppers"}, True),
        ({"load": "others"}, False),
        ({"code": "503"}, True),
        ({"code": "5xx"}, True),
        ({"code": "5*"}, True),
        ({"code": "500"}, False),
        ({"error": "HTTPError*"}, True),
        ({"error": "Timeout"}, False),
        ({"labels": {"variant": "a"}}, True),
        ({"labels": {"variant": "b"}}, False),
        ({"labels": {"zone": "b"}}, False),
        ({"instance": "shop.1"}, False),
    ],
)
def test_a_selector_chooses(selector, chosen):
    key = Key("GET /item", 503, "HTTPError(503)", ("variant=a",))
    assert in_population(term("p95", selector=selector), "shoppers", key) is chosen


def test_a_share_of_errors_with_a_code_is_a_share_of_all_requests():
    crowd = Crowd().steady(0, 10, rate=8).steady(0, 10, rate=1, key=BAD)
    crowd.steady(0, 10, rate=1, key=Key("GET /item", 500, "HTTPError(500)"))
    found = measure(frames(crowd), term("error_rate", selector={"code": "503"}), (Stretch(0, 100),))
    assert (found.value, found.requests) == (0.1, 100)


def test_a_success_is_no_error_whatever_its_code():
    assert not is_bad(term("errors", selector={"code": "404"}), Key("GET /", 404))


def test_each_names_every_request_that_matches():
    assert request_names(Selector(request="GET *", each=True), ["GET /b", "POST /", "GET /a"]) == [
        "GET /a",
        "GET /b",
    ]


# intervals, recovery, runs


def test_an_interval_is_judged_by_both_of_its_ends():
    between = Measured(1.0, 1.0, 3.0)
    assert [standing(between, "<", limit) for limit in (0.5, 2.0, 4.0)] == ["broken", "inconclusive", "held"]
    assert [standing(between, ">", limit) for limit in (0.5, 2.0, 4.0)] == ["held", "inconclusive", "broken"]
    assert standing(between, "==", 2.0) == "inconclusive"
    assert standing(exactly(2.0), "==", 2.0) == "held"
    assert standing(nothing("why"), "<", 1.0) == "inconclusive"


@pytest.mark.parametrize(
    ("bad", "seconds", "recovered"),
    [
        ([False, False], 0, True),
        ([True, True, False], 2, True),
        ([True, False, False, True, False], 4, True),
        ([True, False, True], 3, False),
        ([None, False], 1, True),
        ([False, None, None], 0, True),
        ([True, None, False], 2, True),
        ([False, True, None], 3, False),
    ],
)
def test_recovery_is_the_end_of_the_last_bad_second(bad, seconds, recovered):
    found = recovery(bad)
    assert (found.seconds, found.recovered) == (seconds, recovered)


def test_recovery_without_data_is_unknown():
    assert recovery([None, None]) is None
    assert recovery([]) is None


def test_the_longest_run_of_truth():
    assert longest_run([True, True, False, True]) == 2
    assert longest_run([]) == 0
