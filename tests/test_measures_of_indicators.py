"""What the samples of an indicator come to: mean, quantile and trend of each instance, ratios, restarts; and what it cost."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from runner.language import parse_assertion
from runner.record import Record
from runner.scenario import Environment, Price
from runner.statistics.samples import measure_samples
from runner.statistics.trend import trend
from runner.timeline import Sample
from runner.verdict.judge import judge
from runner.verdict.wording import said
from tests.made import BAD, Crowd, assertion, indicator, phases, plan, term

MIB = float(1 << 20)


def sampled(values, *, instance="", every=1.0, start=0.5):
    return [
        Sample(at=start + i * every, indicator="own", instance=instance, value=float(value))
        for i, value in enumerate(values)
    ]


def finding(text, samples, *, unit="bytes", end=60.0, **more):
    """Judge one line about the indicator `own`, as it is written, over a run of *end* seconds without load."""
    asked = parse_assertion(text, "always", "expect", assertion("a < 1").place)
    own = indicator("own", unit=unit, **more)
    made = plan(expect=(asked,), indicators=(own,), loads=(), ends=end - 10)
    return judge(made, Record.of([*phases(zero=10.0, after=20.0, end=end), *samples], [])).findings[0]


# --- mean and quantile -----------------------------------------------------------------------------------------


def test_a_mean_is_of_each_instance_and_the_worst_decides():
    calm, hot = sampled([0.1] * 60, instance="shop.0"), sampled([0.2, 0.8] * 30, instance="shop.1")
    one = finding("mean of own < 40%", [*calm, *hot], unit="share")
    assert (one.outcome, one.value) == ("broken", pytest.approx(0.5))
    assert finding("mean of own > 20%", [*calm, *hot], unit="share").value == pytest.approx(0.1)
    only = finding("mean of own{instance=shop.0} < 40%", [*calm, *hot], unit="share")
    assert (only.outcome, only.value) == ("held", pytest.approx(0.1))


def test_a_quantile_of_values_is_an_order_statistic_of_one_instance():
    values = list(range(1, 61))
    assert finding("p90 of own < 55", sampled(values), unit="count").value == 54
    assert finding("p50 of own < 55", sampled(values), unit="count").value == 30


def test_a_quantile_that_so_few_samples_cannot_tell_is_inconclusive():
    one = finding("p99 of own < 55", sampled(range(60)), unit="count")
    assert (one.outcome, one.reason) == ("inconclusive", "p99 of own needs 100 samples, there were 60")
    few = [*sampled(range(60), instance="shop.0"), *sampled([1] * 5, instance="shop.1")]
    assert finding("p90 of own < 99", few, unit="count").outcome == "inconclusive"


# --- trend -----------------------------------------------------------------------------------------------------


def memory(per_minute, *, noise=0.2 * MIB, seconds=60, seed=1, **more):
    chance = random.Random(seed)
    return sampled(
        [50 * MIB + per_minute / 60 * at + chance.gauss(0, noise) for at in range(seconds)], **more
    )


def test_a_leak_is_seen_and_a_steady_memory_is_none():
    leaking = finding("trend of own < 2MiB/min", memory(5 * MIB))
    assert (leaking.outcome, leaking.unit) == ("broken", "bytes per second")
    assert leaking.low <= 5 * MIB / 60 <= leaking.high
    assert "over the limit of 2 MiB/min" in leaking.reason
    assert finding("trend of own < 2MiB/min", memory(0)).outcome == "held"
    assert finding("trend of own < 2MiB/min", sampled([50 * MIB] * 60)).outcome == "held"


def test_a_trend_whose_interval_holds_the_limit_cannot_be_told():
    one = finding("trend of own < 2MiB/min", memory(2 * MIB, noise=MIB))
    assert one.outcome == "inconclusive"
    assert one.low < 2 * MIB / 60 < one.high
    assert "/min, about the limit of 2 MiB/min, its samples vary too much, or are too few" in one.reason


def test_one_leaking_replica_among_others_is_enough_and_an_uncertain_one_is_not_hidden_by_a_sure_one():
    rest = memory(0, instance="shop.0")
    both = [*rest, *memory(5 * MIB, instance="shop.1")]
    assert finding("trend of own < 2MiB/min", both).outcome == "broken"
    unsure = [*memory(MIB, noise=0, instance="shop.0"), *memory(0, noise=20 * MIB, seed=3, instance="shop.1")]
    assert finding("trend of own < 2MiB/min", unsure).outcome == "inconclusive"


def test_a_trend_of_few_samples_is_no_trend():
    one = finding("trend of own < 2MiB/min", memory(0, seconds=15), end=15.0)
    assert (one.outcome, one.reason) == ("inconclusive", "a trend needs 16 samples, there were 15")
    one = finding("trend of own < 2MiB/min", [Sample(at=5.0, indicator="own", error="away")])
    assert (one.outcome, one.value) == ("inconclusive", None)


def test_a_replica_that_came_late_hides_no_leak_and_is_not_spoken_for_by_the_others():
    late = memory(0, seconds=5, start=50.0, instance="shop.2")
    leaking = finding("trend of own < 2MiB/min", [*memory(5 * MIB, instance="shop.1"), *late])
    assert leaking.outcome == "broken"
    steady = finding("trend of own < 2MiB/min", [*memory(0, instance="shop.1"), *late])
    assert steady.outcome == "inconclusive"


def test_a_restart_hides_no_leak():
    saw = [20 * MIB + 60 * MIB * (at % 20) / 20 for at in range(60)]
    one = finding("trend of own < 300MiB/min", sampled(saw, instance="shop.1"))
    assert one.outcome == "inconclusive"
    assert "it fell by more than half of shop.1, as after a restart" in one.reason


def test_the_interval_of_a_trend_holds_the_true_slope_as_often_as_it_says():
    chance, inside = random.Random(7), 0
    for _ in range(300):
        drift = 0.0
        values = []
        for at in range(300):
            drift = 0.8 * drift + chance.gauss(0, 1)
            values.append(drift + 0.05 * at)
        found = trend("", sampled(values))
        inside += found.low <= 0.05 <= found.high
    assert 0.90 * 300 <= inside <= 0.99 * 300


# --- ratios and restarts ---------------------------------------------------------------------------------------


def test_a_share_of_what_is_valid_is_of_sums():
    samples = [
        Sample(at=float(at), indicator="own", valid=17.0 if at == 5 else 20.0, total=20.0) for at in range(60)
    ]
    one = finding("own > 99.9%", samples, unit="share", counts="valid")
    assert (one.outcome, one.value) == ("broken", pytest.approx(1 - 3 / 1200))
    assert measure_samples(term("own"), samples[:5]).value == 1.0


def test_an_instance_that_ended_for_good_has_not_restarted_zero_times():
    here = sampled([0] * 60, instance="shop.0")
    ends = [*sampled([0] * 20, instance="shop.1"), *(
        Sample(at=at + 0.5, indicator="own", instance="shop.1", error="shop.1 ended") for at in range(20, 60)
    )]  # fmt: skip
    one = finding("own == 0", [*here, *ends], unit="count", measure="restarts")
    assert (one.outcome, one.reason) == ("inconclusive", "shop.1 ended")
    assert finding("own == 0", here, unit="count", measure="restarts").outcome == "held"
    once = sampled([0] * 30 + [1] * 30, instance="shop.1")
    assert finding("own == 0", [*here, *once], unit="count", measure="restarts").outcome == "broken"
    came_back = [*ends[:-1], *sampled([0], instance="shop.1", start=59.5)]
    assert finding("own == 0", [*here, *came_back], unit="count", measure="restarts").outcome == "held"


# --- cost ------------------------------------------------------------------------------------------------------


PRICE = Price(value=0.36, currency="USD")


def cost_of(crowd, limit="0.5 USD", *, price: Price | None = PRICE):
    asked = parse_assertion(f"cost < {limit}", "always", "expect", assertion("a < 1").place)
    there = Environment(name="local", path="/e.yaml", targets={}, price=price)
    made = plan(expect=(asked,), environment=there)
    record = Record.of(phases(zero=10.0, after=20.0, end=30.0), crowd.chunks(30.0))
    return judge(made, record).findings[0]


def test_a_million_requests_cost_the_price_of_the_time_that_they_take():
    one = cost_of(Crowd().steady(0, 30, rate=100))
    assert (one.outcome, one.unit) == ("broken", "USD")
    assert one.value == pytest.approx(0.36 / 3600 * 1e6 / 100, rel=0.01)
    assert one.reason.startswith("cost was 1 USD, over the limit of 0.5 USD, in 2,99")


def test_what_fails_was_paid_for_but_is_not_what_was_bought():
    one = cost_of(Crowd().steady(0, 30, rate=50).steady(0, 30, rate=50, key=BAD))
    assert one.value == pytest.approx(0.36 / 3600 * 1e6 / 50, rel=0.01)


def test_requests_without_an_answer_may_yet_have_been_worth_it():
    crowd = Crowd().steady(0, 30, rate=100)
    for number in range(2000):
        crowd.request(20 + number / 250, None)
    one = cost_of(crowd, limit="0.8 USD")
    assert one.outcome == "inconclusive"
    assert one.low < 0.8 < one.high


def test_money_that_bought_nothing_is_no_bargain():
    assert cost_of(Crowd().steady(0, 30, rate=50, key=BAD)).outcome == "broken"
    nobody = cost_of(Crowd())
    assert (nobody.outcome, nobody.value) == ("inconclusive", None)
    assert cost_of(Crowd().steady(0, 30), price=None).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(MIB / 60, "bytes per second", "1 MiB/min"), (0.01 / 60, "share per second", "1 %/min"), (0.9, "USD", "0.9 USD"),
     (2 / 60, "count per second", "2/min"), (14.4, "count", "14.4")],
)  # fmt: skip
def test_changes_and_money_are_said_as_people_do(value, unit, text):
    assert said(value, unit) == text


def test_the_terms_are_what_the_language_reads():
    asked = parse_assertion("trend of rss < 1MiB/min", "", "expect", assertion("a < 1").place)
    assert structs.replace(asked.term, text="") == structs.replace(term("trend", of="rss"), text="")
    assert asked.bound.value == pytest.approx(MIB / 60)
