"""Intervals that hold the truth as often as they say, and verdicts by them."""

import math

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from runner.load.frames import Key
from runner.plan_record import Harm
from runner.record import Record
from runner.statistics import sureness, transients
from runner.statistics.changes import CLEAR, steps_of_rate, steps_of_share
from runner.statistics.comparison import Measured, needed
from runner.statistics.cutting import Cut, Stretch
from runner.statistics.design_effect import DesignEffect
from runner.statistics.doubt import Doubt
from runner.statistics.intervals import of_ratio, of_share, ranks_from_top
from runner.statistics.measures import measure_cut
from runner.statistics.recovery import Line, between, fewest
from runner.timeline import Sample, StageBegun
from runner.verdict.judge import judge, steady_findings
from runner.verdict.record import Outcome
from tests.made import BAD, OK, Crowd, act, assertion, fault, indicator, phases, plan, term

KILL = {"when": "during", "name": "kill-one"}
AFTER_KILL = {"when": "after_name", "name": "kill-one"}
ALONE = DesignEffect()


def verdict_of(crowd, *, expect=(), end=40.0, extra=(), events=None, confidence=0.95, **more):
    more = {"faults": (fault(),), "steady_state": ()} | more
    made = plan(expect=tuple(expect), confidence=confidence, **more)
    told = [*phases(after=20.0, end=end + 1), *act()] if events is None else events
    return judge(made, Record.of([*told, *extra], crowd.chunks(end + 0.5)))


def only(crowd, expect, **more):
    return next(
        f for f in verdict_of(crowd, expect=(expect,), **more).findings if not f.when.startswith("steady")
    )


def crowd_with(errors, *, start=10, end=20, rate=60):
    """Forty seconds of requests; *errors* of those in [start, end) fail, evenly spread."""
    crowd, total = Crowd().steady(0, start, rate=rate), round((end - start) * rate)
    bad = {round((number + 0.5) * total / errors) for number in range(errors)} if errors else set()
    for number in range(total):
        crowd.request(start + (number + 0.5) / rate, 0.05, BAD if number in bad else OK)
    return crowd.steady(end, 40, rate=rate)


# the intervals themselves


def test_no_error_in_n_means_at_most_three_in_n():
    low, high = of_share(0, 600, ALONE, 0.95)
    assert (low, high) == (0.0, pytest.approx(3 / 600, rel=0.01))
    assert of_share(600, 600, ALONE, 0.95) == (pytest.approx(1 - high), 1.0)


@pytest.mark.parametrize(
    ("q", "requests"), [(0.5, 30), (0.95, 100), (0.95, 600), (0.99, 500), (0.99, 10_000)]
)
def test_ranks_hold_the_quantile_as_often_as_they_say(q, requests):
    low, high = ranks_from_top(q, requests, ALONE, 0.95)
    first, last = requests - low + 1, requests if high is None else requests - high
    held = binom.cdf(last, requests, q) - binom.cdf(first - 1, requests, q)
    assert 0.95 <= held <= 0.985


def test_a_high_quantile_of_few_requests_has_no_upper_end():
    assert ranks_from_top(0.99, 300, ALONE, 0.95)[1] is None
    assert ranks_from_top(0.99, 400, ALONE, 0.95)[1] == 1
    assert ranks_from_top(0.99, 400, DesignEffect(value=4.0, upper=5.0, blocks=100), 0.95)[1] is None


def test_a_ratio_is_less_certain_than_both_of_its_parts():
    low, high = of_ratio(0.12, (0.10, 0.15), 0.10, (0.09, 0.11))
    assert 0.12 / 0.10 * (0.10 / 0.12) > low > 0.10 / 0.11
    assert 0.15 / 0.09 > high > 0.15 / 0.10
    assert of_ratio(0.01, (0.005, 0.02), 0.0, (0.0, 0.004)) == (1.25, math.inf)


def test_what_is_needed_is_enough():
    short = only(crowd_with(6), assertion("error_rate < 0.02", **KILL))
    assert short.outcome == "inconclusive"
    more = 1 + short.needed_requests / short.requests
    assert short.needed_seconds == pytest.approx(10.1 * (more - 1), rel=0.05)
    _, high = of_share(6 * more, 600 * more, ALONE, 0.95)
    assert high == pytest.approx(0.02, rel=0.15)
    assert needed(Measured(0.02, 0.01, 0.03, requests=9, known=(0.02, 0.02)), 0.02) is None


def clustered(rng, seconds=120, rate=50, share=0.05):
    """A cut of requests that share their luck for a second."""
    slot = np.repeat(np.arange(seconds * 10), rate // 10)
    bad = rng.random(len(slot)) < np.repeat(rng.beta(share * 19, (1 - share) * 19, seconds), rate)
    none = np.zeros(0, dtype=np.int64)
    same = np.ones(len(slot), dtype=np.int64)
    return Cut(
        slot, same, same, bad, none, none.astype(float), none, Stretch(0, seconds * 10), (0,), (seconds * 10,)
    )


def held_share(name, runs=150):
    """How often the interval holds the true share."""
    rng, held = np.random.default_rng(4), 0
    for _ in range(runs):
        one = clustered(rng)
        found = sureness.sure(
            one, term(name), measure_cut(one, term(name), seconds=120), Doubt(0.95), seconds=120
        )
        held += found.low <= 0.05 <= found.high
    return held / runs


def test_requests_that_share_their_luck_are_not_taken_for_independent_ones(monkeypatch):
    """The mutation is in the test: without the design effect the interval holds the truth far less often."""
    assert 0.92 <= held_share("error_rate") <= 0.99
    monkeypatch.setattr(sureness, "design_effect", lambda *_, **__: ALONE)
    assert held_share("error_rate") < 0.8


def test_errors_at_the_edge_of_a_fault_are_no_noise():
    burst = Crowd().steady(0, 10).steady(10, 10.5, rate=30, key=BAD).steady(10, 40)
    sure = only(burst, assertion("error_rate < 0.05", **KILL))
    assert (sure.outcome, sure.requests) == ("held", 618)
    assert sure.low > 0.005
    elsewhere = Crowd().steady(0, 10).steady(10, 16).steady(15, 15.5, rate=30, key=BAD).steady(16, 40)
    unsure = only(elsewhere, assertion("error_rate < 0.05", **KILL))
    assert unsure.high > 1.5 * sure.high
    assert transients.levels(np.zeros(100), np.full(100, 6.0), [0], slot=0.1) == ()


# three outcomes


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [(0, "held"), (1, "held"), (6, "inconclusive"), (18, "inconclusive"), (40, "broken")],
)
def test_a_finding_is_held_or_broken_only_with_its_whole_interval(errors, outcome):
    finding = only(crowd_with(errors), assertion("error_rate < 0.02", **KILL))
    assert finding.outcome == outcome
    assert finding.confidence == 0.95
    assert finding.low <= finding.value <= finding.high
    assert (finding.needed_requests is not None) == (outcome == "inconclusive")


def test_a_finding_says_its_interval_and_what_more_it_takes():
    finding = only(crowd_with(6), assertion("error_rate < 0.02", **KILL))
    assert finding.reason.startswith("error_rate was 0.995 % (95 %: 0.")
    assert "with the limit of 2 % inside, in 603 requests: cannot tell, needs about " in finding.reason
    assert finding.reason.endswith(" s more)")
    held = only(crowd_with(0), assertion("error_rate < 0.02", **KILL))
    assert (
        held.reason == "error_rate was 0 % (95 %: 0 % to 0.496 %), within the limit of 2 %, in 603 requests"
    )


@pytest.mark.parametrize(("errors", "outcome"), [(6, "held"), (18, "broken")])
def test_confidence_none_judges_by_points(errors, outcome):
    asked = assertion("error_rate < 0.02", **KILL)
    for finding in (
        only(crowd_with(errors), asked, confidence=0.0),
        only(crowd_with(errors), msgspec.structs.replace(asked, confidence=0.0)),
    ):
        assert (finding.outcome, finding.confidence, finding.low) == (outcome, None, None)


def test_more_confidence_asks_for_more():
    asked = assertion("error_rate < 0.02", **KILL)
    by = {
        share: only(crowd_with(4), msgspec.structs.replace(asked, confidence=share)) for share in (0.8, 0.99)
    }
    assert (by[0.8].outcome, by[0.99].outcome) == ("held", "inconclusive")


def test_the_worst_of_many_windows_has_to_be_sure_for_all_of_them():
    asked = assertion("error_rate < 0.05", **KILL)
    once = only(crowd_with(1), asked)
    worst = only(crowd_with(1), msgspec.structs.replace(asked, over=2.0))
    assert worst.requests == 120
    _, alone = of_share(1, 120, ALONE, 0.95)
    assert worst.high > alone > once.high
    assert worst.needed_seconds is None


# several windows, several requests


def broken_at_the_limit(rng, *, each):
    """Whether a line is broken in a run whose every request fails with just the chance that is its limit."""
    crowd = Crowd().steady(0, 10, rate=20)
    names = [f"GET /of/{letter}" for letter in "abcdefgh"] if each else ["GET /of/a"]
    places = [(10, 20)] if each else [(10 + 10 * number, 20 + 10 * number) for number in range(8)]
    for start, end in places:
        for name in names:
            for number in range((end - start) * 20):
                key = Key(name, 503, "HTTPError(503)") if rng.random() < 0.1 else Key(name, 200)
                crowd.request(start + (number + 0.5) / 20, 0.01, key)
    last = places[-1][1]
    events = phases(after=float(last), end=last + 1.0)
    for number, (start, end) in enumerate(places):
        events += act(start=float(start), end=end - 0.1, occurrence=number)
    selector = {"selector": {"request": "GET /of/*", "each": True}} if each else {}
    asked = assertion("error_rate < 0.1", **KILL, **selector)
    found = verdict_of(crowd, expect=(asked,), end=float(last), events=events, confidence=0.8)
    mine = [finding for finding in found.findings if not finding.when.startswith("steady")]
    assert len(mine) == len(names)
    return any(finding.outcome == "broken" for finding in mine)


@pytest.mark.parametrize("each", [False, True])
def test_one_of_many_is_seldom_broken_by_chance(each):
    rng, runs = np.random.default_rng(3), 60
    broken = sum(broken_at_the_limit(rng, each=each) for _ in range(runs))
    assert binom.sf(broken - 1, runs, 0.2) > 1e-3, f"{broken} of {runs}"  # alone, each is so in up to 20 %


# facts


def test_facts_have_no_confidence():
    crowd = crowd_with(0)
    for text in ("requests > 5", "errors < 5", "max < 9", "users < 9", "in_flight < 99"):
        finding = only(crowd, assertion(text, **KILL))
        assert finding.confidence is None, text
    samples = [Sample(at=float(at), indicator="rss", value=100.0) for at in range(40)]
    finding = only(crowd, assertion("rss < 500", **KILL), extra=samples, indicators=(indicator("rss"),))
    assert (finding.outcome, finding.confidence) == ("held", None)


def test_a_rate_and_a_mean_have_intervals():
    rng, crowd = np.random.default_rng(1), Crowd()
    for at in np.sort(rng.uniform(0, 40, 2400)):
        crowd.request(float(at), float(rng.lognormal(-3, 0.5)))
    for text in ("rps > 30", "mean < 0.2"):
        finding = only(crowd, assertion(text, **KILL))
        assert finding.outcome == "held"
        assert finding.low < finding.value < finding.high


@pytest.mark.parametrize(("bad", "outcome"), [(0, "held"), (10, "inconclusive"), (60, "broken")])
def test_a_ratio_that_was_counted_has_an_interval(bad, outcome):
    samples = [
        Sample(at=float(at), indicator="rss", bad=float(at % 11 < bad / 10), total=50.0) for at in range(40)
    ]
    finding = only(
        crowd_with(0), assertion("rss < 0.01", **KILL), extra=samples, indicators=(indicator("rss"),)
    )
    assert finding.outcome in {outcome, "inconclusive"}
    assert (finding.outcome == "held") == (bad == 0)
    assert finding.confidence == 0.95


def test_waiting_requests_bound_both_ways_whatever_the_confidence():
    crowd = Crowd().steady(0, 40)
    for _ in range(80):
        crowd.request(15.0, None)
    assert only(crowd, assertion("p95 < 1", **KILL), end=40.0).outcome == "broken"
    finding = only(crowd, assertion("p95 < 30", **KILL), end=40.0)
    assert (finding.outcome, finding.high, finding.needed_requests) == ("inconclusive", None, None)
    assert "some were never answered" in finding.reason


def test_a_quantile_without_an_upper_end_says_how_many_requests_it_needs():
    finding = only(Crowd().steady(0, 40, rate=4), assertion("p95 < 0.1", **KILL))
    assert (finding.outcome, finding.high, finding.value) == (
        "inconclusive",
        None,
        pytest.approx(0.05, rel=0.01),
    )
    assert finding.requests + finding.needed_requests >= 59  # ln 0.05 / ln 0.95
    assert "no upper end" in finding.reason


# relative bounds and drift


def noisy(levels, *, rate=60, seed=1):
    """Lognormal latency around each (start, end, level)."""
    rng, crowd = np.random.default_rng(seed), Crowd()
    for start, end, level in levels:
        for number in range(round((end - start) * rate)):
            crowd.request(start + (number + 0.5) / rate, float(level * rng.lognormal(0, 0.4)))
    return crowd


@pytest.mark.parametrize(("times", "outcome"), [(1.0, "held"), (1.5, "inconclusive"), (2.5, "broken")])
def test_a_multiple_of_before_counts_the_doubt_about_before(times, outcome):
    finding = only(
        noisy([(0, 10, 0.05), (10, 20, 0.05 * times), (20, 40, 0.05)]), assertion("p95 < 1.5x", **KILL)
    )
    assert finding.outcome == outcome
    assert finding.low < finding.value < finding.high


def test_within_is_two_sided_with_intervals_too():
    near = msgspec.structs.replace(assertion("p95 < 1x", **KILL), within=0.5)
    for times, outcome in ((1.0, "held"), (0.25, "broken"), (2.5, "broken")):
        crowd = noisy([(0, 10, 0.05), (10, 20, 0.05 * times), (20, 40, 0.05)])
        assert only(crowd, near).outcome == outcome, times


def test_a_baseline_that_moved_decides_nothing():
    moved = noisy([(0, 10, 0.05), (10, 20, 0.15), (20, 40, 0.15)])
    finding = only(moved, assertion("p95 < 1.5x", **KILL))
    assert finding.outcome == "inconclusive"
    assert "but the baseline moved: after, it was " in finding.reason
    still = noisy([(0, 10, 0.05), (10, 20, 0.15), (20, 40, 0.05)])
    assert only(still, assertion("p95 < 1.5x", **KILL)).outcome == "broken"


# the gate


def test_lack_of_certainty_does_not_forbid_to_inject():
    made = plan(confidence=0.95, steady_state=(assertion("error_rate < 0.01"),))
    record = Record.of(phases(), Crowd().steady(0, 10, rate=5).chunks(10.1, final=False))
    assert [f.outcome for f in steady_findings(made, record, "before")] == ["held"]
    bad = Record.of(phases(), Crowd().steady(0, 10, rate=5).request(5.0, 0.05, BAD).chunks(10.1, final=False))
    assert [f.outcome for f in steady_findings(made, bad, "before")] == ["broken"]
    none = Record.of(phases(), Crowd().chunks(10.1, final=False))
    assert [f.outcome for f in steady_findings(made, none, "before")] == ["inconclusive"]


def test_a_steady_state_that_is_not_sure_is_no_pass():
    verdict = verdict_of(Crowd().steady(0, 40, rate=5), steady_state=(assertion("error_rate < 0.01"),))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "cannot tell, needs about" in verdict.reason


# recovery


def recovering(good_from, *, rate=60, limit=10, relapse=None, share=1.0):
    crowd = Crowd().steady(0, 10, rate=rate)
    crowd.steady(10, good_from, rate=rate * share, key=BAD).steady(
        10 if share < 1 else good_from, 40, rate=rate
    )
    if relapse:
        crowd.steady(*relapse, rate=rate, key=BAD)
    return only(
        crowd, assertion(f"recovery < {limit}", **AFTER_KILL), steady_state=(assertion("error_rate < 0.1"),)
    )


def test_recovery_lies_between_the_last_surely_bad_and_the_first_surely_good():
    finding = recovering(24.0)
    assert (finding.outcome, finding.value, finding.confidence) == ("held", 4.0, 0.95)
    assert (finding.low or finding.value, finding.high or finding.value) == (4.0, 4.0)


def test_recovery_at_few_requests_is_an_interval():
    rng = np.random.default_rng(2)
    tries = np.full(60, 3.0)
    hits = rng.binomial(3, np.where(np.arange(60) < 12, 0.5, 0.005)).astype(float)
    bad = tuple(bool(one > 0.1 * 3) for one in hits)
    found = between([Line(bad, hits, tries, 0.1)], confidence=0.95)
    assert found.low < 12 <= found.high < 40


@pytest.mark.parametrize(("limit", "confidence"), [(0.01, 0.95), (0.05, 0.95), (0.1, 0.99)])
def test_the_fewest_requests_that_show_a_recovery_are_known_before(limit, confidence):
    def seen(requests):
        tries = np.full(10, requests / 10)
        return between([Line((False,) * 10, np.zeros(10), tries, limit)], confidence=confidence).high

    needs = fewest(limit, confidence)
    assert (seen(needs), seen(needs - 1)) == (0, None)


def test_a_later_start_is_one_of_many_and_needs_more():
    tries, hits = np.full(20, 30.0), np.zeros(20)
    hits[3] = 1.0  # the first three seconds look good, and cannot show it
    bad = tuple(bool(one) for one in hits)
    assert fewest(0.01, 0.95) < 16 * 30
    assert between([Line(bad, hits, tries, 0.01)], confidence=0.95).high is None
    assert between([Line((False,) * 20, np.zeros(20), tries, 0.01)], confidence=0.95).high == 0


def test_a_kill_that_nobody_felt_is_judged_where_there_is_more_to_see():
    """Ten seconds until it is started again are too few requests, the twenty after it are enough."""
    harms = (Harm(fault="kill-one", does="kills", acts=(), recovers_from="injection"),)
    crowd, asked = Crowd().steady(0, 40, rate=30), assertion("recovery < 5", **AFTER_KILL)
    finding = only(crowd, asked, steady_state=(assertion("error_rate < 0.01"),), harms=harms)
    assert (finding.outcome, finding.value) == ("held", 0.0)


def test_what_a_recovery_needs_more_counts_the_errors_that_came():
    def seen(good):
        """Ten seconds that all stay under the line, by little, then *good* requests in one."""
        hits, tries = np.array([8.0] * 10 + [0.0]), np.array([1000.0] * 10 + [good])
        return between([Line((False,) * 11, hits, tries, 0.01)], confidence=0.95)

    more = seen(0.0).needs.requests
    assert (seen(more).high, seen(more - 1).high) == (0, None)


def test_a_relapse_is_seen_and_said():
    finding = recovering(22.0, relapse=(33.2, 33.8))
    assert (finding.outcome, finding.value) == ("broken", 14.0)
    assert "a relapse: it had held from 2 s on" in finding.reason


def test_a_recovery_that_never_surely_came_is_not_held():
    finding = recovering(39.5)
    assert finding.outcome == "broken"
    assert finding.high is None
    assert "not surely held again when the run ended" in finding.reason
    late = recovering(39.5, limit=25)
    assert late.outcome == "inconclusive"
    assert late.reason.endswith(
        "cannot tell, needs about 42 more requests (1 s more) of which none breaks it"
    )
    assert (finding.needed_requests, late.needed_requests) == (None, 42)
    assert 0 < late.needed_seconds <= 2


@pytest.mark.parametrize("bad", [(), (2,), (0, 1, 2, 6)])
def test_what_a_recovery_needs_more_is_just_enough(bad):
    def seen(good):
        """Ten seconds in which those of *bad* break the line, then *good* requests in one."""
        hits = np.array([4.0 if second in bad else 0.0 for second in range(10)] + [0.0])
        line = Line((*(bool(one) for one in hits[:-1]), False), hits, np.array([12.0] * 10 + [good]), 0.01)
        return between([line], confidence=0.95)

    assert seen(0.0).high is None
    more = seen(0.0).needs.requests
    assert (seen(more).high, seen(more - 1).high) == (max(bad, default=-1) + 1, None)


# changes


def test_a_change_at_a_faults_edge_is_explained_by_it_and_told_with_the_finding():
    crowd = Crowd().steady(0, 10).steady(10, 20, took=0.2).steady(20, 40)
    verdict = verdict_of(crowd, expect=(assertion("p95 < 1", **KILL), assertion("error_rate < 1", **KILL)))
    told = [(round(change.at), change.what, change.cause) for change in verdict.changes]
    assert told == [(10, "p95", "start of kill-one"), (20, "p95", "end of kill-one")]
    assert verdict.changes[0].after == pytest.approx(0.2, rel=0.01)
    assert [finding.changed_at for finding in verdict.findings] == [("start of kill-one",), ()]


def test_requests_that_did_not_change_are_not_said_to_have():
    other = Key("GET /home", 200)
    crowd = Crowd().steady(0, 10).steady(10, 20, took=0.2).steady(20, 40).steady(0, 40, rate=20, key=other)
    asked = [assertion("p95 < 1", **KILL, selector={"request": name}) for name in ("GET /item", "GET /home")]
    assert [f.changed_at for f in verdict_of(crowd, expect=asked).findings] == [("start of kill-one",), ()]


def test_a_change_that_nothing_explains_is_marked():
    crowd = Crowd().steady(0, 30).steady(30, 40, key=BAD)
    (change,) = verdict_of(crowd).changes
    assert (round(change.at), change.what, change.cause) == (30, "error_rate", "")
    assert (change.before, change.after) == (0.0, 1.0)


def test_a_stage_explains_a_change_of_the_rate():
    crowd = Crowd().steady(0, 30).steady(30, 40, rate=120)
    stages = [StageBegun(at=0.0, load="shoppers", name="a"), StageBegun(at=30.0, load="shoppers", name="b")]
    (change,) = verdict_of(crowd, extra=stages).changes
    assert (change.what, change.cause) == ("rps", "stage b")


def test_where_nothing_changes_seldom_anything_is_seen():
    rng, seen = np.random.default_rng(5), 0
    for _ in range(60):
        total = rng.poisson(60, 300).astype(float)
        share = np.clip(
            0.1 + 0.02 * np.convolve(rng.normal(size=320), np.ones(20) / 4.5, "valid")[:300], 0, 1
        )
        found = [
            *steps_of_share(rng.binomial(total.astype(int), share).astype(float), total),
            *steps_of_rate(total),
        ]
        seen += any(step.size >= CLEAR for step in found)
    assert seen <= 4
