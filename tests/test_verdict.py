import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.assertions import Bound
from runner.faults.cpu import Cpu
from runner.load.frames import Key
from runner.plan_record import Harm
from runner.plan_record import Window as Planned
from runner.record import Record
from runner.timeline import (
    ActChanged,
    Confirmed,
    Control,
    Escaped,
    HaltPulled,
    Note,
    Phase,
    Sample,
    StageBegun,
)
from runner.verdict.judge import judge, steady_findings
from runner.verdict.record import Outcome
from tests.made import (
    BAD,
    OK,
    Crowd,
    act,
    assertion,
    fault,
    indicator,
    load,
    phases,
    plan,
    term,
)

KILL = {"when": "during", "name": "kill-one"}
AFTER_KILL = {"when": "after_name", "name": "kill-one"}
STEADY = (assertion("p95 < 0.15"), assertion("error_rate < 0.01"))


def shopping():
    """Forty seconds: 10 s before, a kill from 10 to 20, until 40."""
    return Crowd().steady(0, 40, rate=60)


def verdict_of(crowd=None, *, expect=(), steady=STEADY, events=None, end=40.0, chunks=None, extra=(), **more):
    more = {"faults": (fault(),)} | more
    made = plan(expect=tuple(expect), steady_state=tuple(steady), **more)
    told = [*phases(after=20.0, end=end + 1), *act()] if events is None else events
    crowd = shopping() if crowd is None else crowd
    return judge(made, Record.of([*told, *extra], crowd.chunks(end + 0.5) if chunks is None else chunks))


def only(crowd=None, *, expect, **more):
    """The finding of the one line in `expect`."""
    return next(
        f for f in verdict_of(crowd, expect=(expect,), **more).findings if not f.when.startswith("steady")
    )


# outcomes


def test_a_run_whose_assertions_hold_passes():
    verdict = verdict_of(
        expect=(assertion("error_rate < 0.02", **KILL), assertion("recovery < 10", **AFTER_KILL))
    )
    assert verdict.outcome is Outcome.PASSED
    assert verdict.reason == "all 6 assertions held"
    assert [finding.when for finding in verdict.findings] == [
        "steady state before", "steady state before", "during kill-one", "after kill-one",
        "steady state after", "steady state after",
    ]  # fmt: skip
    assert verdict.zero == 10.0
    assert verdict.started.startswith("2023-11-14T22:13:20")


def test_a_broken_expectation_fails_and_says_why_in_one_sentence():
    crowd = Crowd().steady(0, 10).steady(10, 20, rate=60, took=0.188).steady(20, 40)
    verdict = verdict_of(crowd, expect=(assertion("p95 < 0.15", **KILL),))
    assert verdict.outcome is Outcome.FAILED
    finding = verdict.findings[2]
    assert (finding.outcome, finding.requests, finding.unit) == ("broken", 603, "seconds")
    assert finding.reason == "p95 was 188 ms, over the limit of 150 ms, in 603 requests"
    assert (finding.file, finding.line) == ("x.yaml", 7)
    assert verdict.reason == f"during kill-one: p95 < 0.15: {finding.reason}"


def test_a_steady_state_broken_afterwards_fails():
    crowd = Crowd().steady(0, 25).steady(25, 40, took=0.3)
    verdict = verdict_of(crowd)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith("steady state after: p95 < 0.15")


def test_a_system_that_was_not_steady_before_is_inconclusive_whatever_came_then():
    crowd = Crowd().steady(0, 10, took=0.3).steady(10, 40, took=0.5)
    verdict = verdict_of(crowd, expect=(assertion("p95 < 0.15", **KILL),), events=phases(end=11.0), end=10.5)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.startswith("not steady before, so nothing was injected: p95 < 0.15: p95 was 300 ms")


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("rule", Outcome.HALTED), ("signal", Outcome.HALTED), ("command", Outcome.HALTED), ("guardian", Outcome.HALTED),
        ("disk", Outcome.HALTED), ("evidence", Outcome.INCONCLUSIVE), ("defect", Outcome.DEFECT),
    ],
)  # fmt: skip
def test_what_halted_a_run_decides(cause, outcome):
    halt = HaltPulled(
        at=15.0, cause=cause, reason="because", rule="error_rate > 20%" if cause == "rule" else ""
    )
    events = [*phases(end=16.0), *act(end=15.1), halt]
    verdict = verdict_of(Crowd().steady(0, 15), events=events, end=15.0)
    assert verdict.outcome is outcome
    assert verdict.reason.endswith("because")
    assert [f.outcome for f in verdict.findings if f.when == "halt"] == (
        ["broken"] if cause == "rule" else []
    )


def test_the_rule_that_halted_is_a_finding_with_its_place():
    rule = assertion("error_rate > 0.2")
    halt = HaltPulled(
        at=12.0,
        cause="rule",
        reason="it was 31 %",
        rule=rule.text,
        value=0.31,
        limit=0.2,
        requests=77,
        breached_at=11.8,
    )
    verdict = verdict_of(
        Crowd().steady(0, 12), events=[*phases(end=13.0), *act(end=12.1), halt], end=12.0, halt=(rule,)
    )
    finding = verdict.findings[-1]
    assert (finding.when, finding.value, finding.limit, finding.unit, finding.requests) == (
        "halt",
        0.31,
        0.2,
        "share",
        77,
    )
    assert (finding.start, finding.end, finding.line) == (11.8, 12.0, 7)


def test_the_worst_halt_wins():
    halts = [
        HaltPulled(at=12.0, cause="evidence", reason="dried up"),
        HaltPulled(at=12.1, cause="signal", reason="SIGINT"),
    ]
    events = [*phases(end=13.0), *act(end=12.2), *halts]
    assert verdict_of(Crowd().steady(0, 12), events=events, end=12.0).reason == "SIGINT"


def test_what_is_not_as_it_was_is_worse_than_all_else():
    events = [*phases(end=31.0), *act(last="dirty"), HaltPulled(at=12.0, cause="defect", reason="oops")]
    verdict = verdict_of(events=events)
    assert verdict.outcome is Outcome.DIRTY
    assert "shop.1" in verdict.reason


def test_a_managed_process_that_is_left_dirty_counts():
    start = ActChanged(
        at=41.0,
        act="start/shop.1",
        fault="",
        kind="spawn",
        instance="shop.1",
        state="dirty",
        evidence="it lives on",
        remedy="kill 17",
    )
    verdict = verdict_of(extra=[start])
    assert verdict.outcome is Outcome.DIRTY
    assert verdict.reason == "not all is as it was: shop.1: it lives on; kill 17"


def test_an_invalid_note_keeps_a_run_from_passing():
    verdict = verdict_of(extra=[Note(at=12.0, level="invalid", text="the clock jumped")])
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "the clock jumped")


def test_a_warning_is_noted_and_changes_nothing():
    verdict = verdict_of(extra=[Note(at=12.0, level="warning", text="hm")])
    assert (verdict.outcome, verdict.notes) == (Outcome.PASSED, ("hm",))


def test_a_run_that_never_reached_t_0_is_inconclusive():
    verdict = verdict_of(
        Crowd(), steady=(), faults=(), events=[Phase(at=1.0, name="targets"), Phase(at=2.0, name="end")]
    )
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.zero is None


# a runner that died


def test_a_dead_runner_whose_guardian_undid_everything_is_halted():
    mine, theirs = act(end=15.2, by="guardian")[:3], act(end=15.2, by="guardian")[3:]
    last_word = Note(at=15.0, text="still here")
    verdict = verdict_of(Crowd().steady(0, 15), events=[*phases(), *mine, last_word, *theirs], end=15.0)
    assert verdict.outcome is Outcome.HALTED
    assert verdict.reason == "the runner died; the guardian undid everything 200 ms after its last word"
    (report,) = verdict.faults
    assert (report.reverted_at, report.reverted_by) == (15.2, "guardian")


def test_a_dead_runner_whose_fault_nobody_undid_is_dirty():
    verdict = verdict_of(Crowd().steady(0, 15), events=[*phases(), *act(end=None)], end=15.0)
    assert verdict.outcome is Outcome.DIRTY
    assert "squall rollback" in verdict.reason


def test_a_runner_that_died_before_any_fault_is_halted():
    verdict = verdict_of(Crowd().steady(0, 9), events=phases(), end=9.0)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.HALTED,
        "the runner died; no fault had been injected",
    )


# no data is not a pass


@pytest.mark.parametrize(
    "text",
    ["p95 < 1", "mean < 1", "max < 1", "error_rate < 1", "success_rate > 0", "rps > 0", "rps < 9", "requests < 9",
     "errors < 9", "offered_rps < 9", "users < 9", "in_flight < 9", "p95 < 9x", "error_rate < 9x"],
)  # fmt: skip
@pytest.mark.parametrize("over", [None, 5.0])
def test_an_assertion_without_requests_is_inconclusive(text, over):
    finding = only(chunks=[], expect=assertion(text, over=over, **KILL), loads=())
    assert finding.outcome == "inconclusive"
    assert finding.reason
    assert finding.value is None


def test_a_load_that_stopped_early_is_inconclusive():
    verdict = verdict_of(Crowd().steady(0, 25), chunks=Crowd().steady(0, 25).chunks(25.0, final=False))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "end 15.0 s before the run does" in verdict.reason


def test_a_window_the_run_never_came_to_is_inconclusive():
    events = [*phases(end=16.0), *act(end=15.0), HaltPulled(at=14.0, cause="signal", reason="SIGINT")]
    findings = verdict_of(
        Crowd().steady(0, 15), events=events, end=15.0, expect=(assertion("p95 < 1", when="after"),)
    ).findings
    assert [f.outcome for f in findings[2:]] == ["inconclusive"] * 3
    assert findings[2].reason == "the run never came to `after`"


def test_a_fault_that_never_began_is_inconclusive():
    finding = only(expect=assertion("p95 < 1", **KILL), events=phases(after=20.0, end=41.0))
    assert (finding.outcome, finding.reason) == ("inconclusive", "kill-one never began")


def test_a_planned_fault_that_never_came_keeps_a_run_from_passing():
    made = plan(faults=(fault(),), steady_state=STEADY)
    window = Planned(
        fault="kill-one",
        occurrence=1,
        start=20,
        end=30,
        instances=("shop.1",),
        place=made.scenario.faults[0].place,
    )
    made = msgspec.structs.replace(made, windows=(window,))
    verdict = judge(made, Record.of([*phases(after=20.0, end=41.0), *act()], shopping().chunks(40.5)))
    assert (verdict.outcome, verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "kill-one was planned and never injected",
    )


def test_a_fault_without_effect_makes_its_findings_inconclusive():
    events = [*phases(after=20.0, end=41.0), *act(ok=False)]
    verdict = verdict_of(
        events=events, expect=(assertion("p95 < 1", **KILL), assertion("p95 < 1", when="faults"))
    )
    assert [f.outcome for f in verdict.findings[2:4]] == ["inconclusive"] * 2
    assert verdict.findings[2].reason.startswith("kill-one had no effect: ")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict_of(events=events).outcome is Outcome.INCONCLUSIVE


def test_a_fault_that_cannot_be_measured_is_no_obstacle():
    unread = [event for event in act() if not isinstance(event, Confirmed)]
    verdict = verdict_of(
        events=[*phases(after=20.0, end=41.0), *unread], expect=(assertion("p95 < 1", **KILL),)
    )
    assert verdict.outcome is Outcome.PASSED


def test_a_fault_that_was_looked_for_and_never_seen_to_act_passes_nothing():
    events = [*phases(after=20.0, end=41.0), *act(ok=None)]
    verdict = verdict_of(events=events, expect=(assertion("p95 < 1", **KILL),))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.findings[2].reason.startswith("kill-one was never seen to act: ")
    assert verdict_of(events=events).outcome is Outcome.INCONCLUSIVE


def test_a_limit_in_force_that_nobody_reached_is_an_answer():
    events = [*phases(after=20.0, end=41.0), *act(ok=None)]
    squeeze = msgspec.structs.replace(fault(), fault=Cpu(limit=0.2))
    verdict = verdict_of(events=events, expect=(assertion("p95 < 1", **KILL),), faults=(squeeze,))
    assert verdict.outcome is Outcome.PASSED


def test_a_limit_that_nobody_could_look_at_passes_nothing():
    events = [*phases(after=20.0, end=41.0), *act(ok=None)]
    blind = [
        msgspec.structs.replace(each, looked=False) if isinstance(each, Confirmed) else each
        for each in events
    ]
    squeeze = msgspec.structs.replace(fault(), fault=Cpu(limit=0.2))
    verdict = verdict_of(events=blind, expect=(assertion("p95 < 1", **KILL),), faults=(squeeze,))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.findings[2].reason.startswith("kill-one was never seen to act: ")


def test_one_who_was_hurt_makes_up_for_another_that_was_idle():
    events = [*phases(after=20.0, end=41.0), *act(), *act(instance="shop.2", ok=None)]
    verdict = verdict_of(events=events, expect=(assertion("p95 < 1", **KILL),))
    assert verdict.outcome is Outcome.PASSED
    assert verdict.faults[0].confirmed is None


def test_each_without_a_match_is_inconclusive():
    finding = only(expect=assertion("p95 < 1", selector={"request": "PUT *", "each": True}))
    assert (finding.outcome, finding.reason) == ("inconclusive", "no request is named like PUT *")


def test_a_gap_within_a_window_is_not_held():
    crowd = Crowd().steady(0, 12).steady(19, 40)
    finding = only(crowd, expect=assertion("error_rate < 0.1", over=2.0, **KILL))
    assert finding.outcome == "inconclusive"
    assert "no request was made" in finding.reason


def sampled(name, values, *, every=1.0, **more):
    return [
        Sample(at=0.5 + number * every, indicator=name, value=value, **more)
        for number, value in enumerate(values)
    ]


def own(text, samples, **more):
    return only(expect=assertion(text, **(KILL | more)), extra=samples, indicators=(indicator("rss"),))


def test_an_indicator_without_samples_is_inconclusive():
    finding = own("rss < 500", [])
    assert (finding.outcome, finding.reason) == ("inconclusive", "rss gave no sample in this window")


def test_probe_errors_are_no_samples():
    errors = [Sample(at=float(at), indicator="rss", error="HTTP 401") for at in range(1, 30)]
    finding = own("rss < 500", errors)
    assert (finding.outcome, finding.reason) == (
        "inconclusive",
        "rss gave no sample in this window: HTTP 401",
    )


def test_an_indicator_that_fell_silent_within_the_window_is_not_held():
    finding = own("rss < 500", sampled("rss", [100] * 14))
    assert finding.outcome == "inconclusive"
    assert "rss was silent for 6.5 s" in finding.reason


def test_an_indicator_that_fell_silent_is_still_broken_by_what_it_said():
    assert own("rss < 500", sampled("rss", [900] * 14)).outcome == "broken"


# indicators


def test_the_worst_sample_of_a_window_decides():
    values = sampled("rss", [100] * 15 + [700] + [100] * 30)
    finding = own("rss < 500", values)
    assert (finding.outcome, finding.value, finding.unit) == ("broken", 700, "bytes")
    assert own("rss < 500", values, over=5.0).outcome == "held"
    assert own("rss > 500", values).value == 100


def test_a_ratio_is_of_sums():
    samples = [Sample(at=float(at), indicator="rss", bad=float(at == 15), total=10.0) for at in range(40)]
    finding = own("rss < 0.02", samples)
    assert (finding.outcome, finding.value) == ("held", pytest.approx(1 / 110))


def test_a_quantile_of_a_distribution_is_known_to_its_bucket():
    samples = [
        Sample(at=float(at), indicator="wait", buckets={"0.1": 90.0, "0.5": 100.0, "+Inf": 100.0})
        for at in range(40)
    ]
    common = {"extra": samples, "indicators": (indicator("wait", unit="seconds"),)}

    def asked(limit):
        base = assertion(f"p95 < {limit}", **KILL)
        return msgspec.structs.replace(base, term=term("p95", of="wait"))

    assert [only(expect=asked(limit), **common).outcome for limit in (0.05, 0.3, 0.6)] == [
        "broken",
        "inconclusive",
        "held",
    ]
    assert only(expect=asked(0.3), **common).reason.endswith("its buckets cannot tell more")


# relative bounds


def test_a_bound_relative_to_before_is_resolved():
    finding = only(expect=assertion("p95 < 1.2x", when="after"))
    assert finding.limit == pytest.approx(0.06, rel=0.001)
    assert finding.outcome == "held"
    slow = Crowd().steady(0, 20).steady(20, 40, took=0.07)
    assert only(slow, expect=assertion("p95 < 1.2x", when="after"), steady=()).outcome == "broken"


def test_a_bound_relative_to_no_data_is_inconclusive():
    finding = only(Crowd().steady(10, 40), expect=assertion("p95 < 1.2x", when="after"), steady=())
    assert finding.outcome == "inconclusive"
    assert finding.reason == "there is no before to compare with: no request was made in this window"


def test_nothing_is_no_more_than_a_multiple_of_nothing():
    assert only(expect=assertion("error_rate < 1.2x", when="after")).outcome == "held"


def test_a_bound_may_be_another_term():
    crowd = shopping().steady(10, 20, key=Key("GET /new", 200), took=0.09)
    base = assertion("p95 < 1", selector={"request": "GET /new"}, **KILL)
    for factor, outcome in ((1.5, "broken"), (2.0, "held")):
        bound = Bound(factor=factor, term=term("p95", selector={"request": "GET /item"}))
        assert only(crowd, expect=msgspec.structs.replace(base, bound=bound)).outcome == outcome


def test_within_is_two_sided():
    near = msgspec.structs.replace(assertion("p95 < 1x", when="after"), within=0.2)
    for took, outcome in ((0.05, "held"), (0.062, "broken"), (0.038, "broken"), (0.058, "held")):
        crowd = Crowd().steady(0, 20).steady(20, 40, took=took)
        assert only(crowd, expect=near, steady=()).outcome == outcome, took


def test_each_is_compared_with_its_own_before():
    crowd = shopping().steady(0, 20, rate=10, key=Key("GET /slow", 200), took=1.0)
    crowd.steady(20, 40, rate=10, key=Key("GET /slow", 200), took=1.1)
    verdict = verdict_of(
        crowd,
        steady=(),
        expect=(assertion("p95 < 1.2x", when="after", selector={"request": "GET *", "each": True}),),
    )
    assert [(f.outcome, f.reason.split(":")[0]) for f in verdict.findings] == [
        ("held", "GET /item"),
        ("held", "GET /slow"),
    ]


# over, for


def test_over_names_the_worst_window():
    crowd = Crowd().steady(0, 13).steady(13, 15, key=BAD).steady(15, 40)
    assert only(crowd, expect=assertion("error_rate < 0.3", **KILL)).outcome == "held"
    finding = only(crowd, expect=assertion("error_rate < 0.3", over=5.0, **KILL))
    assert (finding.outcome, finding.value) == ("broken", pytest.approx(0.4))
    assert finding.start <= 13.0
    assert finding.end >= 15.0
    assert finding.end - finding.start == pytest.approx(5.0)
    assert "in the worst 5 s" in finding.reason


def test_for_asks_for_one_stretch_of_truth():
    crowd = Crowd().steady(0, 24, rate=60).steady(24, 26, rate=10).steady(26, 40, rate=60)
    for lasting, outcome in ((12.0, "held"), (15.0, "broken")):
        finding = only(crowd, expect=assertion("rps > 50", when="after", lasting=lasting), steady=())
        assert finding.outcome == outcome, finding.reason


# windows


def test_the_worst_occurrence_of_a_fault_decides():
    events = [*phases(after=35.0, end=41.0), *act(start=10, end=15), *act(start=25, end=30, occurrence=1)]
    crowd = Crowd().steady(0, 25).steady(25, 30, took=0.3).steady(30, 40)
    finding = only(crowd, expect=assertion("p95 < 0.15", **KILL), events=events)
    assert (finding.outcome, finding.start) == ("broken", 25.0)


def test_during_faults_is_the_union_of_all():
    uses = (fault("kill-one"), fault("slow"))
    events = [
        *phases(after=35.0, end=41.0),
        *act(start=10, end=15),
        *act("slow", start=14, end=18),
        *act("slow", start=25, end=30, occurrence=1),
    ]
    finding = only(expect=assertion("requests < 1000", when="faults"), events=events, faults=uses)
    assert finding.requests == pytest.approx(13 * 60, abs=8)


def test_after_a_fault_ends_where_the_next_begins():
    uses = (fault("kill-one"), fault("slow"))
    events = [*phases(after=35.0, end=41.0), *act(start=10, end=15), *act("slow", start=25, end=30)]
    crowd = Crowd().steady(0, 25).steady(25, 30, took=0.5).steady(30, 40)
    finding = only(crowd, expect=assertion("p95 < 0.15", **AFTER_KILL), events=events, faults=uses)
    assert (finding.outcome, finding.start, finding.end) == ("held", 15.0, 25.0)
    assert (
        only(
            crowd, expect=assertion("p95 < 0.15", when="after_name", name="slow"), events=events, faults=uses
        ).end
        == 41.0
    )


def test_a_stage_is_a_window():
    stages = [
        StageBegun(at=0.0, load="shoppers", name="ramp"),
        StageBegun(at=5.0, load="shoppers", name="steady"),
    ]
    crowd = Crowd().steady(0, 5, took=0.5).steady(5, 40)
    common = {"extra": stages, "steady": ()}
    assert (
        only(crowd, expect=assertion("p95 < 0.15", when="during", name="ramp"), **common).outcome == "broken"
    )
    held = only(crowd, expect=assertion("p95 < 0.15", when="during", name="steady"), **common)
    assert (held.outcome, held.start, held.end) == ("held", 5.0, 40.0)


def test_nothing_after_the_planned_end_is_judged():
    crowd = shopping().request(41.0, 9.0)
    chunks = crowd.chunks(51.0)
    made = plan(faults=(fault(),), expect=(assertion("max < 1"),), ends=30.0)
    verdict = judge(made, Record.of([*phases(after=20.0, end=51.0), *act()], chunks))
    assert verdict.findings[0].outcome == "held"


# recovery


def recovered(bad_until, *, limit=10, kind="undo", relapse=None, events=None, **more):
    crowd = Crowd().steady(0, 10).steady(10, bad_until, key=BAD).steady(bad_until, 40)
    if relapse:
        crowd.steady(*relapse, rate=20, key=BAD)
    harms = (Harm(fault="kill-one", does="kills", acts=(), recovers_from=kind),)
    more = {"steady": (assertion("error_rate < 0.01"),), "harms": harms} | more
    return only(crowd, expect=assertion(f"recovery < {limit}", **AFTER_KILL), events=events, **more)


def test_recovery_counts_from_the_undo():
    finding = recovered(24.0)
    assert (finding.outcome, finding.value, finding.unit) == ("held", 4.0, "seconds")
    assert (
        finding.reason
        == "the last second that broke the steady state ended 4 s after the undo, within the limit of 10 s"
    )


def test_recovery_of_a_kill_counts_from_the_injection():
    finding = recovered(14.0, kind="injection")
    assert (finding.outcome, finding.value) == ("held", 4.0)
    assert finding.start == pytest.approx(10.01)


def test_recovery_of_a_kill_counts_anew_from_the_undo_that_starts_it_again():
    finding = recovered(12.0, kind="injection", relapse=(21.2, 23.6))
    assert (finding.outcome, finding.value) == ("held", 4.0)
    assert "after the undo" in finding.reason


def test_what_never_recovered_from_a_kill_before_its_undo_counts_from_the_injection():
    finding = recovered(22.0, kind="injection")
    assert (finding.outcome, finding.value) == ("broken", 12.0)


def test_recovery_is_nothing_where_the_steady_state_was_never_broken():
    assert recovered(15.0).value == 0


def test_a_relapse_counts():
    finding = recovered(22.0, relapse=(33.2, 33.6))
    assert (finding.outcome, finding.value) == ("broken", 14.0)


def test_no_recovery_before_the_end_is_broken_where_the_limit_has_passed():
    finding = recovered(40.0)
    assert (finding.outcome, finding.value) == ("broken", 20.0)
    assert finding.reason == "it had not recovered 20 s after the undo, when the run ended"


def test_no_recovery_before_the_next_fault_is_inconclusive_where_the_limit_lies_later():
    events = [*phases(after=35.0, end=41.0), *act(), *act("slow", start=25, end=30)]
    finding = recovered(40.0, events=events, faults=(fault(), fault("slow")))
    assert (finding.outcome, finding.value) == ("inconclusive", 5.0)
    assert finding.reason.endswith("when the next fault began")


def test_the_next_fault_does_not_count_as_a_relapse():
    events = [*phases(after=35.0, end=41.0), *act(), *act("slow", start=33, end=35)]
    assert recovered(22.0, relapse=(33.2, 33.6), events=events, faults=(fault(), fault("slow"))).value == 2.0


def test_recovery_without_requests_is_inconclusive():
    crowd = Crowd().steady(0, 20)
    assert (
        only(crowd, expect=assertion("recovery < 10", **AFTER_KILL), steady=STEADY).outcome == "inconclusive"
    )


def test_recovery_listens_to_indicators_too():
    samples = sampled("rss", [100] * 20 + [900] * 6 + [100] * 20)
    finding = only(
        expect=assertion("recovery < 3", **AFTER_KILL),
        steady=(assertion("rss < 500"),),
        extra=samples,
        indicators=(indicator("rss"),),
    )
    assert (finding.outcome, finding.value) == ("broken", 6.0)


# requests that were never answered


def test_a_target_that_never_answers_breaks_a_quantile():
    crowd = Crowd().steady(0, 10).request(10.5, None, count=100)
    finding = only(crowd, expect=assertion("p95 < 1", **KILL), end=40.0, steady=())
    assert finding.outcome == "broken"
    assert finding.value == pytest.approx(29.9, rel=0.01)


def test_a_quantile_that_waiting_requests_decide_is_inconclusive():
    crowd = Crowd().steady(0, 30, rate=10).request(38.0, None, count=100).steady(30, 40, rate=10)
    finding = only(crowd, expect=assertion("p95 < 10", when="after"), steady=())
    assert finding.outcome == "inconclusive"
    assert "some were never answered" in finding.reason
    assert finding.low is not None
    assert finding.high is None


# faults


def test_instances_of_one_occurrence_are_merged():
    events = [
        *phases(after=20.0, end=41.0),
        *act(),
        *act(instance="shop.2", ok=None),
        *act(instance="shop.3", end=20.5),
    ]
    (report,) = verdict_of(events=events).faults
    assert report.instances == ("shop.1", "shop.2", "shop.3")
    assert report.confirmed is None
    assert (report.injected_at, report.reverted_at, report.reverted_by) == (10.01, 20.5, "runner")
    assert "shop.1 is gone" in report.evidence
    assert report.does == "hurts"


@pytest.mark.parametrize(
    ("oks", "merged"),
    [((True, True), True), ((True, None), None), ((None, False), False), ((True, False), False)],
)
def test_confirmation_is_the_weakest(oks, merged):
    acts = [event for number, ok in enumerate(oks) for event in act(instance=f"shop.{number}", ok=ok)]
    assert verdict_of(events=[*phases(after=20.0, end=41.0), *acts]).faults[0].confirmed is merged


def test_the_last_reading_that_tells_counts():
    common = {"act": "kill-one/0/shop.1", "fault": "kill-one", "instance": "shop.1"}
    later = [
        Confirmed(at=13.0, ok=True, evidence="42 packets", **common),
        Confirmed(at=14.0, ok=None, evidence="?", **common),
    ]
    (report,) = verdict_of(events=[*phases(after=20.0, end=41.0), *act(ok=None), *later]).faults
    assert (report.confirmed, report.evidence) == (True, "shop.1: 42 packets")


def test_an_act_that_failed_had_no_effect():
    failed = ActChanged(
        at=10.02,
        act="kill-one/0/shop.1",
        fault="kill-one",
        kind="kill",
        instance="shop.1",
        state="failed",
        evidence="EPERM",
    )
    (report,) = verdict_of(events=[*phases(after=20.0, end=41.0), *act(ok=None), failed]).faults
    assert (report.confirmed, report.evidence) == (False, "shop.1: EPERM")


def test_dirty_says_what_and_how_to_mend_it():
    events = act(last="dirty")
    events = [
        msgspec.structs.replace(e, evidence="limit is 7", remedy="prlimit …")
        if getattr(e, "state", "") == "dirty"
        else e
        for e in events
    ]
    (report,) = verdict_of(events=[*phases(after=20.0, end=41.0), *events]).faults
    assert report.dirty == "shop.1: limit is 7; prlimit …"
    assert report.reverted_at is None


def test_who_came_later_and_escaped_or_joined_is_said():
    told = [
        Escaped(at=13.0, fault="kill-one", instances=("shop.3",), joined=True),
        Escaped(at=19.0, fault="kill-one", instances=("shop.4", "shop.5")),
    ]
    (report,) = verdict_of(extra=told).faults
    assert (report.joined, report.escaped) == (("shop.3",), ("shop.4", "shop.5"))
    assert report.evidence.endswith(
        "; 1 came later and joined it; 2 came later and escaped it: shop.4, shop.5"
    )


def test_a_pod_is_told_by_its_own_name_too():
    (report,) = verdict_of(known_as={"shop.1": "web-7d4b9"}).faults
    assert report.whom == ("shop.1 (web-7d4b9)",)
    assert verdict_of().faults[0].whom == ("shop.1",)


def test_harm_to_a_neighbour_breaks_the_run_and_a_neighbour_left_alone_is_told():
    spared = Control(at=13.0, fault="kill-one", instance="shop.0", leaked=False, evidence="it runs")
    verdict = verdict_of(extra=[spared])
    assert verdict.outcome is Outcome.PASSED
    assert verdict.faults[0].spared == ("shop.0",)
    unread = verdict_of(extra=[msgspec.structs.replace(spared, leaked=None, evidence="nobody could look")])
    assert "whether shop.0 was left alone cannot be told: nobody could look" in unread.faults[0].evidence
    harmed = msgspec.structs.replace(spared, leaked=True, evidence="it is gone")
    verdict = verdict_of(extra=[harmed])
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason == "during kill-one: the fault stays where it belongs: leaked: shop.0: it is gone"


def test_armed_and_never_injected_is_said():
    events = [e for e in act(end=15.0) if getattr(e, "state", "") in {"armed", "clean"}]
    (report,) = verdict_of(events=[*phases(after=20.0, end=41.0), *events]).faults
    assert (report.confirmed, report.injected_at) == (None, None)
    assert report.evidence == "it was armed, never injected"


# the load generator


def generator(change, *, crowd=None, expect=(), **more):
    chunks = (crowd or shopping()).chunks(40.5)
    for chunk in chunks:
        change(chunk)
    return verdict_of(chunks=chunks, expect=expect, **more)


def late(chunk):
    chunk.lag = (6, 1.0, 0.4)


def busy(chunk):
    chunk.cpu = 0.99


@pytest.mark.parametrize("change", [late, busy])
def test_a_saturated_generator_makes_even_broken_findings_inconclusive(change):
    verdict = generator(change, expect=(assertion("p95 < 0.01", **KILL),))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the load generator shoppers was saturated" in verdict.reason
    assert {finding.outcome for finding in verdict.findings} == {"inconclusive"}


def test_a_generator_late_once_is_no_obstacle():
    def once(chunk):
        if chunk.sequence % 50 == 0:
            late(chunk)
            busy(chunk)

    assert generator(once).outcome is Outcome.PASSED


def test_lag_in_the_warm_up_is_no_obstacle():
    chunks = shopping().chunks(40.5)
    for chunk in chunks[:50]:
        late(chunk)
    events = [*phases(before=5.0, after=20.0, end=41.0), *act()]
    assert verdict_of(chunks=chunks, events=events, warmup=5.0).outcome is Outcome.PASSED


def dropped(chunk):
    chunk.dropped = int(chunk.sequence == 150)


def test_dropped_arrivals_keep_a_run_from_passing_but_not_from_failing():
    assert generator(dropped).outcome is Outcome.INCONCLUSIVE
    assert "left out 1 arrivals" in generator(dropped).reason
    assert generator(dropped, expect=(assertion("p95 < 0.01", **KILL),)).outcome is Outcome.FAILED


def test_arrivals_that_were_never_begun_are_missed():
    def short(chunk):
        chunk.offered = [(chunk.sequence, 10)]
        chunk.started = [(chunk.sequence, 9)]

    assert "began only" in generator(short).reason


def test_a_lost_chunk_is_missed():
    chunks = shopping().chunks(40.5)
    del chunks[200]
    assert verdict_of(chunks=chunks).reason == "1 part of the measurements of load shoppers is missing"


def test_a_worker_that_died_is_said():
    chunks = shopping().chunks(40.5)
    chunks[-1].problem = "it was killed by signal 9"
    assert verdict_of(chunks=chunks).reason == "the load shoppers died: it was killed by signal 9"


def test_a_worker_that_never_spoke_is_missed():
    verdict = verdict_of(loads=(load(workers=2),))
    assert verdict.reason == "1 of 2 workers of load shoppers never reported"


# the steady state alone, while the run goes on


def test_the_steady_state_before_is_judged_while_the_run_goes_on():
    made = plan(steady_state=(*STEADY, assertion("rss < 5")), indicators=(indicator("rss"),))
    crowd = Crowd().steady(0, 30, rate=60)
    chunks = crowd.chunks(10.2, final=False)
    found = steady_findings(made, Record.of([*phases(), *sampled("rss", [1] * 10)], chunks), "before")
    assert [(f.outcome, f.when) for f in found] == [("held", "steady state before")] * 3
    assert found[0].requests >= 590


def test_requests_under_way_at_t_0_do_not_spoil_the_time_before():
    made = plan(steady_state=(assertion("error_rate < 0.001"), assertion("p99.9 < 0.6")))
    crowd = Crowd().steady(0, 30, rate=20, took=0.5)
    found = steady_findings(made, Record.of(phases(), crowd.chunks(10.1, final=False)), "before")
    assert [finding.outcome for finding in found] == ["held", "held"]


def test_a_hanging_target_is_not_steady_before():
    made = plan(steady_state=(assertion("error_rate < 0.01"), assertion("p95 < 0.15")))
    crowd = Crowd().steady(0, 2).request(2.0, None, count=30)
    found = steady_findings(made, Record.of(phases(), crowd.chunks(10.1, final=False)), "before")
    assert [finding.outcome for finding in found] == ["inconclusive", "broken"]


# whatever the record, a verdict

moments = st.floats(0, 50)
names = st.sampled_from(["kill-one", "slow", "other"])
acts = st.builds(
    lambda at, name, number, state: ActChanged(at=at, act=f"{name}/{number}/i", fault=name, kind="k", instance="i", occurrence=number, state=state),
    moments, names, st.integers(0, 2), st.sampled_from(["armed", "injecting", "injected", "failed", "undoing", "clean", "dirty"]),
)  # fmt: skip
anything = st.one_of(
    acts,
    st.builds(lambda at, name: Phase(at=at, name=name), moments, st.sampled_from(["targets", "warmup", "before", "faults", "after", "end"])),
    st.builds(lambda at, name: StageBegun(at=at, load="shoppers", name=name), moments, st.sampled_from(["ramp", "steady"])),
    st.builds(lambda at, name, ok: Confirmed(at=at, act=f"{name}/0/i", fault=name, instance="i", ok=ok, evidence="e"), moments, names, st.sampled_from([True, False, None])),
    st.builds(lambda at, value, error: Sample(at=at, indicator="rss", value=value, error=error), moments, st.one_of(st.none(), st.floats()), st.sampled_from(["", "no"])),
    st.builds(lambda at, cause: HaltPulled(at=at, cause=cause, reason="r"), moments, st.sampled_from(["rule", "evidence", "signal", "defect"])),
)  # fmt: skip
EVERYTHING = tuple(
    assertion(text, over=over, lasting=lasting, **when)
    for text, over, lasting in [("p95 < 0.1", None, None), ("error_rate < 0.1", 5.0, None), ("p99 < 2x", 1.0, None), ("rps > 5", 2.0, 3.0), ("in_flight < 9", None, None), ("rss < 5", 3.0, None), ("users > 1", 1.0, None), ("max < 1", 1.0, None), ("rss < 2x", None, 2.0)]
    for when in [{}, {"when": "before"}, {"when": "after"}, {"when": "faults"}, KILL, AFTER_KILL, {"when": "during", "name": "ramp"}]
)  # fmt: skip
CHUNKS = Crowd().steady(0, 30, rate=5).steady(10, 12, rate=5, key=BAD).request(29.0, None).chunks(32.0)


@given(st.lists(anything, max_size=40), st.booleans())
@example([ActChanged(at=0.0, act="a", fault="kill-one", kind="k", instance="i", state="injecting")], False)
@settings(deadline=None, max_examples=40)
def test_a_verdict_never_raises_whatever_the_order_of_events(events, loaded):
    uses = (fault("kill-one"), fault("slow"))
    recovery = assertion("recovery < 5", **AFTER_KILL)
    made = plan(
        faults=uses,
        expect=(*EVERYTHING, recovery),
        steady_state=(*STEADY, assertion("rss < 5")),
        indicators=(indicator("rss"),),
    )
    verdict = judge(made, Record.of(events, CHUNKS if loaded else []))
    assert msgspec.json.decode(msgspec.json.encode(verdict))["outcome"] == verdict.outcome.value
    passed = all(finding.outcome == "held" for finding in verdict.findings)
    assert passed or verdict.outcome is not Outcome.PASSED
    assert OK.error == ""
