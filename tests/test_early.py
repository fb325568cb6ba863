"""What is decided ends early, by evidence that is valid whenever one stops; the verdict reads it from the record."""

import random

import msgspec
import pytest

from runner.errors import Place
from runner.plan_record import StageWindow, Window
from runner.planning.endings import endings, may_move, planned_end
from runner.record import Record
from runner.statistics.sequential import needed
from runner.timeline import Decided
from runner.verdict.case import case_of
from runner.verdict.early import evidence_of
from runner.verdict.judge import judge
from runner.verdict.windows import harmed_by
from tests.made import BAD, OK, Crowd, act, assertion, fault, phases, plan
from tests.runs import Workplace

DURING = {"when": "during", "name": "kill-one", "confidence": 0.95}
AFTER = {"when": "after", "confidence": 0.95}
PLACE = Place(file="x.yaml", line=3)


def laid_out(*, expect, steady=(), windows=(("kill-one", 0.0, 60.0),), later_stage=False, **more):
    """A minute of a fault, and twenty seconds after."""
    names = dict.fromkeys(name for name, _, _ in windows)
    last = max(end for _, _, end in windows)
    made = plan(
        expect=tuple(expect), steady_state=tuple(steady), faults=tuple(map(fault, names)), ends=last + 20.0, after=20.0,
        stop_when_decided=True, **more,
    )  # fmt: skip
    laid = [
        Window(fault=name, occurrence=[other for other, _, _ in windows[:number]].count(name), start=start, end=end, instances=("shop.1",), place=PLACE)
        for number, (name, start, end) in enumerate(windows)
    ]  # fmt: skip
    stages = [
        StageWindow(load="shoppers", stage="steady", start=5.0 if later_stage else -10.0, end=last + 20.0)
    ]
    return msgspec.structs.replace(made, windows=tuple(laid), stages=tuple(stages), faults_end=last)


def kept(made):
    return {(one.fault, one.occurrence): one.kept for one in endings(made)}


def test_a_fault_may_end_when_every_assertion_about_it_alone_is_a_question_about_a_share():
    made = laid_out(expect=[assertion("error_rate < 0.02", **DURING), assertion("p95 < 0.3", **DURING)])
    first, after = endings(made)
    assert [one.text for one in first.asked] == ["error_rate < 0.02", "p95 < 0.3"]
    assert first.kept == ""
    assert after.kept == "nothing is asserted about it alone"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (assertion("max < 1", **DURING), "no share of the requests"),
        (assertion("p95 < 1.2x", **DURING), "no share of the requests"),
        (assertion("error_rate < 0.02", **DURING, over=5.0), "every part"),
        (assertion("error_rate < 0.02", **DURING, lasting=5.0), "every part"),
        (assertion("error_rate < 0.02", **DURING, selector={"request": "GET *", "each": True}), "not seen yet"),
        (assertion("error_rate < 0.02", **DURING | {"confidence": 0.0}), "by points"),
        (assertion("error_rate < 0.02", confidence=0.95), "more than this window"),
        (assertion("error_rate < 0.02", when="during", name="steady", confidence=0.95), "more than this window"),
        (assertion("recovery < 5", when="after_name", name="kill-one"), "recovery"),
    ],
)  # fmt: skip
def test_one_assertion_that_nothing_decides_early_keeps_its_windows_to_their_end(asked, why):
    made = laid_out(expect=[assertion("error_rate < 0.02", **DURING), asked])
    assert why in kept(made)["kill-one", 0]
    assert asked.text in kept(made)["kill-one", 0]


def test_each_occurrence_and_each_fault_is_decided_by_itself_unless_they_overlap():
    question = assertion("error_rate < 0.02", **DURING)
    twice = laid_out(expect=[question], windows=(("kill-one", 0.0, 10.0), ("kill-one", 20.0, 30.0)))
    assert not any(kept(twice)[name, number] for name, number in (("kill-one", 0), ("kill-one", 1)))
    other = assertion("error_rate < 0.02", when="during", name="slow", confidence=0.95)
    crossed = laid_out(expect=[question, other], windows=(("kill-one", 0.0, 10.0), ("slow", 5.0, 30.0)))
    assert all("more than this window" in kept(crossed)[name, 0] for name in ("kill-one", "slow"))
    every = assertion("error_rate < 0.02", when="faults", confidence=0.95)
    assert kept(laid_out(expect=[every]))["kill-one", 0] == ""
    assert kept(laid_out(expect=[every], windows=(("kill-one", 0.0, 10.0), ("kill-one", 20.0, 30.0))))[
        "kill-one", 0
    ]


def test_the_time_after_ends_when_the_steady_state_is_decided_too():
    steady = (assertion("p95 < 0.15", confidence=0.95),)
    made = laid_out(expect=[assertion("error_rate < 0.02", **AFTER)], steady=steady)
    after = endings(made)[-1]
    assert [one.text for one in after.asked] == ["p95 < 0.15", "error_rate < 0.02"]
    assert "max < 1" in endings(laid_out(expect=[assertion("max < 1", **AFTER)], steady=steady))[-1].kept


def test_a_run_whose_fault_ended_early_ends_as_long_after_as_was_planned_unless_something_still_looks():
    made = laid_out(
        expect=[assertion("error_rate < 0.02", **DURING)], steady=(assertion("p95 < 0.15", confidence=0.95),)
    )
    assert planned_end(made, zero=10.0, after=20.0, cut=True) == 40.0
    assert planned_end(made, zero=10.0, after=70.2, cut=False) == 90.2
    looking = laid_out(expect=[assertion("max < 1", **AFTER)])
    assert planned_end(looking, zero=10.0, after=20.0, cut=True) == 90.0
    assert may_move(made)
    assert not may_move(laid_out(expect=[], later_stage=True))


def verdict_of(bad, *, seconds, expect, early=40.0, answered=True):
    """A fault cut after *seconds*, of whose requests the share *bad* failed, at random."""
    random_one = random.Random(5)
    crowd = Crowd().steady(0, 9.9).steady(10 + seconds, 20 + seconds)
    for number in range(round(seconds * 60)):
        hit = random_one.random() < bad
        crowd.request(10 + (number + 0.5) / 60, (0.05 if answered or not hit else None), BAD if hit else OK)
    events = [*phases(after=10 + seconds, end=20.5 + seconds), *act(end=10 + seconds)]
    if early:
        until = 10 + seconds - 0.5
        events.append(Decided(at=10 + seconds - 0.1, fault="kill-one", early=early, until=until))
    made = laid_out(expect=expect)
    return judge(made, Record.of(events, crowd.chunks(20.4 + seconds)))


@pytest.mark.parametrize(("bad", "outcome"), [(0.001, "held"), (0.15, "broken")])
def test_a_verdict_on_a_fault_that_ended_early_is_the_evidence_of_its_record(bad, outcome):
    [finding] = verdict_of(bad, seconds=20.0, expect=[assertion("error_rate < 0.05", **DURING)]).findings
    assert finding.outcome == outcome
    assert "decided after" in finding.reason
    assert "40 s earlier than planned" in finding.reason
    assert (finding.low, finding.high) == (None, None)  # an interval for a fixed number would be wrong here


def test_a_record_that_does_not_decide_what_was_cut_short_is_inconclusive_though_an_interval_would_hold():
    expect = [assertion("error_rate < 0.05", **DURING)]
    [finding] = verdict_of(0.0, seconds=5.0, expect=expect).findings
    assert finding.outcome == "inconclusive"
    assert "does not decide" in finding.reason
    [whole] = verdict_of(0.0, seconds=5.0, expect=expect, early=0.0).findings
    assert whole.outcome == "held"


def test_one_of_two_windows_is_broken_early_only_by_as_much_more_evidence():
    made = laid_out(
        expect=[assertion("error_rate < 0.05", **DURING)],
        windows=(("kill-one", 0.0, 10.0), ("kill-one", 20.0, 30.0)),
    )
    first = endings(made)[0]
    case = case_of(
        made, Record.of([*phases(after=30), *act(end=20)], Crowd().steady(0, 30).chunks(30.0)), live=True
    )
    [asked] = first.asked
    found = evidence_of(
        case, asked, asked.term, harmed_by(case.moments.occurrences[0], case.moments), until=20.0
    )
    assert found.needed_under == pytest.approx(needed(0.95))
    assert found.needed_over == pytest.approx(needed(0.975))


def test_requests_without_an_answer_never_count_for_what_is_held():
    expect = [assertion("error_rate < 0.05", **DURING)]
    [finding] = verdict_of(0.15, seconds=20.0, expect=expect, answered=False).findings
    assert finding.outcome != "held"


SLOW = "  slow: {kind: latency, target: store-link, delay: 20ms, at: 0s, for: 40s}"


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def scenario_of(place, faults, expect, **more):
    path = place.scenario(faults, expect=expect, **more)
    text = (
        path.read_text()
        .replace("rate: 40/s", "rate: 80/s")
        .replace("[p95 < 1s, error_rate < 5%]", "[p50 < 1s, error_rate < 20%]")
    )
    path.write_text(text.replace("confidence: none", "confidence: 95%") + "stop_when_decided: true\n")
    return path


def decided(place):
    return {event.get("fault", ""): event["early"] for event in place.events() if event["event"] == "decided"}


def test_a_run_that_holds_ends_early_and_passes_and_so_says_its_record(place):
    code, output = place.run_fairly(
        scenario_of(place, SLOW, "[{during slow: [error_rate < 20%, p50 < 1s]}]", after="30s")
    )
    assert code == 0, output
    assert decided(place).keys() == {"slow", ""}
    assert min(decided(place).values()) > 10
    verdict = place.verdict()
    cut = [one for one in verdict["findings"] if "earlier than planned" in one["reason"]]
    assert [one["when"] for one in cut] == [
        "during slow",
        "during slow",
        "steady state after",
        "steady state after",
    ]
    assert verdict["faults"][0]["reverted_by"] == "runner"
    assert place.squall("judge", place.folders()[-1])[0] == 0
    assert place.verdict() == verdict


def test_a_run_that_breaks_ends_its_harm_early_and_what_follows_comes_sooner(place):
    # slow beyond all that a busy machine does before: requests that come late in clumps there would count for less
    faults = SLOW.replace("20ms", "400ms")
    faults += "\n  again: {kind: latency, target: store-link, delay: 1ms, at: end of slow + 1s, for: 1s}"
    code, output = place.run_fairly(scenario_of(place, faults, "[{during slow: p50 < 300ms}]", after="6s"))
    assert code == 1, output
    assert decided(place)["slow"] > 10
    slow, again = place.verdict()["faults"]
    assert again["injected_at"] - slow["reverted_at"] < 10
    [broken] = [one for one in place.verdict()["findings"] if one["outcome"] == "broken"]
    assert "decided after" in broken["reason"]


def test_a_plan_says_what_may_end_early_and_what_keeps_the_rest(place):
    expect = "[{during slow: error_rate < 20%}, {after: max < 1s}]"
    code, output = place.squall("plan", scenario_of(place, SLOW, expect), "--env", place.environment)
    assert code == 0, output
    assert "slow: error_rate < 20%" in output
    assert "the time after: lasts its 1 s: `max < 1s` after: it asks for no share" in output
