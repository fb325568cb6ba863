"""Capacity and margin: what a trial shows, which knob is turned, where the search goes and what it says."""

import msgspec
import pytest

from runner.errors import Refused
from runner.language import read_environment, read_scenario
from runner.record import Record
from runner.report.search import page, text
from runner.report.search_words import outcome_of, sentences
from runner.search_record import Knob, Searched, Shot
from runner.searching.evidence import shot_of
from runner.searching.knobs import changes_for, ends, of_fault, of_load, settings_for
from runner.searching.search import Bounds, Hunt, compared, hunt
from runner.timeline import HaltPulled
from runner.verdict.case import case_of
from runner.verdict.judge import judge
from runner.verdict.record import Finding, Outcome
from tests.made import BAD, Crowd, act, assertion, fault, phases, plan

RATE = Knob(name="rate", kind="rate", parameter="rate", of_load=True, written=60.0)
DELAY = Knob(name="delay of slow-store", kind="duration", paths=("faults.slow-store.delay",), written=0.08)
LIMIT = Knob(
    name="limit of busy", kind="share", paths=("faults.busy.limit",), larger_is_worse=False, written=0.25
)


def shown(crowd, *, knob=RATE, events=(), lag=0.0, offered=None, **scenario):
    """What a made run shows at 60/s."""
    scenario = {
        "expect": (assertion("p95 < 0.2"),),
        "steady_state": (assertion("error_rate < 0.1"),),
    } | scenario
    made = plan(ends=20.0, **scenario)
    told = [*phases(after=20.0, end=30.0), *events]
    more = {"lag": (6, 6 * lag, lag)}
    chunks = crowd.chunks(30.0, **more)
    if offered is not None:
        chunks = [
            msgspec.structs.replace(chunk, offered=[(number, offered)], started=[(number, offered)])
            for number, chunk in enumerate(chunks)
        ]
    record = Record.of(told, chunks)
    case = case_of(made, record)
    return shot_of(case, judge(made, record), knob=knob, level=60.0, label="t", folder="f")


def test_a_run_that_held_bears_its_level():
    shot = shown(Crowd().steady(0, 30), offered=6)
    assert shot.shows == "bears"
    assert (shot.offered, shot.answered) == (pytest.approx(60), pytest.approx(60, rel=0.01))
    assert shot.in_flight == pytest.approx(60 * 0.1, rel=0.5)  # Little's law, to the grain of 100 ms slots


def test_a_broken_assertion_breaks_and_is_named():
    shot = shown(Crowd().steady(0, 30, took=0.4))
    assert (shot.shows, shot.assertion) == ("breaks", "p95 < 0.2")


def test_a_run_halted_by_its_rule_breaks():
    halt = HaltPulled(at=15.0, cause="rule", reason="errors", rule="error_rate > 0.5")
    assert shown(Crowd().steady(0, 30), events=(halt,)).shows == "breaks"


def test_a_saturated_load_generator_shows_nothing_of_the_system():
    shot = shown(Crowd().steady(0, 30, took=0.4), lag=0.5)
    assert (shot.shows, shot.saturated) == ("nothing", True)
    assert "saturated" in shot.reason


def test_unsteady_before_breaks_a_rate_but_says_nothing_of_a_fault():
    crowd = Crowd().steady(0, 30, key=BAD)
    assert shown(crowd).shows == "breaks"
    assert shown(crowd, knob=DELAY).shows == "nothing"


def test_a_system_that_falls_behind_does_not_bear_what_is_offered():
    shot = shown(Crowd().steady(0, 30, rate=40.0), offered=6)
    assert (shot.shows, shot.assertion) == ("breaks", "keeps up")
    assert "67%" in shot.reason


def test_a_fault_without_effect_shows_nothing():
    harm = {"faults": (fault(),), "expect": (assertion("p95 < 0.2", when="during", name="kill-one"),)}
    assert shown(Crowd().steady(0, 30), events=act(ok=False), **harm).shows == "nothing"


def test_a_trial_that_its_interval_leaves_open_counts_on_the_side_of_its_value():
    verdict = judge(plan(), Record.of(phases(end=30.0), []))
    case = case_of(
        plan(expect=(assertion("p95 < 0.2"),)),
        Record.of(phases(after=20.0, end=30.0), Crowd().steady(0, 30).chunks(30.0)),
    )

    def leaning(value, low, high, confidence=None):
        open_one = Finding(
            assertion="p95 < 0.2", when="always", outcome="inconclusive", reason="open", value=value, limit=0.2,
            low=low, high=high, confidence=confidence,
        )  # fmt: skip
        one = msgspec.structs.replace(verdict, outcome=Outcome.INCONCLUSIVE, findings=(open_one,))
        return shot_of(case, one, knob=RATE, level=60.0, label="t", folder="f").shows

    assert leaning(0.19, 0.17, 0.22) == "bears"
    assert leaning(0.21, 0.17, 0.22) == "breaks"
    assert leaning(0.19, 0.19, None) == "breaks"  # some were never answered
    assert leaning(0.19, 0.17, None, confidence=0.95) == "bears"  # too few requests for an upper end
    assert leaning(0.15, 0.13, 0.17, confidence=0.95) == "nothing"  # it is open for another reason
    assert leaning(0.19, None, None) == "nothing"  # something else is unknown
    assert leaning(None, None, None) == "nothing"


SCENARIO = """
title: A shop
parameters: {{rate: {rate}}}
load: {{locustfile: shoppers.py, target: front, stages: [{{rate: $rate}}]}}
faults:
  slow-store: {{kind: latency, target: wire, delay: 80ms, jitter: 20ms, at: 0s, for: 5s}}
  busy: {{kind: cpu, target: shop, limit: 25%, at: end of slow-store, for: 5s}}
  custom: {{kind: command, target: shop, do: ['true'], undo: ['true'], timeout: 2s, at: end of busy, for: 5s}}
expect: [{{during slow-store: p95 < 250ms}}]
"""
HERE = """
targets:
  front: {url: 'http://127.0.0.1:1'}
  shop: {processes: {command: [sleep, '1']}}
  wire: {link: {listen: '127.0.0.1:auto', upstream: '127.0.0.1:1'}}
"""


@pytest.fixture
def scenario(tmp_path):
    (tmp_path / "shoppers.py").write_text("from locust import User\nclass Shopper(User): pass\n")
    (tmp_path / "here.yaml").write_text(HERE)

    def read(rate="60/s"):
        path = tmp_path / "shop.yaml"
        path.write_text(SCENARIO.format(rate=rate))
        return read_scenario(path, read_environment(str(tmp_path / "here.yaml"), path), {})[0]

    return read


def test_the_knob_of_a_capacity_is_the_parameter_of_the_stages(scenario):
    knob = of_load(scenario(), "rate")
    assert (knob.kind, knob.written, knob.larger_is_worse) == ("rate", 60.0, True)
    assert settings_for(knob, 118.2345) == {"rate": "118.2/s"}


def test_all_stages_are_turned_at_once_by_a_share(scenario, tmp_path):
    knob = of_load(scenario(), "load")
    assert ends(knob, None, None) == (0.125, 8.0)
    place = read_environment(str(tmp_path / "here.yaml"), tmp_path / "shop.yaml")
    (turned,) = read_scenario(tmp_path / "shop.yaml", place, {}, changes_for(knob, 1.5))
    assert [(stage.start, stage.end) for stage in turned.loads[0].stages] == [(90.0, 90.0)]


def test_a_scenario_without_that_parameter_says_how_to_have_it(scenario):
    with pytest.raises(Refused, match="has no parameter rtae to turn; did you mean rate"):
        of_load(scenario(), "rtae")


@pytest.mark.parametrize(
    ("fault", "name", "kind", "larger", "text"),
    [
        ("slow-store", "delay", "duration", True, "180ms"),
        ("slow-store", "for", "duration", True, "180ms"),
        ("busy", "limit", "share", False, "18%"),
    ],
)
def test_the_knob_of_a_margin_has_its_unit_and_its_worse_side(scenario, fault, name, kind, larger, text):
    knob = of_fault(scenario(), fault, name, None)
    assert (knob.kind, knob.larger_is_worse) == (kind, larger)
    assert changes_for(knob, 0.18) == {f"faults.{fault}.{name}": text}


def test_which_side_is_worse_is_asked_where_it_is_not_known(scenario):
    with pytest.raises(Refused, match="--worse larger or --worse smaller"):
        of_fault(scenario(), "custom", "timeout", None)
    assert not of_fault(scenario(), "custom", "timeout", "smaller").larger_is_worse


@pytest.mark.parametrize(
    ("fault", "name", "said"),
    [("slow-stroe", "delay", "did you mean slow-store"), ("slow-store", "dleay", "did you mean delay")],
)
def test_a_misspelt_fault_or_knob_is_refused_with_the_right_one(scenario, fault, name, said):
    with pytest.raises(Refused, match=said):
        of_fault(scenario(), fault, name, None)


def test_levels_that_are_not_said_lie_around_what_is_written():
    assert ends(RATE, None, None) == (7.5, 480.0)
    assert ends(RATE, "20/s", "400/s") == (20.0, 400.0)
    assert ends(LIMIT, None, None) == (0.25 / 8, 0.99)


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        ("20", None, "20/s"),
        ("400/s", "20/s", "is not below"),
        ("0/s", None, "above 0"),
        ("20ms", None, "--from"),
    ],
)
def test_levels_that_make_no_sense_are_refused(least, most, said):
    with pytest.raises(Refused, match=said):
        ends(RATE, least, most)


def hunted(edges, knob=RATE, *, least=20.0, most=400.0, saturated=None, trials=40, resolution=0.05):
    """Search systems that break beyond *edges*, without noise."""
    hunts = [Hunt(name, knob, Bounds(least, most, resolution, trials)) for name in edges]

    def shoot(one, level, number):
        edge = edges[one.environment]
        if saturated is not None and level >= saturated:
            return Shot(
                label="", folder="", level=level, shows="nothing", reason="it was saturated", saturated=True
            )
        breaks = level > edge if knob.larger_is_worse else level < edge
        return Shot(
            label=f"{one.environment} trial {number}", folder=f"runs/{number}", level=level,
            shows="breaks" if breaks else "bears", reason="p95 was <slow>", assertion="p95 < 250ms" if breaks else "",
            offered=level, answered=min(level, edge), served=min(level, edge), in_flight=level / 10,
        )  # fmt: skip

    hunt(hunts, shoot)
    return hunts


def said(hunts, knob=RATE, prices=(None, None), faults=()):
    sides = tuple(one.side(price, "USD" if price else "") for one, price in zip(hunts, prices, strict=False))
    ratio = compared(hunts, sides)
    return sides, ratio, sentences(knob, sides, ratio, faults, resolution=0.05)


def test_the_capacity_is_said_in_a_sentence_with_its_interval():
    sides, _, (sentence,) = said(hunted({"local": 118.0}), faults=("kill-one",))
    assert sides[0].low <= 118.0 <= sides[0].high
    assert sentence.startswith("local serves up to 1")
    assert "/s (95 %: 1" in sentence
    assert sentence.endswith("/s), with kill-one, before `p95 < 250ms` breaks")
    assert outcome_of(sides) is Outcome.PASSED


def test_a_margin_whose_worse_side_is_the_smaller_one_is_found_from_above():
    sides, _, (sentence,) = said(hunted({"local": 0.31}, LIMIT, least=0.03, most=0.95), LIMIT)
    assert sides[0].low <= 0.31 <= sides[0].high
    assert sentence.startswith("local bears a limit of busy down to 3")


def test_two_environments_are_searched_by_turns_and_compared():
    hunts = hunted({"old": 100.0, "new": 112.0})
    assert abs(len(hunts[0].shots) - len(hunts[1].shots)) <= 6
    _, ratio, found = said(hunts, prices=(1.0, 0.93))
    assert ratio.low <= 1.12 <= ratio.high
    assert ratio.cost == pytest.approx(0.93 / ratio.value)
    assert found[0].startswith("new serves 1.1")
    assert "x the cost per request" in found[0]
    assert len(found) == 3


def test_environments_without_prices_are_compared_without_cost():
    _, ratio, found = said(hunted({"old": 100.0, "new": 112.0}))
    assert ratio.cost is None
    assert "cost" not in found[0]


def test_a_load_generator_that_cannot_follow_makes_a_bound_and_says_so():
    sides, _, (sentence,) = said(hunted({"local": 1000.0}, saturated=150.0))
    assert sides[0].high is None
    assert 80 < sides[0].low < 150
    assert "the load generator cannot offer" in sentence
    assert outcome_of(sides) is Outcome.INCONCLUSIVE
    assert sum(shot.saturated for shot in sides[0].shots) <= 6


def test_a_bound_claims_no_more_than_was_seen_to_hold():
    (one,) = hunted({"local": 100_000.0}, least=100.0, most=5000.0, saturated=250.0)
    held = max(shot.level for shot in one.shots if shot.shows == "bears")
    assert one.side().low <= held


def test_a_load_generator_that_followed_before_has_no_ceiling_there():
    (one,) = hunted({"local": 118.0}, trials=6)
    level = min(shot.level for shot in one.shots)
    for number in range(2):
        one.learn(
            Shot(label=f"late {number}", folder="", level=level, shows="nothing", reason="", saturated=True)
        )
    assert one.ceiling is None
    assert one.next_level() > level


def test_a_load_generator_that_can_offer_nothing_ends_the_search():
    (one,) = hunted({"local": 1000.0}, saturated=1.0)
    assert len(one.shots) < 12
    _, _, (sentence,) = said([one])
    assert "cannot offer even the least" in sentence


@pytest.mark.parametrize(("edge", "word"), [(4000.0, "more than"), (2.0, "less than")])
def test_an_edge_outside_of_the_range_is_a_bound(edge, word):
    sides, _, (sentence,) = said(hunted({"local": edge}))
    assert word in sentence
    assert outcome_of(sides) is Outcome.INCONCLUSIVE


def test_too_few_trials_for_the_resolution_cannot_tell():
    sides, _, (sentence,) = said(hunted({"local": 118.0}, trials=4))
    assert outcome_of(sides) is Outcome.INCONCLUSIVE
    assert "wider than the ±5% asked for" in sentence or "more than" in sentence


def test_the_reports_show_every_trial_and_escape_what_comes_from_outside():
    hunts = hunted({"local": 118.0})
    sides, ratio, found = said(hunts)
    searched = Searched(
        kind="capacity", scenario="shop", title="A <b>shop</b>", knob=RATE, least=20.0, most=400.0, resolution=0.05,
        confidence=0.95, sides=sides, ratio=ratio, outcome=outcome_of(sides), sentences=found, again="squall capacity …",
    )  # fmt: skip
    html, plain = page(searched), text(searched)
    assert "A <b>shop</b>" not in html
    assert "p95 was <slow>" not in html
    assert html.count("<title>") >= len(sides[0].shots)
    for shot in sides[0].shots:
        assert shot.folder in html
    assert plain.startswith("FOUND: capacity of A <b>shop</b>")
    assert plain.count("answered") >= len(sides[0].shots)
    assert msgspec.json.decode(msgspec.json.encode(searched), type=Searched) == searched
