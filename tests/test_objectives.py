"""What an environment promises and costs: read, refused, and what a run took of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from runner.errors import Mistake, Place
from runner.language import read_environment, read_scenario
from runner.record import Record
from runner.scenario import Environment, Objective, Price
from runner.statistics.budgets import budgets_of, factor, scaled
from runner.statistics.samples import measure_samples
from runner.timeline import Expects, Sample
from runner.verdict.judge import judge
from runner.verdict.record import Outcome
from tests import made

SCENARIO = """\
load: {locustfile: shoppers.py, target: shop, stages: [{rate: 5/s}]}
indicators: {queue: {command: [a]}}
expect:
  - always: error_rate < 1%
halt:
  - error_rate > 20%
"""
CHECKOUT = "target: 99.9%, over: 30d, bad: 'errors_total{page=\"/\"}', total: requests_total, every: 5s"
ENVIRONMENT = f"""\
targets: {{shop: {{url: http://127.0.0.1:8800}}}}
connections: {{prometheus: {{url: http://127.0.0.1:9090}}}}
price: 0.3264 USD/h
objectives:
  checkout: {{{CHECKOUT}}}
  other: {{{CHECKOUT}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "shoppers.py").write_text("class Shopper: pass\n")
    return tmp_path


def read(folder: Path, scenario: str = SCENARIO, environment: str = ENVIRONMENT):
    (folder / "x.yaml").write_text(scenario)
    (folder / "environments/local.yaml").write_text(environment)
    where = read_environment("local", folder / "x.yaml")
    return read_scenario(folder / "x.yaml", where, {})[0], where


def test_an_environment_says_what_it_promises_and_what_it_costs(folder: Path):
    _, environment = read(folder)
    checkout = environment.objectives["checkout"]
    assert checkout.target == pytest.approx(0.999)
    assert structs.replace(checkout, target=0.5) == Objective(
        target=0.5, over=30 * 86400.0, bad='errors_total{page="/"}', total="requests_total", every=5.0,
        place=Place(str(folder / "environments/local.yaml"), 5, 3),
    )  # fmt: skip
    assert environment.price == Price(value=0.3264, currency="USD")


@pytest.mark.parametrize(
    "rule",
    ["budget{checkout} > 2%", "burn_rate{checkout} > 14.4 for 30s", "no data{checkout} for 9s", "checkout > 1%",
     "burn_rate{ checkout } > 2x before"],
)  # fmt: skip
def test_an_objective_is_asked_for_where_a_rule_names_it_and_no_other_is(rule: str, folder: Path):
    scenario, _ = read(folder, SCENARIO + f"  - {rule}\n")
    [queue, own] = scenario.indicators
    assert (queue.name, own.name, own.unit, own.every) == ("queue", "checkout", "share", 5.0)
    assert own.counters
    assert scenario.halt[-1].term.of or scenario.halt[-1].term.name == "checkout"


def test_without_a_rule_nobody_asks_for_an_objective(folder: Path):
    scenario, _ = read(folder)
    assert [one.name for one in scenario.indicators] == ["queue"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("target: 99.9%, over", "target: 100%, over", 5, "checkout.target: leaves no budget to burn"),
        ("target: 99.9%, over", "target: 0.999, over", 5, '"0.999" has no unit; write 99.9%'),
        ("over: 30d", "over: 0s", 5, "checkout.over: is no time; write over: 30d"),
        ("every: 5s", "every: 5ms", 5, "checkout.every: is shorter than 100ms"),
        ("total: requests_total, ", "", 5, "checkout: lacks `total`"),
        ("total: requests_total", "total: sum(requests_total)", 5, "the counters themselves, without sum()"),
        ("total: requests_total", "total: 'rate(requests_total[5m])'", 5, "the counters themselves, without rate()"),
        ("total: requests_total", "totl: requests_total", 5, "did you mean total?"),
        ("  checkout: {", "  budget: {", 5, "budget is a word of the language"),
        ("  checkout: {", "  check out: {", 5, "is no name for an objective"),
        ("connections: {prometheus", "connections: {prom", 4, "objectives: need a connection"),
        ("0.3264 USD/h", "0.3264", 3, 'price: "0.3264" is no price; write an amount, a currency and /h'),
        ("0.3264 USD/h", "0.3264 $$/h", 3, "such as 0.3264 USD/h"),
        ("0.3264 USD/h", "0 USD/h", 3, "costs nothing"),
    ],
)  # fmt: skip
def test_a_bad_promise_or_price_is_named_with_its_line(
    old: str, new: str, line: int, words: str, folder: Path
):
    with pytest.raises(Mistake) as caught:
        read(folder, environment=ENVIRONMENT.replace(old, new, 1))
    assert str(caught.value).startswith(f"{folder}/environments/local.yaml:{line}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("budget > 2%", "budget needs the name of an objective of the environment; write budget{NAME}"),
        ("budget{GET /x} > 2%", "needs the name of an objective"),
        ("budget{chekout} > 2%", "no objective is called chekout"),
        ("burn_rate{chekout} > 2", "did you mean checkout?"),
        ("burn_rate{checkout} > 2%", '"2%" is not a count'),
        ("budget{checkout} > 2", '"2" has no unit; write 2%'),
        ("budget{checkout} > 2% for 5s", "budget is of a whole window; remove `over` and `for`"),
        ("p95 > 2x budget{checkout}", "compares a duration with a share"),
        ("cost > 1 USD", "cost is known when a window is over; write it under expect"),
    ],
)
def test_a_bad_rule_about_a_promise_is_named_with_its_line(rule: str, words: str, folder: Path):
    with pytest.raises(Mistake) as caught:
        read(folder, SCENARIO + f"  - {rule}\n")
    assert str(caught.value).startswith(f"{folder}/x.yaml:7: halt")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cost < 1 EUR", "is not in USD, as the price in"),
        ("cost < 5%", '"5%" is not a price; write it like 0.90 USD'),
        ("cost < 1 USD over 5s", "cost is of a whole window"),
        ("cost{each GET *} < 1 USD", "cost is shared by what succeeded"),
        ("cost{code=200} < 1 USD", "cost is shared by what succeeded"),
        ("p95 < 2x cost", "compares a duration with a money"),
    ],
)
def test_a_bad_line_about_money_is_named_with_its_line(line: str, words: str, folder: Path):
    with pytest.raises(Mistake) as caught:
        read(folder, SCENARIO.replace("error_rate < 1%", f'"{line}"'))
    assert str(caught.value).startswith(f"{folder}/x.yaml:4: expect")
    assert words in str(caught.value)


def test_a_cost_is_read_where_there_is_a_price(folder: Path):
    scenario, _ = read(folder, SCENARIO.replace("error_rate < 1%", "cost{GET /item} < 0.90 USD"))
    assert scenario.expect[0].bound.value == 0.9


def test_an_indicator_and_an_objective_of_one_name_are_refused(folder: Path):
    with pytest.raises(Mistake, match=r"x.yaml:2: indicators.checkout: an objective .* has that name too"):
        read(folder, SCENARIO.replace("queue:", "checkout:"))


# --- what a run took of it -------------------------------------------------------------------------------------

PROMISE = Objective(target=0.999, over=1000.0, bad="b", total="t", every=1.0, place=made.NOWHERE)


def samples(*events: tuple[float, float], start: float = 1.0):
    return [
        Sample(at=start + i, indicator="checkout", bad=bad, total=total)
        for i, (bad, total) in enumerate(events)
    ]


def test_a_burn_rate_is_the_bad_share_over_the_share_allowed():
    term, good = made.term("burn_rate", of="checkout"), samples((1, 100), (0, 100), (2, 100))
    burned = scaled(measure_samples(term, good), factor(PROMISE, term, good))
    assert burned.value == pytest.approx(0.01 / 0.001)


def test_a_budget_is_spent_by_the_burn_rate_and_the_time_it_burned():
    term, good = made.term("budget", of="checkout"), samples(*[(1, 100)] * 20)
    spent = scaled(measure_samples(term, good), factor(PROMISE, term, good))
    assert spent.value == pytest.approx(10 * 20 / 1000)


def verdict_of(text: str, *, name: str, events, end: float = 30.0, **more):
    """The one finding about the objective in a run without load, from 0 to *end*."""
    asked = made.assertion(text, **more)
    asked = structs.replace(asked, term=made.term(name, of="checkout"))
    own = made.indicator("checkout", unit="share", counters=True)
    there = Environment(name="local", path="/e.yaml", targets={}, objectives={"checkout": PROMISE})
    plan = made.plan(expect=(asked,), indicators=(own,), environment=there, loads=())
    record = Record.of([*made.phases(zero=10.0, after=20.0, end=end), *events], [])
    return judge(plan, record)


def test_a_run_that_burns_the_budget_too_fast_fails_and_one_that_does_not_passes():
    burning = samples(*[(1, 100)] * 30, start=0.5)
    broken = verdict_of("burn_rate < 5", name="burn_rate", events=burning)
    assert broken.outcome is Outcome.FAILED
    [finding] = broken.findings
    assert (finding.value, finding.limit, finding.unit) == (pytest.approx(10.0), 5.0, "count")
    assert verdict_of("burn_rate < 15", name="burn_rate", events=burning).outcome is Outcome.PASSED
    spent = verdict_of("budget < 0.2", name="budget", events=burning)
    assert spent.outcome is Outcome.FAILED
    assert (spent.findings[0].value, spent.findings[0].unit) == (pytest.approx(0.3), "share")


def test_the_worst_window_and_the_longest_stretch_are_of_the_burn_rate():
    events = samples(*[(0, 100)] * 10, *[(5, 100)] * 5, *[(0, 100)] * 15, start=0.5)
    worst = verdict_of("burn_rate < 20", name="burn_rate", events=events, over=4.5)
    assert worst.findings[0].value == pytest.approx(50.0)
    lasting = verdict_of("burn_rate > 20", name="burn_rate", events=events, lasting=3.0)
    assert lasting.outcome is Outcome.PASSED
    assert (
        verdict_of("burn_rate > 20", name="burn_rate", events=events, lasting=6.0).outcome is Outcome.FAILED
    )


@pytest.mark.parametrize("name", ["burn_rate", "budget"])
def test_a_promise_without_events_is_not_kept_but_unknown(name: str):
    silent = [Sample(at=at + 0.5, indicator="checkout", error="total did not grow") for at in range(30)]
    [finding] = verdict_of(f"{name} < 1", name=name, events=silent).findings
    assert (finding.outcome, finding.value) == ("inconclusive", None)
    assert "total did not grow" in finding.reason
    half = [*samples(*[(0, 100)] * 15, start=0.5), *silent[16:]]
    assert verdict_of(f"{name} < 1", name=name, events=half).outcome is Outcome.INCONCLUSIVE


def test_a_budget_goes_by_the_events_that_were_expected_when_the_run_began():
    burning = samples(*[(1, 100)] * 30, start=0.5)
    told = Expects(at=0.1, objective="checkout", events=1_000_000.0, window=86400.0)
    other = Expects(at=0.2, objective="other", events=1.0)
    spent = verdict_of("budget < 0.02", name="budget", events=[*burning, told, other])
    assert spent.findings[0].value == pytest.approx(30 / (0.001 * 1_000_000))
    assert spent.outcome is Outcome.FAILED
    nobody = Expects(at=0.1, objective="checkout", why="Prometheus has no history of its events")
    own = verdict_of("budget < 0.02", name="budget", events=[*burning, nobody])
    assert own.findings[0].value == pytest.approx(0.3)


def test_only_objectives_whose_budget_is_judged_are_asked_for_what_they_expect(folder: Path):
    scenario, _ = read(folder, SCENARIO + "  - burn_rate{other} > 10\n  - budget{checkout} > 2%\n")
    assert budgets_of(scenario) == ["checkout"]
