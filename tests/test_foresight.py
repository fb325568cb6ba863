"""What a plan says a run can prove is what the verdict then says, on both sides of every edge."""

import hashlib
from dataclasses import dataclass

import msgspec
import pytest

from runner.errors import Place
from runner.plan_record import StageWindow, Window
from runner.planning.calibration import Calibration, Noise, keep
from runner.planning.earlier import Earlier, earlier
from runner.planning.foresight import with_foresight
from runner.record import Record
from runner.statistics.foresight import Asked, reach
from runner.verdict.judge import judge
from runner.verdict.record import Finding, Outcome, Verdict
from tests.made import BAD, OK, Crowd, act, assertion, fault, indicator, load, phases, plan

UNKNOWN = Earlier()
RATE = 60.0
EVEN = 0.6180339887  # multiples of it spread evenly: no cluster of slow requests comes about by chance
DURING = {"when": "during", "name": "kill-one", "confidence": 0.95}


def laid_out(*, expect=(), rate=RATE, loads=None, seconds=10.0, calm=10.0, **more):
    """A plan with a timetable: ten seconds before, a kill of ten, twenty after."""
    made = plan(
        expect=tuple(expect),
        faults=(fault(),),
        loads=loads or (load(level=rate),),
        before=calm,
        ends=seconds + 20.0,
        **more,
    )
    place = Place(file="x.yaml", line=3)
    window = Window(
        fault="kill-one", occurrence=0, start=0.0, end=seconds, instances=("shop.1",), place=place
    )
    stages = tuple(
        StageWindow(load=one.name, stage="steady", start=-calm, end=seconds + 20.0)
        for one in made.scenario.loads
    )
    return msgspec.structs.replace(made, windows=(window,), stages=stages, faults_end=seconds)


def proof_of(asked, *, known=UNKNOWN, **more):
    return with_foresight(laid_out(expect=(asked,), **more), known).proofs[-1]


@dataclass(frozen=True)
class Shop:
    """A run in which so many requests of the fault are bad, evenly apart."""

    slow: bool
    rate: float = RATE

    def outcome(self, asked, bad):
        crowd = Crowd().steady(5, 9.9, rate=self.rate).steady(20, 25, rate=self.rate)
        number = round(10 * self.rate)
        chosen = {int((place + 0.5) * number / bad): place for place in range(bad)}
        for one in range(number):
            at = 10 + (one + 0.5) / self.rate
            hit = one in chosen
            took = (
                0.3 + 0.04 * (chosen[one] * EVEN % 1) if hit and self.slow else 0.05 + 0.04 * (one * EVEN % 1)
            )
            crowd.request(at, took, BAD if hit and not self.slow else OK)
        made = laid_out(expect=(asked,), rate=self.rate)
        told = [*phases(after=20.0, end=25.0), *act()]
        return judge(made, Record.of(told, crowd.chunks(24.5))).findings[-1].outcome


@pytest.mark.parametrize(
    ("text", "slow", "confidence"),
    [
        ("error_rate < 0.05", False, 0.95), ("error_rate < 0.05", False, 0.99), ("success_rate > 0.9", False, 0.8),
        ("p95 < 0.15", True, 0.95), ("p90 <= 0.2", True, 0.99),
    ],
)  # fmt: skip
def test_what_is_foreseen_to_hold_and_to_break_does_and_no_more(text, slow, confidence):
    asked = assertion(text, **DURING | {"confidence": confidence})
    proof, shop = proof_of(asked), Shop(slow)
    assert proof.requests == 600
    assert shop.outcome(asked, proof.held) == "held"
    assert shop.outcome(asked, proof.held + 1) == "inconclusive"
    assert shop.outcome(asked, proof.broken - 1) == "inconclusive"
    assert shop.outcome(asked, proof.broken) == "broken"


def test_an_assertion_that_asks_for_harm_is_foreseen_the_other_way_round():
    asked = assertion("p50 > 0.15", **DURING)
    proof, shop = proof_of(asked), Shop(slow=True)
    assert proof.broken < 300 < proof.held
    outcomes = [
        shop.outcome(asked, bad) for bad in (proof.broken, proof.broken + 1, proof.held - 1, proof.held)
    ]
    assert outcomes == ["broken", "inconclusive", "inconclusive", "held"]


def test_an_assertion_that_no_data_can_hold_is_warned_of_with_its_place_and_the_verdict_agrees():
    asked = assertion("error_rate < 0.03", **DURING)
    made = with_foresight(laid_out(expect=(asked,), rate=2.0), UNKNOWN)
    assert made.warnings[-1] == (
        "x.yaml:7: `error_rate < 0.03` during kill-one cannot be held: even 0 errors in 20 cannot show < 3 % at 95 %;"
        " it takes 99 (49.5 s)"
    )
    assert Shop(slow=False, rate=2.0).outcome(asked, 0) == "inconclusive"
    enough = with_foresight(laid_out(expect=(asked,), rate=10.0), UNKNOWN)
    assert enough.warnings == ()
    assert Shop(slow=False, rate=10.0).outcome(asked, 0) == "held"


def test_the_fewest_requests_that_can_hold_it_are_the_fewest():
    asked = assertion("error_rate < 0.03", **DURING)
    fewest = proof_of(asked).least
    assert proof_of(asked, rate=fewest / 10).held == 0
    assert proof_of(asked, rate=(fewest - 1) / 10).held is None


def test_as_many_requests_as_are_said_tell_half_of_the_limit_from_twice_of_it_and_one_less_does_not():
    proof = proof_of(assertion("error_rate < 0.05", **DURING))
    assert proof.needs_seconds == pytest.approx(proof.needs / RATE)
    asked = Asked(0.05, ranked=False, confidence=0.95)
    enough, short = (reach(asked, number, number / RATE) for number in (proof.needs, proof.needs - 1))
    assert enough.shows >= 0.025
    assert enough.finds <= 0.1
    assert short.shows < 0.025 or short.finds > 0.1


def test_clustered_requests_prove_less():
    noisy = Earlier(
        Calibration(
            scenario="", environment="local", made="", runs=(), seconds=60.0,
            noise=(Noise(term="error_rate", when="", value=0.01, requests=600, design_effect=4.0, correlation=1.0, spread=0.0),),
        )
    )  # fmt: skip
    asked = assertion("error_rate < 0.05", **DURING)
    alone, clustered = proof_of(asked), proof_of(asked, known=noisy)
    assert clustered.held < alone.held < alone.broken < clustered.broken
    assert clustered.needs > 3 * alone.needs
    assert "design effect 4" in clustered.basis
    assert "optimistic" in alone.basis


def test_the_share_of_a_request_comes_from_the_aa_runs_else_it_says_that_it_is_not_known():
    rates = Calibration(
        scenario="", environment="local", made="", runs=(), seconds=60.0, rates={"GET /item": 30.0, "GET /": 10.0}
    )  # fmt: skip
    asked = assertion("error_rate < 0.05", **DURING, selector={"request": "GET /item"})
    assert proof_of(asked, known=Earlier(rates)).requests == 450
    unknown = proof_of(asked)
    assert unknown.requests == 600
    assert "only a part" in unknown.basis
    seen = Earlier(None, {(asked.text, "during kill-one"): 12.0}, "20260101-000000-abc")
    assert proof_of(asked, known=seen).requests == 120


def test_how_fast_users_are_is_not_guessed():
    asked = assertion("error_rate < 0.05", **DURING)
    proof = proof_of(asked, loads=(load(model="users"),))
    assert (proof.requests, proof.held) == (None, None)
    assert "squall aa" in proof.why
    rates = Calibration(
        scenario="", environment="local", made="", runs=(), seconds=60.0, rates={"GET /item": 30.0}
    )  # fmt: skip
    assert proof_of(asked, loads=(load(model="users"),), known=Earlier(rates)).requests == 300


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (assertion("recovery < 5", when="after_name", name="kill-one"), "to the second, for up to 20 s"),
        (assertion("rss < 1e9", **DURING), "about 10 samples"),
        (assertion("p95 < 1.2x", **DURING), "a change of"),
        (assertion("mean < 0.1", **DURING), "a spread that is not known"),
        (assertion("max < 0.1", **DURING), "a fact"),
        (assertion("p95 < 0.1", **DURING | {"confidence": 0.0}), "point alone"),
    ],
)
def test_what_no_count_of_requests_decides_says_so(asked, words):
    proof = proof_of(asked, indicators=(indicator(),))
    assert words in proof.why
    assert proof.limit is None


def test_a_recovery_that_no_run_of_this_length_can_show_is_warned_of():
    asked = assertion("recovery < 5", when="after_name", name="kill-one", confidence=0.95)
    steady = (assertion("p95 < 0.1"), assertion("error_rate < 0.01"))

    def foreseen(rate):
        return with_foresight(laid_out(expect=(asked,), steady_state=steady, rate=rate), UNKNOWN)

    few, enough = foreseen(20.0), foreseen(30.0)
    assert (few.proofs[-1].requests, few.proofs[-1].least) == (400, 437)
    assert (
        "400 requests are too few to show at 95 % that the steady state holds again; it takes 437 (21.9 s)"
        in few.warnings[-1]
    )
    assert "sure after 437 requests (14.6 s) if none breaks" in enough.proofs[-1].why
    assert not [warning for warning in enough.warnings if "recovery" in warning]


def test_a_ramp_is_integrated():
    from runner.scenario import Stage

    ramp = load()
    ramp = msgspec.structs.replace(ramp, stages=(Stage(name="steady", start=0.0, end=40.0),))
    asked = assertion("error_rate < 0.05", **DURING)
    assert proof_of(asked, loads=(ramp,)).requests == pytest.approx(150)  # from 10 to 20 of 40 seconds: 15/s


def test_every_window_of_over_shares_the_confidence():
    asked = assertion("error_rate < 0.05", **DURING, over=5.0)
    proof = proof_of(asked)
    assert (proof.seconds, proof.requests, proof.confidence) == (5.0, 300, pytest.approx(0.975))


def test_harm_before_a_halt_shrinks_as_more_goes_wrong_and_is_capped_by_the_fault():
    rules = (assertion("error_rate > 0.02"), assertion("p99 > 2", over=5.0), assertion("mean > 1"))
    found = with_foresight(laid_out(halt=rules), UNKNOWN).harmful
    errors = [one for one in found if one.rule == "error_rate > 0.02"]
    assert [one.times for one in errors] == [2, 5, 20]
    assert errors[0].seconds > errors[1].seconds > errors[2].seconds > 0
    assert all(one.bad == pytest.approx(one.requests * one.share, rel=0.3) for one in errors)
    late = next(one for one in found if one.rule == "p99 > 2")
    assert late.seconds > 2.0
    assert next(one for one in found if one.rule == "mean > 1").why


def test_all_requests_bad_is_said_once():
    found = with_foresight(laid_out(halt=(assertion("error_rate > 0.4"),)), UNKNOWN).harmful
    assert [(one.times, one.share) for one in found] == [(2, 0.8), (None, 1.0)]
    # 121 of the 300 requests of the last 5 s, and a tenth of a second until it is known
    assert found[-1].requests == pytest.approx(121 + 6, abs=7)


def test_noise_of_another_version_of_the_scenario_says_nothing(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("title: X\n")
    made = laid_out()
    made = msgspec.structs.replace(made, scenario=msgspec.structs.replace(made.scenario, path=str(path)))
    noise = Calibration(
        scenario=hashlib.sha256(path.read_bytes()).hexdigest(), environment="local", made="", runs=(), seconds=60.0
    )  # fmt: skip
    keep(noise, tmp_path)
    assert earlier(tmp_path, made).calibration == noise
    keep(msgspec.structs.replace(noise, environment="staging"), tmp_path)
    assert earlier(tmp_path, made).calibration is None
    path.write_text("title: Y\n")
    keep(noise, tmp_path)
    assert earlier(tmp_path, made) == UNKNOWN
    (tmp_path / "aa.json").write_text("{")
    assert earlier(tmp_path, made) == UNKNOWN


def test_the_pace_of_the_newest_run_with_the_same_load_is_known(tmp_path):
    newest = tmp_path / "latest"
    newest.mkdir()
    made = laid_out()
    path = tmp_path / "x.yaml"
    path.write_text("title: X\n")
    made = msgspec.structs.replace(
        made, scenario=msgspec.structs.replace(made.scenario, path=str(path), faults=())
    )
    seen = Finding(
        assertion="p95 < 0.1",
        when="during kill-one",
        outcome="held",
        reason="",
        requests=50,
        start=3.0,
        end=8.0,
    )
    verdict = Verdict(
        run="r", scenario="x", title="X", environment="local", started="", duration=1.0, outcome=Outcome.PASSED, reason="",
        findings=(seen, msgspec.structs.replace(seen, requests=20)),
    )  # fmt: skip
    (newest / "verdict.json").write_bytes(msgspec.json.encode(verdict))
    (newest / "plan.json").write_bytes(msgspec.json.encode(made))
    assert earlier(tmp_path, made).pace == {("p95 < 0.1", "during kill-one"): 4.0}
    other = msgspec.structs.replace(
        made, scenario=msgspec.structs.replace(made.scenario, loads=(load(level=5.0),))
    )
    assert earlier(tmp_path, other) == UNKNOWN
