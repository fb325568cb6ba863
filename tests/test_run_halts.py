"""Halts of real runs of the shop: by evidence, by a count over the run, relative to before, by an objective's budget."""

import json
import math

import pytest

from tests import scraped
from tests.runs import Workplace

CUT = "  dark: {kind: reset, target: store-link, at: 1s, for: 20s}"
OBJECTIVES = """
connections: {{prometheus: {{url: '{url}'}}}}
objectives:
  checkout: {{target: 99%, over: 1h, bad: 'front_requests_total{{code=~"5.."}} or vector(0)', total: front_requests_total}}
"""


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def halted(place, rule, **more):
    """Run until *rule* halts; the halt's event, all events and the output."""
    code, output = place.run(place.scenario(CUT, halt=json.dumps([rule]), **more))
    assert code == 4, output
    events = place.events()
    [halt] = [event for event in events if event["event"] == "halt"]
    assert halt["rule"] == rule
    clean = [
        one["at"] for one in events if one["event"] == "act" and one["state"] == "clean" and one["fault"]
    ]
    assert max(clean) - halt["at"] < 2.0
    return halt, events, output


def test_evidence_halts_a_run_and_is_in_its_record_and_reports(place):
    halt, events, output = halted(place, "error_rate > 1% (confidence 99%)")
    assert halt["confidence"] == 0.99
    assert halt["log10_evidence"] >= halt["log10_needed"] == pytest.approx(2.0)
    told = [event for event in events if event["event"] == "evidence"]
    assert told[-1]["log10"] == halt["log10_evidence"]
    assert all(event["log10"] < event["needed"] for event in told[:-1])
    assert f"E = {10 ** halt['log10_evidence']:,.0f} of 100 needed" in output or "e+" in output
    [watched] = place.verdict()["watched"]
    assert watched["log10"] == halt["log10_evidence"]
    folder = place.folders()[-1]
    assert "Halts with a confidence" in (folder / "report.txt").read_text()
    page = (folder / "report.html").read_text()
    assert "Evidence for a halt" in page
    assert "halt at E = 100" in page


@pytest.mark.parametrize(
    "rule", ["errors > 10 over run", "error_rate > 3x before", "error_rate > 2x before (confidence 95%)"]
)
def test_counts_over_the_run_and_limits_relative_to_before_halt(place, rule):
    path = place.scenario(CUT, halt=json.dumps([rule]))
    path.write_text(path.read_text().replace("before: 2s", "before: 5s"))  # enough requests to bound it by
    code, output = place.run(path)
    assert code == 4, output
    [halt] = [event for event in place.events() if event["event"] == "halt"]
    assert halt["rule"] == rule
    zero = next(one["at"] for one in place.events() if one["event"] == "phase" and one["name"] == "faults")
    assert zero + 1.0 <= halt["at"] < zero + 21.0


def test_a_run_halts_when_it_has_spent_its_part_of_an_objectives_budget(place):
    front = place.environment.read_text().partition("http://")[2].partition("\n")[0]
    with scraped.prometheus(place.folder, front, every="500ms") as url:
        place.environment.write_text(place.environment.read_text() + OBJECTIVES.format(url=url))
        halt, events, _ = halted(place, "budget{checkout} > 0.5%")
        assert "bad events of" in halt["reason"]
        assert halt["value"] > halt["limit"] == 0.005
        [told] = [event for event in events if event["event"] == "expects"]
        assert told["objective"] == "checkout"
        halt, _, _ = halted(place, "burn_rate{checkout} > 10 for 2s")
        assert 10 < halt["value"] <= 100.1
        assert math.isfinite(halt["value"])


def test_a_plan_says_what_a_halt_with_a_confidence_means(place):
    path = place.scenario(CUT, halt='["error_rate > 1% (confidence 99%)", "errors > 500 over run"]')
    code, output = place.squall("plan", path, "--env", place.environment)
    assert code == 0, output
    assert "halts a run in which no more than 1% fail in at most 1% of such runs" in output
    assert "counted since the end of the warm-up" in output


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("error_rate > 1% over 5s (confidence 99%)", "evidence adds up since t = 0"),
        ("error_rate > 1% for 5s (confidence 99%)", "evidence that suffices stays sufficient; remove `for`"),
        ("error_rate < 1% (confidence 99%)", "halts where the system is well; write error_rate > 1%"),
        (
            "rps < 30/s (confidence 99%)",
            "a halt with a confidence counts bad requests; write error_rate > 1%",
        ),
        ("error_rate within 10% of before (confidence 99%)", "a halt with a confidence counts bad requests"),
        ("error_rate > 0% (confidence 99%)", "write errors > 0 over run"),
        ("success_rate < 1.1x before (confidence 99%)", "write at most 1x"),
        ("p95 > 2x p95{GET /} (confidence 99%)", "compared by their errors"),
        ("error_rate{each GET *} > 2x error_rate (confidence 99%)", "each cannot be compared"),
        ("error_rate > 1% (confidence 99)", '"99" has no unit; write 99%'),
        ("errors > 5 over run for 5s", "remove `for`"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(place, rule, words):
    code, output = place.squall(
        "plan", place.scenario(CUT, halt=json.dumps([rule])), "--env", place.environment
    )
    assert code == 2
    assert words in output
    assert "short.yaml:" in output


def test_only_a_halt_looks_at_the_whole_run(place):
    path = place.scenario(CUT, expect='[{always: "errors < 5 over run"}]')
    code, output = place.squall("plan", path, "--env", place.environment)
    assert code == 2
    assert "a finding looks at its whole window anyway; remove `over run`" in output
