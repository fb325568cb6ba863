"""A whole run judged by what a real Prometheus scraped from the shop: objectives, a value, a ratio, a histogram."""

from __future__ import annotations

import pytest

from tests import scraped
from tests.runs import Workplace

WATCHED = """
connections: {{prometheus: {{url: '{url}'}}}}
price: 0.36 USD/h
objectives:
  checkout: {{target: 99.9%, over: 30d, bad: '{bad}', total: front_requests_total}}
  ignored: {{target: 99.9%, over: 30d, bad: no_such_total, total: no_such_total}}
"""
BAD = 'front_requests_total{code=~"5.."} or vector(0)'
INDICATORS = """
indicators:
  seen: {prometheus: sum(front_requests_total)}
  served: {valid: 'sum(rate(front_requests_total{code!~"5.."}[4s]))', total: 'sum(rate(front_requests_total[4s]))'}
  wait: {histogram: front_request_seconds_bucket}
  heap: {process: shop, measure: rss}
  lives: {process: shop, measure: restarts}
"""


@pytest.fixture
def place(tmp_path):
    made = Workplace(tmp_path)
    front = made.environment.read_text().partition("http://")[2].partition("\n")[0]
    with scraped.prometheus(tmp_path, front, every="500ms") as made.prometheus:
        yield made


def promising(place, bad):
    """Write into the environment what it promises, and who knows whether it is kept."""
    said = WATCHED.format(url=place.prometheus, bad=bad)
    place.environment.write_text(place.environment.read_text() + said)


def scenario(place, expect, faults="", after="2s"):
    path = place.scenario(faults, expect=expect, after=after)
    text = path.read_text().replace("warmup: 1s", "warmup: 2s").replace("before: 2s", "before: 3s")
    path.write_text((text if faults else text.replace("faults:\n", "")) + INDICATORS)
    return path


def test_a_run_is_judged_by_what_prometheus_saw_of_the_shop(place):
    promising(place, BAD)
    file = scenario(
        place,
        faults="  dark: {kind: reset, target: store-link, at: 0s, for: 4s}\n"
        "  die: {kind: kill, target: shop, pick: 1, at: 0s, for: 2s}",
        expect="""
  - during dark:
      - served < 95%   # the mean of a rate over 4 s, in the 4 s of the fault
      - burn_rate{checkout} > 100
      - p95 of wait < 5s
      - error_rate{code=503} > 20%
      - error_rate{code=5xx} > 20%
      - error_rate{code=404} < 1%
      - success_rate < 80%
  - before:
      - burn_rate{checkout} < 1
      - served > 99%
      - checkout < 0.1%
  - always:
      - budget{checkout} > 0.00001%
      - budget{checkout} < 5%
      - seen > 10
      - cost < 100 USD
      - mean of heap < 1GiB
      - lives == 0            # Squall killed one and started it again itself: that is no restart
""",
    )
    code, output = place.run_fairly(file)
    assert code == 0, output
    found = {(one["when"], one["assertion"]): one for one in place.verdict()["findings"]}
    dark = found["during dark", "burn_rate{checkout} > 100"]
    assert 100 < dark["value"] <= 1000.1
    assert found["before", "burn_rate{checkout} < 1"]["value"] == 0
    assert found["always", "cost < 100 USD"]["unit"] == "USD"
    assert 2.0 < found["always", "cost < 100 USD"]["value"] < 20.0  # 2.5 USD at 40/s, more as orders fail
    asked = {event["indicator"] for event in place.events() if event["event"] == "sample"}
    assert asked == {"checkout", "seen", "served", "wait", "heap", "lives"}


@pytest.mark.long
def test_a_promise_that_cannot_be_counted_is_no_pass(place):
    promising(place, "no_such_total")
    code, output = place.run_fairly(scenario(place, expect='[{always: "burn_rate{checkout} < 1"}]'))
    assert code == 3, output
    assert "bad gave no series: is the target scraped" in output
