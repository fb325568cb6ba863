import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.assertions import Assertion, Bound
from runner.halts import HaltRules
from runner.halts.levels import LoadTerm
from runner.live import LiveWindow
from runner.load.frames import Key
from runner.load.histogram import bucket, value
from runner.record import Record
from runner.timeline import Sample
from tests.made import BAD, NOWHERE, OK, Crowd, assertion, indicator, load, phases, plan, term


def run(made, crowd=None, end=60.0, *, samples=(), begins=0.0, since=0.0, rules=None, chunks=None):
    """Judge twice after each chunk, as a run does; give the first halt and the window."""
    window, rules = LiveWindow(made), rules or HaltRules(made)
    window.expect(begins)
    waiting = sorted(samples, key=lambda sample: sample.at)
    for chunk in (crowd or Crowd()).chunks(end, final=False) if chunks is None else chunks:
        window.add_chunk(chunk)
        while waiting and waiting[0].at <= chunk.at:
            window.add_sample(waiting.pop(0))
        for at in (chunk.at, chunk.at + 0.05):
            if at >= since and (halt := rules.judge(window, at)):
                return halt, window
    return None, window


def halted(*rules, crowd, end=60.0, **more):
    return run(plan(halt=rules), crowd, end, **more)[0]


def test_a_healthy_run_is_not_halted():
    rules = (
        assertion("error_rate > 0.2"),
        assertion("p95 > 1"),
        assertion("rps < 10"),
        assertion("in_flight > 50"),
    )
    assert halted(*rules, crowd=Crowd().steady(0, 60)) is None


def test_an_error_rate_over_its_limit_halts():
    halt = halted(assertion("error_rate > 0.2"), crowd=Crowd().steady(0, 20).steady(20, 30, key=BAD))
    assert (halt.cause, halt.rule, halt.limit) == ("rule", "error_rate > 0.2", 0.2)
    assert 20.9 < halt.at < 21.6
    assert halt.value > 0.2
    assert halt.requests >= 290
    assert 0 <= halt.at - halt.breached_at <= 0.3
    assert halt.reason.startswith("error_rate was 2")


def test_the_breach_is_when_the_response_that_tipped_it_ended():
    crowd = Crowd().steady(0, 10, rate=20, took=0.01)
    for number in range(40):
        crowd.request(10.0 + number * 0.05, 0.01, BAD)
    halt = halted(assertion("error_rate > 0.2"), crowd=crowd)
    # at 20/s the share of the last 5 s passes 20 % with the 21st error of 100, which ends at 11.01
    assert halt.breached_at == pytest.approx(11.0, abs=0.11)


def test_a_target_that_accepts_and_never_answers_halts_in_time():
    crowd = Crowd()
    for _ in range(30):
        crowd.request(0.03, None)
    halt = halted(assertion("p95 > 1"), crowd=crowd, end=5.0)
    assert halt.at <= 0.03 + 1.5
    assert halt.breached_at == pytest.approx(1.1)
    assert halt.requests == 30


@given(
    st.lists(st.floats(0.01, 5.0), min_size=20, max_size=60),
    st.lists(st.floats(0.0, 6.0), max_size=60),
    st.sampled_from([0.5, 0.9, 0.95, 1.0]),
    st.floats(0.1, 4.0),
)
@settings(deadline=None, max_examples=200)
def test_a_quantile_with_overdue_requests_is_the_order_statistic_of_both(ended, ages, q, limit):
    window, followed = LiveWindow(plan()), LoadTerm(term(f"p{q * 100:g}"), None)
    tally = followed.tallies[""]
    for latency in ended:
        tally.add(10, bucket(latency), 1, bad=False)
    window._waiting = {("shoppers", "GET /item"): [(age, 1) for age in ages]}
    late = [age for age in ages if age > limit]
    both = sorted(value(bucket(latency)) for latency in [*ended, *late])
    exact = both[max(1, math.ceil(q * len(both) - 1e-9)) - 1]
    level = followed.level(window, "", ">", limit, since=0.0)
    assert level.requests == len(both)
    assert (level.value > limit) is (exact > limit)
    assert level.value == exact


@pytest.mark.parametrize("text", ["max > 1", "mean > 1", "p50 >= 1"])
def test_overdue_requests_count_for_every_latency(text):
    assert halted(assertion(text), crowd=Crowd().request(0.03, None, count=30), end=5.0).at < 1.6


def test_nineteen_requests_are_too_few():
    assert halted(assertion("p95 > 1"), crowd=Crowd().request(0.03, None, count=19), end=4.0) is None
    assert halted(assertion("error_rate > 0.2"), crowd=Crowd().request(0.03, 0.1, BAD, 19), end=2.0) is None
    assert (
        halted(assertion("error_rate > 0.2"), crowd=Crowd().request(0.03, 0.1, BAD, 20), end=2.0) is not None
    )


def test_a_request_that_waited_through_the_window_is_an_error():
    halt = halted(
        assertion("error_rate > 0.5"), crowd=Crowd().steady(0, 10).request(10.0, None, count=40), end=30.0
    )
    assert halt.at == pytest.approx(15.15, abs=0.2)
    assert halt.value == 1.0


def test_a_late_answer_counts_when_it_ends():
    crowd = Crowd().steady(0, 10, took=0.05)
    for number in range(200):
        crowd.request(5.0 + number / 100, 6.0)
    halt = halted(assertion("p95 > 5"), crowd=crowd, end=30.0)
    assert 10.0 < halt.at < 11.2


def test_a_rule_forgets_what_is_older_than_its_window():
    crowd = Crowd().steady(0, 2, key=BAD).steady(2, 30)
    assert halted(assertion("error_rate > 0.3"), crowd=crowd, end=30.0, since=8.0) is None
    assert halted(assertion("error_rate > 0.01", over=25.0), crowd=crowd, end=30.0, since=8.0) is not None


def test_nothing_of_the_warm_up_counts():
    made = plan(halt=(assertion("error_rate > 0.2", over=20.0),), warmup=10.0)
    crowd = Crowd().steady(0, 10, key=BAD).steady(10, 40)
    assert run(made, crowd, 40.0)[0] is None


def test_over_the_whole_run_never_forgets():
    crowd = Crowd().steady(0, 10, rate=20, key=BAD).steady(10, 200, rate=20)
    rules = HaltRules(made := plan(halt=(assertion("errors > 400", over=float("inf")),)))
    assert run(made, crowd, 100.0, rules=rules)[0] is None
    crowd.steady(150, 160, rate=30, key=BAD)
    assert 156 < run(made, crowd, 200.0)[0].at < 158


def test_for_needs_it_true_without_a_break():
    crowd = Crowd().steady(0, 10).steady(10, 12, key=BAD).steady(12, 30).steady(30, 50, key=BAD)
    halt = halted(assertion("error_rate > 0.3", over=1.0, lasting=5.0), crowd=crowd)
    assert halt.at == pytest.approx(35.4, abs=0.3)
    assert 0 <= halt.at - halt.breached_at < 0.3
    assert "for 5 s" in halt.reason


def test_selectors_choose_what_is_judged():
    order = Key("POST /order", 503, "HTTPError(503)")
    crowd = Crowd().steady(0, 20, rate=100).steady(10, 20, rate=10, key=order)
    wanted = assertion("error_rate > 0.5", selector={"request": "POST *"})
    assert halted(assertion("error_rate > 0.5"), crowd=crowd, end=20.0) is None
    assert halted(wanted, crowd=crowd, end=20.0).at > 10
    assert halted(assertion("errors > 5", selector={"code": "503"}), crowd=crowd, end=20.0).value >= 6
    assert halted(assertion("errors > 5", selector={"code": "500"}), crowd=crowd, end=20.0) is None
    assert halted(assertion("errors > 5", selector={"load": "others"}), crowd=crowd, end=20.0) is None


def test_each_judges_every_request_by_itself_and_says_which():
    crowd = Crowd().steady(0, 20, rate=100).steady(10, 20, rate=10, key=Key("GET /slow", 200), took=0.8)
    asked = assertion("p95 > 0.5", selector={"request": "GET *", "each": True})
    halt = halted(asked, crowd=crowd, end=20.0)
    assert "GET /slow" in halt.reason
    assert halt.requests < 40


def test_each_sees_a_request_that_never_got_an_answer():
    crowd = Crowd().steady(0, 20, rate=100).request(5.0, None, Key("GET /hung"), count=25)
    asked = assertion("p95 > 0.5", selector={"request": "GET *", "each": True})
    assert "GET /hung" in halted(asked, crowd=crowd, end=20.0).reason


def test_too_few_requests_per_second_halt_only_after_a_whole_window():
    halt = halted(assertion("rps < 30"), crowd=Crowd().steady(0, 20).steady(20, 40, rate=10))
    assert 22 < halt.at < 24.5
    assert halted(assertion("rps < 50"), crowd=Crowd().steady(0, 30), end=30.0) is None


def test_requests_under_way_halt():
    crowd = Crowd().steady(0, 30).request(10.0, None, count=60)
    assert halted(assertion("in_flight > 50"), crowd=crowd, end=30.0).at == pytest.approx(10.1, abs=0.1)


def test_a_relative_rule_is_armed_once_the_baseline_is_known():
    made = plan(halt=(assertion("p95 > 3x"),))
    before, rules = Crowd().steady(0, 10, took=0.1), HaltRules(made)
    slow = Crowd().steady(0, 20, took=0.1).steady(20, 30, took=0.5)
    assert run(made, slow, 30.0)[0] is None
    rules.know_baseline(made, Record.of(phases(), before.chunks(10.0)))
    halt, _ = run(made, slow, 30.0, rules=rules)
    assert halt.limit == pytest.approx(0.3, rel=0.01)
    assert 20.5 < halt.at < 22


def test_a_rule_may_compare_two_groups_of_requests():
    bound = Bound(factor=2.0, term=term("p95", selector={"request": "GET /item"}))
    rule = msgspec.structs.replace(assertion("p95 > 1", selector={"request": "GET /new"}), bound=bound)
    crowd = Crowd().steady(0, 20, took=0.1).steady(0, 10, key=Key("GET /new"), took=0.15)
    assert halted(rule, crowd=crowd, end=20.0) is None
    crowd.steady(10, 20, key=Key("GET /new"), took=0.25)
    assert halted(rule, crowd=crowd, end=20.0).limit == pytest.approx(0.2, rel=0.01)


# indicators


def samples(name, values, *, every=1.0, instance=""):
    return [
        Sample(at=1.0 + number * every, indicator=name, instance=instance, value=value)
        for number, value in enumerate(values)
    ]


def watched(*rules, values, **more):
    return run(
        plan(halt=rules, indicators=(indicator("rss"),)), Crowd().steady(0, 30), 30.0, samples=values, **more
    )[0]


def test_the_newest_sample_of_an_indicator_halts():
    halt = watched(assertion("rss > 500"), values=samples("rss", [100] * 9 + [600] * 30))
    assert (halt.cause, halt.value, halt.limit) == ("rule", 600, 500)
    assert halt.at == pytest.approx(10.0, abs=0.11)


def test_one_instance_over_the_limit_halts_and_is_named():
    values = samples("rss", [100] * 30, instance="shop.1") + samples(
        "rss", [100] * 5 + [900] * 30, instance="shop.2"
    )
    assert "shop.2" in watched(assertion("rss > 500"), values=values).reason
    assert watched(assertion("rss > 500", selector={"instance": "shop.1"}), values=values) is None


def test_over_takes_the_mean_of_a_value():
    values = samples("rss", [100, 900] * 20)
    assert watched(assertion("rss > 600", over=6.0), values=values, since=7.0) is None
    assert watched(assertion("rss > 400", over=6.0), values=values, since=7.0).value == 500


# no data


def test_an_indicator_without_samples_is_lost_evidence():
    halt = watched(values=samples("rss", [100] * 10))
    assert halt.cause == "evidence"
    assert halt.at == pytest.approx(15.0, abs=0.1)
    assert "rss gave no data for 5.0 s" in halt.reason


def test_a_probe_that_only_raises_is_lost_evidence():
    errors = [Sample(at=float(at), indicator="rss", error="connection refused") for at in range(1, 30)]
    halt = watched(values=errors)
    assert halt.cause == "evidence"
    assert "connection refused" in halt.reason


def test_a_slow_indicator_is_given_three_of_its_periods():
    made = plan(indicators=(indicator("rss", every=4.0),))
    crowd = Crowd().steady(0, 60)
    assert run(made, crowd, 60.0, samples=samples("rss", [1] * 15, every=4.0))[0] is None
    assert run(made, crowd, 60.0, samples=samples("rss", [1] * 5, every=4.0))[0].at == pytest.approx(
        29.0, abs=0.1
    )


def no_data(seconds, name=""):
    return Assertion(
        text=f"no data{{{name}}} for {seconds:g}s",
        term=term(name or " ") if name else _nothing(),
        no_data=seconds,
        place=NOWHERE,
    )


def _nothing():
    from runner.assertions import Term

    return Term(name="")


def test_a_rule_of_its_own_says_how_long_data_may_be_missing():
    patient = watched(no_data(12.0, "rss"), values=samples("rss", [100] * 5))
    assert (patient.rule, patient.cause) == ("no data{rss} for 12s", "evidence")
    assert patient.at == pytest.approx(17.0, abs=0.1)
    assert watched(no_data(2.5), values=samples("rss", [100] * 5)).at == pytest.approx(7.5, abs=0.1)


def test_a_load_that_fell_silent_is_lost_evidence():
    halt = run(plan(loads=(load(level=4.0),)), Crowd().steady(0, 10, rate=4), 40.0)[0]
    assert halt.cause == "evidence"
    assert halt.at == pytest.approx(15.0, abs=0.3)  # 20 arrivals at 4/s
    assert "none is under way" in halt.reason


def test_a_load_that_never_began_is_lost_evidence():
    halt = run(plan(loads=(load(level=60.0),)), Crowd(), 40.0)[0]
    assert (halt.cause, round(halt.at, 1)) == ("evidence", 2.0)


def test_pending_requests_explain_a_silence():
    crowd = Crowd().steady(0, 10, rate=60).request(9.9, None, count=5)
    assert run(plan(), crowd, 40.0)[0] is None


def test_users_that_pause_are_given_the_time_of_twenty_of_their_requests():
    made = plan(loads=(load(model="users", level=3.0),))
    assert run(made, Crowd().steady(0, 10, rate=2).steady(18, 30, rate=2), 30.0)[0] is None
    assert run(made, Crowd().steady(0, 10, rate=2), 30.0)[0].at == pytest.approx(20, abs=0.5)


def test_a_load_whose_stages_are_over_may_be_silent():
    from runner.scenario import Stage

    one = msgspec.structs.replace(load(), stages=(Stage(name="s", start=60, end=60, duration=10.0),))
    assert run(plan(loads=(one,)), Crowd().steady(0, 10), 40.0)[0] is None


def test_a_load_that_was_stopped_breaks_no_rule():
    made = plan(halt=(assertion("rps < 30"), assertion("users < 1")))
    window, rules = LiveWindow(made), HaltRules(made)
    window.expect(0.0)
    for chunk in Crowd().steady(0, 10).chunks(10.0, users=3):
        window.add_chunk(chunk)
        assert rules.judge(window, chunk.at) is None
    assert rules.judge(window, 25.0) is None


def test_a_worker_that_fell_silent_is_lost_evidence_though_another_goes_on():
    chunks = Crowd().steady(0, 20).chunks(20.0, final=False)
    other = Crowd(worker=1).steady(0, 5).chunks(5.0, final=False)
    both = sorted(chunks + other, key=lambda chunk: chunk.at)
    halt, _ = run(plan(loads=(load(workers=2),)), chunks=both)
    assert "worker 1 of load shoppers" in halt.reason
    assert halt.at == pytest.approx(10.1, abs=0.2)


def test_a_worker_that_died_is_lost_evidence():
    chunks = Crowd().steady(0, 3).chunks(3.0)
    chunks[-1].problem = "MemoryError"
    assert run(plan(), chunks=chunks)[0].reason == "the load shoppers died: MemoryError"


def test_no_data_never_trips_a_rule():
    rules = [
        assertion(text)
        for text in ("error_rate < 2", "p95 < 100", "mean < 5", "max < 5", "rps >= 0", "success_rate < 2")
    ]
    for rule in rules[:4]:
        made = plan(halt=(rule,), loads=())
        assert run(made, Crowd(), 8.0)[0] is None, rule.text


# readings for the live view


def test_readings_say_how_near_each_rule_is():
    _, window = run(
        plan(halt=(assertion("error_rate > 0.5"), assertion("p95 > 3x"))),
        Crowd().steady(0, 9, rate=40).steady(0, 9, rate=10, key=BAD),
        9.0,
    )
    first, second = window.snapshot(9.0).halts
    assert (first.rule, first.limit, first.unit, first.tripping) == ("error_rate > 0.5", 0.5, "share", False)
    assert first.value == pytest.approx(0.2, abs=0.01)
    assert (second.value, second.limit) == (None, None)


def test_the_first_rule_in_the_file_gives_the_reason():
    rules = (assertion("success_rate < 0.5"), assertion("error_rate > 0.5"))
    assert halted(*rules, crowd=Crowd().steady(0, 9, key=BAD)).rule == "success_rate < 0.5"


def test_judging_before_the_first_chunk_is_safe():
    made = plan(halt=(assertion("p95 > 1"), assertion("rps < 1"), assertion("users > 1")))
    assert HaltRules(made).judge(LiveWindow(made), 0.0) is None
    assert OK.code == 200
