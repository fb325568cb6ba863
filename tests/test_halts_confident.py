"""Halts with a confidence, through the product's own window and rules; and what happens when one of their parts is taken out."""

import math

import msgspec
import numpy as np
import pytest

from runner.assertions import Bound
from runner.halts import HaltRules, thresholds
from runner.live import LiveWindow
from runner.load.frames import ROW, Chunk, Key
from runner.load.histogram import bucket
from runner.plan_record import Window
from runner.record import Record
from runner.statistics import evidence
from runner.timeline import ActChanged, Sample
from runner.verdict import calibration
from tests.made import BAD, NOWHERE, OK, Crowd, assertion, fault, indicator, phases, plan, term

SURE = {"confidence": 0.99}


def judged(chunks, *rules, zero=10.0, end=None, edges=(), faults=0, samples=(), **scenario):
    """Judge chunk by chunk, with what came before *zero* as the baseline; give the halt and the rules."""
    ends = (chunks[-1].at if end is None else end) - zero
    windows = tuple(
        Window(fault="cut", occurrence=turn, start=0, end=1, instances=(), place=NOWHERE)
        for turn in range(faults)
    )
    made = plan(
        halt=rules, ends=ends, before=zero, faults=(fault("cut"),) if faults else (), harms=(), **scenario
    )
    made = msgspec.structs.replace(made, windows=windows)
    window, judging = LiveWindow(made), HaltRules(made)
    window.expect(0.0)
    waiting, edges, told = sorted(samples, key=lambda one: one.at), sorted(edges), None
    for chunk in chunks:
        window.add_chunk(chunk)
        while waiting and waiting[0].at <= chunk.at:
            window.add_sample(waiting.pop(0))
        if told is None and chunk.at >= zero:
            early = [one for one in chunks if one.at <= chunk.at]
            told = judging.know_baseline(made, Record.of(phases(zero=zero), early))
        while edges and edges[0][0] <= chunk.at:
            at, state = edges.pop(0)
            judging.follow(ActChanged(at=at, act="a", fault="cut", kind="kill", instance="s", state=state))
        if halt := judging.judge(window, chunk.at):
            return halt, judging, told
    return None, judging, told


def stream(rng, chances, *, rate, keys=(OK, BAD), tight=None):
    """A chunk each second, with as many requests as come, each bad with that second's chance; *tight*: correlated by so much."""
    place, chunks = bucket(0.05), []
    for second, chance in enumerate(chances):
        total = rng.poisson(rate)
        size = 1 / tight - 1 if tight else 0
        wrong = rng.binomial(total, rng.beta(chance * size, (1 - chance) * size) if tight else chance)
        rows = [(key, count) for key, count in ((0, total - wrong), (1, wrong)) if count]
        slot = second * 10 + 5
        chunks.append(
            Chunk(load="shoppers", worker=0, sequence=second, at=second + 1.0, watermark=second * 10 + 10,
                  keys=list(keys) if not second else [],
                  rows=b"".join(ROW.pack(slot, slot, key, place, count) for key, count in rows))
        )  # fmt: skip
    return chunks


def told_at(rules, at):
    """What is put on record at that moment."""
    told = []
    rules.tell(told.append, at)
    return told


def chunks_of(crowd, end=40.0):
    return crowd.chunks(end, final=False)


def test_a_healthy_run_is_not_halted_and_its_evidence_is_put_on_record_once_a_second():
    chunks = chunks_of(Crowd().steady(0, 40))
    halt, rules, told = judged(chunks, assertion("error_rate > 0.01", **SURE), assertion("p95 > 0.3", **SURE))
    assert (halt, told) == (None, [])
    one, other = told_at(rules, 41.0)
    assert (one.rule, other.rule) == ("error_rate > 0.01", "p95 > 0.3")
    assert one.log10 < 0 < one.needed
    assert one.needed == pytest.approx(math.log10(200))  # two rules share 1 %
    assert told_at(rules, 41.5) == []
    assert len(told_at(rules, 42.0)) == 2


@pytest.mark.parametrize(
    ("text", "late", "within", "said"),
    [
        ("error_rate > 0.01", {"key": BAD}, 1.0, "requests failed, where 1% may: E = "),
        ("success_rate < 0.99", {"key": BAD}, 1.0, "requests failed, where 1% may: E = "),
        ("p95 > 0.3", {"took": 0.5}, 1.5, "requests took over 300ms, where 5% may: E = "),
        ("p95 > 2x", {"took": 0.5}, 1.5, "ms, where 5% may: E = "),
        ("error_rate > 3x", {"key": BAD}, 2.0, "requests failed, where 10.3% may: E = "),
        ("success_rate < 0.9x", {"key": BAD}, 2.0, "requests failed, where 13.1% may: E = "),
    ],
)
def test_evidence_halts_and_says_how_strong_it_was(text, late, within, said):
    crowd = Crowd().steady(0, 20).steady(20, 40, **late)
    halt, rules, _ = judged(chunks_of(crowd), assertion(text, **SURE))
    assert 20 < halt.at < 20 + within
    assert (halt.cause, halt.rule, halt.confidence) == ("rule", text, 0.99)
    assert halt.log10_evidence >= halt.log10_needed >= 2
    assert said in halt.reason
    assert halt.reason.endswith("needed")
    assert halt.value > halt.limit
    assert told_at(rules, halt.at)[0].log10 == halt.log10_evidence


def test_an_estimated_limit_spends_half_of_the_bound():
    crowd = Crowd().steady(0, 20).steady(20, 40, key=BAD)
    halt, _, _ = judged(chunks_of(crowd), assertion("error_rate > 3x", **SURE))
    assert halt.log10_needed == pytest.approx(math.log10(200))


def test_nothing_before_t_0_is_held_against_it():
    crowd = Crowd().steady(0, 8, key=BAD).steady(8, 40)
    assert judged(chunks_of(crowd), assertion("error_rate > 0.01", **SURE))[0] is None


def test_requests_that_hang_are_evidence_once_they_are_overdue():
    crowd = Crowd().steady(0, 20)
    for number in range(600):
        crowd.request(20 + number / 60, None)
    slow, _, _ = judged(chunks_of(crowd), assertion("p95 > 0.3", **SURE))
    assert 20.3 < slow.at < 21.5
    failed, _, _ = judged(chunks_of(crowd), assertion("error_rate > 0.01", **SURE))
    assert 25.0 < failed.at < 26.5


def test_a_late_answer_counts_once():
    """Ten answers that take 2 s: bad while they wait, and the same ten when they come."""
    crowd = Crowd().steady(0, 40, rate=20)
    for number in range(10):
        crowd.request(15.0 + number, 2.0)
    _, rules, _ = judged(chunks_of(crowd), assertion("p95 > 1", **SURE))
    case = rules._together._rules[0]._cases[""]
    assert case.counts == (10.0, 610.0)


def test_an_overdue_request_that_is_answered_well_takes_its_bad_back():
    crowd = Crowd().steady(0, 40, rate=20).request(15.0, 12.0, count=3)
    _, rules, _ = judged(chunks_of(crowd), assertion("error_rate > 0.2", **SURE))
    assert rules._together._rules[0]._cases[""].counts[0] == 0.0


def test_each_is_judged_by_itself_and_they_share_the_bound():
    slow, quick = Key("GET /slow", 503, "e"), Key("GET /quick", 200)
    crowd = Crowd().steady(0, 40, key=quick).steady(0, 20, key=Key("GET /slow", 200)).steady(20, 40, key=slow)
    asked = assertion("error_rate > 0.01", selector={"request": "GET *", "each": True}, **SURE)
    halt, _, _ = judged(chunks_of(crowd), asked)
    assert "requests of GET /slow failed" in halt.reason
    assert halt.log10_needed == pytest.approx(math.log10(2 * 100 / 0.9))


def test_each_judges_a_request_that_only_came_later():
    crowd = Crowd().steady(0, 40).steady(20, 40, key=Key("GET /new", 503, "e"))
    asked = assertion("error_rate > 0.01", selector={"request": "GET *", "each": True}, **SURE)
    halt, _, _ = judged(chunks_of(crowd), asked)
    assert "of GET /new failed" in halt.reason
    assert halt.log10_needed == pytest.approx(math.log10(2 * 100 / 0.1))


def test_a_canary_is_compared_with_the_other_arm_and_not_with_a_level():
    old, new = Key("GET /a", 200, labels=("variant=v1",)), Key("GET /a", 200, labels=("variant=v2",))
    old_bad, new_bad = Key("GET /a", 500, "e", ("variant=v1",)), Key("GET /a", 500, "e", ("variant=v2",))
    asked = msgspec.structs.replace(
        assertion("error_rate > 1", selector={"labels": {"variant": "v2"}}, **SURE),
        bound=Bound(factor=1.2, term=term("error_rate", selector={"labels": {"variant": "v1"}})),
    )
    both = Crowd().steady(0, 40, rate=54, key=old).steady(0, 40, rate=6, key=new)
    both.steady(20, 40, rate=18, key=old_bad).steady(20, 40, rate=2, key=new_bad)
    assert judged(chunks_of(both), asked)[0] is None
    worse = Crowd().steady(0, 40, rate=54, key=old).steady(0, 40, rate=6, key=new)
    worse.steady(10, 40, rate=2, key=old_bad).steady(20, 40, rate=6, key=new_bad)
    halt, _, _ = judged(chunks_of(worse), asked)
    assert 20 < halt.at < 32
    assert "where 1.2 times the share of error_rate may" in halt.reason


def test_a_rule_that_the_time_before_cannot_bound_says_so():
    crowd = Crowd().steady(0, 40, rate=5)
    halt, _, told = judged(chunks_of(crowd), assertion("p99.9 > 2x", **SURE))
    assert halt is None
    [(level, text)] = told
    assert level == "warning"
    assert "p99.9 > 2x: 50 requests before do not bound it" in text


def test_a_load_that_was_stopped_is_no_evidence():
    chunks = Crowd().steady(0, 20).request(19.0, None, count=30).chunks(20.0)
    assert chunks[-1].final
    window_end = judged(chunks, assertion("p95 > 0.3", **SURE))
    assert window_end[0] is None or window_end[0].at < 20.0


# What each part is there for. A mutant is the product with one part taken out: the promise must then be broken.


def false_halts(*, runs=16, seconds=240, before=120):
    """Healthy runs at the limit whose errors come in bursts (correlated by 0.2 within a second), halted at 95 %."""
    rng, halted = np.random.default_rng(2), 0
    for _ in range(runs):
        chunks = stream(rng, [0.02] * (before + seconds), rate=40, tight=0.2)
        halt, _, _ = judged(chunks, assertion("error_rate > 0.02", confidence=0.95), zero=float(before))
        halted += halt is not None
    return halted


def test_bursts_of_errors_at_the_limit_do_not_halt():
    assert false_halts() <= 2


def test_without_the_design_effect_they_would(monkeypatch):
    monkeypatch.setattr(calibration, "effect_of", lambda bad, total, alpha: 1.0)
    assert false_halts() >= 8


def late_fault(edges=()):
    """Seconds from a fault that comes after 20 good minutes, five times the limit, to its halt."""
    rng = np.random.default_rng(8)
    chunks = stream(rng, [0.001] * 1260 + [0.05] * 120, rate=50)
    halt, _, _ = judged(
        chunks,
        assertion("error_rate > 0.01", confidence=0.99),
        zero=60.0,
        faults=1 if edges else 0,
        edges=edges,
    )
    return math.inf if halt is None else halt.at - 1260.0


def test_a_fault_after_twenty_good_minutes_halts_soon():
    assert late_fault() <= 20


def test_without_restarts_it_would_drown(monkeypatch):
    once = evidence.Weights(start=0.0, end=0.0, grid=1.0, spacing=math.inf)
    monkeypatch.setattr(evidence, "weights", lambda *, faults, seconds: once)
    assert late_fault() >= 60


def test_the_edge_of_a_fault_is_a_restart_that_weighs_more():
    assert late_fault(edges=[(1260.5, "injecting")]) < late_fault()


def stale():
    """An indicator beyond its limit, once, whose probe then fails: what halts, and when."""
    samples = [Sample(at=11.0, indicator="rss", value=900.0)]
    samples += [Sample(at=float(at), indicator="rss", error="connection refused") for at in range(12, 40)]
    rule = assertion("rss > 500", lasting=8.0)
    chunks = chunks_of(Crowd().steady(0, 40))
    patient = msgspec.structs.replace(rule, text="no data{rss} for 15s", term=term("rss"), no_data=15.0)
    return judged(chunks, rule, patient, samples=samples, indicators=(indicator(),))[0]


def test_a_stale_sample_is_lost_evidence_and_trips_no_rule():
    halt = stale()
    assert (halt.cause, halt.rule) == ("evidence", "no data{rss} for 15s")
    assert halt.at == pytest.approx(26.0, abs=0.2)
    assert "connection refused" in halt.reason


def test_without_the_freshness_check_it_would_trip_one(monkeypatch):
    monkeypatch.setattr(thresholds, "patience", lambda every: math.inf)
    assert stale().cause == "rule"
