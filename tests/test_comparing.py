"""Comparisons judged from records made by hand: sentences, checks, costs, and sides that ran beside each other."""

import random
from datetime import UTC, datetime

import msgspec
import pytest

from runner.assertions import Selector, When
from runner.comparison import Arms, Compare, Margin
from runner.load.frames import Key
from runner.plan_record import Window
from runner.record import Record
from runner.report.comparison import comparison_junit, summary
from runner.report.comparison_page import comparison_page
from runner.scenario import Environment, Price
from runner.timeline import HaltPulled
from runner.verdict.arms import compared_arms
from runner.verdict.case import case_of
from runner.verdict.compared import Comparison, TrialSeen
from runner.verdict.comparing import Trial, compared, usable
from runner.verdict.judge import judge
from runner.verdict.record import Outcome
from tests.made import BAD, NOWHERE, OK, Crowd, act, fault, phases, plan, term

ALWAYS = When(kind="always", text="always")
HEAD = Comparison(
    scenario="x", title="X", when="always", baseline="m5", variant="m7g", outcome=Outcome.PASSED, sentence="",
    planned=6, used=0,
)  # fmt: skip


def margin(text, above=None, below=None, *, relative=True):
    return Margin(
        term=term(text), text=f"{above or below}", above=above, below=below, relative=relative, place=NOWHERE
    )


P95, ERRORS = margin("p95", 0.1), margin("error_rate", 0.01, relative=False)


def trial(side, number, *, took=0.05, keys=(OK,), price=None, bad=0, **record):
    """A calm run of 20 s at 50/s whose latencies vary a little, as do those of every other."""
    rng = random.Random(f"{side}{number}")
    crowd, level = Crowd(), took * rng.gauss(1, 0.02)
    for request in range(1000):
        key = BAD if request < bad else keys[request % len(keys)]
        crowd.request((request + 0.5) / 50, level * rng.lognormvariate(0, 0.3), key)
    environment = Environment(name=side, path="/e.yaml", targets={}, price=price)
    made = Record.of([*phases(after=18.0, end=21.0), *record.get("events", ())], crowd.chunks(21.0))
    case = case_of(plan(environment=environment, ends=8.0, after=2.0), made)
    at = datetime.fromtimestamp(1.7e9 + 60 * number, UTC).isoformat()
    seen = TrialSeen(
        label=f"pair {number} {side}", side=side, started=at, outcome=Outcome.PASSED, reason="", folder="f",
        unused=usable(case, Compare(margins=(P95,), when=ALWAYS)),
    )  # fmt: skip
    return Trial(seen, case)


def compare(*margins, pairs=6, base=None, variant=None, **more):
    asked = Compare(margins=margins or (P95, ERRORS), when=ALWAYS, pairs=pairs, **more)
    made = [
        (trial("baseline", n, **(base or {})), trial("variant", n, **(variant or {}))) for n in range(pairs)
    ]
    return compared(asked, made, HEAD)


def test_two_alike_are_as_good_and_the_sentence_says_so():
    found = compare(
        base={"price": Price(value=0.384, currency="USD")},
        variant={"price": Price(value=0.192, currency="USD")},
    )
    assert found.outcome is Outcome.PASSED
    assert found.sentence.startswith("m7g serves the same load as m5 always: p95 ")
    assert "within the margin of 0.1" in found.sentence
    assert "at 0.50x the cost per million requests" in found.sentence
    assert found.cost.low <= found.cost.ratio <= found.cost.high
    assert "squall capacity" in found.cost.note
    assert found.guardrails[0].exact == pytest.approx(2.0**-6)
    assert {one.term for one in found.explored} >= {"p50", "p99", "rps"}


def test_fifteen_percent_slower_is_worse_than_a_margin_of_five():
    found = compare(margin("p95", 0.05), variant={"took": 0.0575})
    assert found.outcome is Outcome.FAILED
    assert found.guardrails[0].least > 1.05
    assert "m7g is worse than m5 always: p95 1.1" in found.sentence


def test_too_few_pairs_cannot_tell_and_say_how_many_more():
    found = compare(margin("p95", 0.04), pairs=2, variant={"took": 0.051})
    assert found.outcome is Outcome.INCONCLUSIVE
    assert f"about {found.guardrails[0].needed} more pairs" in found.sentence


def test_a_share_that_is_zero_everywhere_is_judged_by_its_counts():
    found = compare(ERRORS).guardrails[0]
    assert (found.judgement, found.estimate, found.p, found.exact) == ("pass", 0.0, None, None)
    assert 0 < found.most < 0.01
    worse = compare(ERRORS, variant={"bad": 40}).guardrails[0]
    assert worse.judgement == "fail"
    assert worse.estimate == pytest.approx(0.04, abs=0.003)


def test_a_ratio_of_nothing_is_refused_an_answer():
    found = compare(margin("errors", 0.1)).guardrails[0]
    assert found.judgement == "inconclusive"
    assert "0 has no ratio" in found.reason


def test_another_mix_of_requests_invalidates_it_even_where_a_guardrail_is_broken():
    home = Key("GET /", 200)
    found = compare(base={"keys": (OK, home)}, variant={"keys": (OK, OK, OK, home), "took": 0.2})
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "asked for other things: GET /" in found.invalid[0]
    assert found.sentence.startswith("cannot tell: the two sides were asked for other things")


def test_a_baseline_that_moved_more_than_the_margin_invalidates_it():
    asked = Compare(margins=(P95,), when=ALWAYS, pairs=8)
    made = [
        (trial("baseline", n, took=0.05 * 1.05**n), trial("variant", n, took=0.05 * 1.05**n))
        for n in range(8)
    ]
    found = compared(asked, made, HEAD)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the baseline's own p95 moved from first to last by 1.4" in found.invalid[0]


def test_pairs_that_cannot_be_used_are_left_out_and_too_many_of_them_invalidate_it():
    def lost(one):
        return Trial(msgspec.structs.replace(one.seen, unused="the load generator was saturated"), one.case)

    made = [(trial("baseline", n), trial("variant", n)) for n in range(6)]
    asked = Compare(margins=(P95,), when=ALWAYS, pairs=6)
    some = compared(asked, [(made[0][0], lost(made[0][1])), *made[1:]], HEAD)
    assert (some.outcome, some.used) == (Outcome.PASSED, 5)
    assert "1 of 6 pairs were left out" in some.notes
    many = compared(asked, [(lost(one), other) for one, other in made[:3]] + made[3:], HEAD)
    assert many.outcome is Outcome.INCONCLUSIVE
    assert "3 of 6 pairs cannot be used: the load generator was saturated" in many.sentence


def test_requests_that_were_never_answered_pass_nothing():
    hung = Crowd()
    for request in range(1000):
        hung.request((request + 0.5) / 50, None if request % 10 == 0 and request > 900 else 0.05)
    made = [(trial("baseline", n), trial("variant", n)) for n in range(5)]
    case = case_of(made[0][1].case.plan, Record.of(phases(after=18.0, end=21.0), hung.chunks(21.0)))
    pairs = [*made, (trial("baseline", 5), Trial(made[0][1].seen, case))]
    found = compared(Compare(margins=(margin("max", 5.0),), when=ALWAYS), pairs, HEAD).guardrails[0]
    assert found.judgement == "inconclusive"
    assert "never answered" in found.reason


def test_the_reports_say_the_same_in_text_page_and_junit():
    found = compare(margin("p95", 0.05), ERRORS, variant={"took": 0.0575})
    assert "WORSE  p95" in summary(found)
    assert found.sentence.split(":")[0] in comparison_page(found)
    assert comparison_page(found).count("<svg") >= 3
    assert 'failures="1"' in comparison_junit(found)
    hostile = msgspec.structs.replace(found, variant="<script>alert(1)</script>\x1b")
    assert "<script>" not in comparison_page(hostile)


def arms(*margins, events=(), share=0.5, slower=1.0, bad=0.0, sent=0.5, seconds=24.0, segment=None):
    """One run in which `sent` of the requests are answered by v2."""
    rng = random.Random(3)
    crowd = Crowd()
    for request in range(round((10 + seconds) * 60)):
        start, second = (request + 0.5) / 60, rng.random() < sent and request >= 600
        key = Key(
            "GET /item",
            503 if second and rng.random() < bad else 200,
            "",
            ("version=v2" if second else "version=v1",),
        )
        key = msgspec.structs.replace(key, error="HTTPError(503)") if key.code == 503 else key
        crowd.request(start, 0.05 * (slower if second else 1.0) * rng.lognormvariate(0, 0.3), key)
    asked = Compare(
        margins=margins or (margin("p50", 0.1), ERRORS), when=When(kind="during", name="canary", text="during canary"),
        arms=Arms(baseline=Selector(labels={"version": "v1"}), variant=Selector(labels={"version": "v2"}), share=share),
        segment=segment,
    )  # fmt: skip
    end = 10.0 + seconds
    made = plan(faults=(fault("canary"),), compare=asked, ends=seconds + 2, after=1.0)
    window = Window(
        fault="canary", occurrence=0, start=0.0, end=seconds, instances=("front.0",), place=NOWHERE
    )
    made = msgspec.structs.replace(made, windows=(window,))
    record = [*phases(after=end, end=end + 2), *act("canary", 10.0, end + 0.2), *events]
    return made, Record.of(record, crowd.chunks(end + 2))


def test_two_versions_beside_each_other_are_compared_by_segments_and_the_run_says_so():
    made, record = arms()
    found = compared_arms(case_of(made, record))
    assert (found.outcome, found.unit) == (Outcome.PASSED, "segments")
    assert found.used >= 6
    assert "version=v2 serves the same load as version=v1 during canary" in found.sentence
    verdict = judge(made, record)
    held = [finding for finding in verdict.findings if finding.when == "during canary"]
    assert [finding.outcome for finding in held] == ["held", "held"]


def test_a_slower_version_and_one_that_fails_are_told_from_the_other():
    slow = compared_arms(case_of(*arms(slower=1.3)))
    assert [rail.judgement for rail in slow.guardrails] == ["fail", "pass"]
    assert judge(*arms(slower=1.3)).outcome is Outcome.FAILED
    failing = compared_arms(case_of(*arms(bad=0.1)))
    assert [rail.judgement for rail in failing.guardrails] == ["pass", "fail"]


def test_few_requests_of_one_side_are_no_advantage_in_a_tail():
    """An order statistic of few lies lower than one of many: at 10 % of the requests an equal version would look faster."""
    found = compared_arms(case_of(*arms(margin("p95", 0.2), share=0.1, sent=0.1, seconds=240.0, segment=8.0)))
    rail = found.guardrails[0]
    assert rail.judgement == "pass"
    assert rail.low < 1 < rail.high


def test_a_share_that_was_not_planned_is_inconclusive_whatever_the_guardrails_say():
    found = compared_arms(case_of(*arms(slower=1.5, sent=0.35)))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "and 50 % was planned" in found.sentence
    assert judge(*arms(slower=1.5, sent=0.35)).outcome is Outcome.INCONCLUSIVE


def test_too_short_a_window_says_how_long_it_has_to_be():
    found = compared_arms(case_of(*arms(seconds=4.0, segment=2.0)))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "with 12 s during canary there would be 6" in found.sentence


def test_a_halted_canary_is_halted_and_nothing_else():
    halt = HaltPulled(at=20.0, cause="rule", reason="v2 failed more", rule="error_rate{version=v2} > 1.5x …")
    found = compared_arms(case_of(*arms(events=[halt], bad=0.2)))
    assert (found.outcome, found.sentence) == (Outcome.HALTED, "v2 failed more")
