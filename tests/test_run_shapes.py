"""Runs of other shapes: no load at all, several loads, found processes, sweeps, commands, indicators."""

import json
import subprocess
import sys

import pytest

from runner.processes import identify, state_of
from tests.runs import ROOT, Workplace, free_port, left_of


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture
def web(tmp_path):
    """A shop replica that runs already, on a port of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "scenarios.shop.web", "--port", str(port), "--store", "127.0.0.1:1"], cwd=ROOT
    )
    yield process, port
    process.kill()
    process.wait()


def test_without_load_its_own_indicators_are_judged(place, web):
    process, port = web
    place.environment.write_text(
        f"targets: {{web: {{url: 'http://127.0.0.1:{port}', processes: {{port: {port}}}}}}}\n"
    )
    scenario = place.folder / "quiet.yaml"
    scenario.write_text(
        """
title: A frozen process keeps its memory
before: 1s
after: 1s
faults: {freeze: {kind: pause, target: web, at: 0s, for: 2s}}
indicators: {memory: {process: web, measure: rss, every: 200ms}, answer: {command: [echo, '42'], every: 500ms}}
steady_state: [memory < 1GiB]
expect:
  - during freeze: [memory < 1GiB, answer == 42]
  - always: memory > 1MiB
"""
    )
    while state_of(identify(process.pid)) == "R":
        pass  # it is starting; found it must be listening
    code, output = place.run_fairly(scenario)
    assert code == 0, output
    verdict = place.verdict()
    assert verdict["faults"][0]["confirmed"] is True
    assert state_of(identify(process.pid)) in "SR"


def test_two_loads_of_both_models_are_told_apart(place):
    scenario = place.scenario("  hold: {kind: pause, target: shop, pick: 1, at: 0s, for: 1s}", after="1s")
    text = scenario.read_text()
    load = text[text.index("load:") : text.index("warmup:")]
    scenario.write_text(
        text.replace(
            load,
            f"""load:
  arrivals: {{locustfile: {ROOT}/scenarios/shoppers.py, classes: [Shopper], target: front, workers: 2, stages: [{{rate: 30/s}}]}}
  people: {{locustfile: {ROOT}/scenarios/shoppers.py, classes: [Browser], target: front, stages: [{{users: 1 -> 4, for: 1s}}, {{users: 4}}]}}
""",
        )
        + "expect:\n  - before: ['requests{load=arrivals} > 40', 'requests{load=people} > 2', 'users{load=people} <= 4']\n"
    )
    code, output = place.run_fairly(scenario)
    assert code == 0, output
    [arrivals, *_] = [f for f in place.verdict()["findings"] if "load=arrivals" in f["assertion"]]
    assert 40 < arrivals["value"] < 80


def test_a_sweep_is_a_run_for_each_value_and_the_worst_counts(place):
    scenario = place.scenario("  hold: {kind: pause, target: shop, pick: 1, at: 0s, for: 1s}")
    scenario.write_text(
        scenario.read_text()
        .replace("squall: 1", "parameters: {most: 10s}")
        .replace("p95 < 1s", "p95 < $most")
    )
    folders, junit = place.folder / "folders", place.folder / "junit.xml"
    code, output = place.run_fairly(
        scenario, "--set", "most=10s,1us", "--verdict-to", folders, "--junit", junit
    )
    assert code == 3, output  # with 1us it is not steady before
    outcomes = [
        json.loads((place.folder / path / "verdict.json").read_text())["outcome"]
        for path in folders.read_text().split()[-2:]
    ]
    assert outcomes == ["passed", "inconclusive"]
    assert junit.read_text().count("<testsuite ") == 2


def test_a_command_fault_is_done_confirmed_and_undone_on_a_bare_url(place, web):
    _, port = web
    flag = place.folder / "flag"
    place.environment.write_text(f"targets: {{web: {{url: 'http://127.0.0.1:{port}'}}}}\n")
    scenario = place.folder / "command.yaml"
    scenario.write_text(
        f"""
title: A flag is raised and taken down
before: 1s
after: 1s
faults:
  raise: {{kind: command, target: web, do: [touch, {flag}], undo: [rm, -f, {flag}], confirm: [test, -e, {flag}], for: 1s}}
indicators: {{up: {{command: [sh, -c, 'test -e {flag} && echo 1 || echo 0'], every: 300ms}}}}
expect:
  - before: up == 0
  - after: up == 0
"""
    )
    code, output = place.run_fairly(scenario)
    verdict = place.verdict()
    assert verdict["faults"][0]["confirmed"] is True, output
    assert code == 0, output
    assert not flag.exists()


def test_a_report_folder_that_cannot_be_written_is_refused(place):
    scenario = place.scenario("  hold: {kind: pause, target: shop, pick: 1, at: 0s, for: 1s}")
    (place.folder / "taken").write_text("a file, no folder")
    code, output = place.squall(
        "run", scenario, "--env", place.environment, "--report", place.folder / "taken"
    )
    assert code == 2
    assert "--report" in output


def test_a_hung_target_never_passes(place):
    """It accepts and never answers: nothing ends, and that is no pass."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=200) as mute:
        place.environment.write_text(
            f"targets: {{mute: {{url: 'http://127.0.0.1:{mute.getsockname()[1]}'}}}}\n"
        )
        scenario = place.folder / "mute.yaml"
        scenario.write_text(
            f"""
title: Nobody answers
load: {{locustfile: {ROOT}/scenarios/shoppers.py, classes: [Shopper], target: mute, stages: [{{users: 30}}]}}
before: 20s
after: 1s
steady_state: [p95 < 1s]
halt: [p95 > 1s]
"""
        )
        code, output = place.run(scenario)
    assert code == 4, output
    events = place.events()
    begun = next(event["at"] for event in events if event["event"] == "phase" and event["name"] == "warmup")
    halt = next(event for event in events if event["event"] == "halt")
    assert halt["rule"] == "p95 > 1s"
    assert halt["at"] - begun < 5.0  # bench_hang.py has the real figure
    assert left_of(place.folders()[-1].name) == []


def test_what_counts_from_another_fault_keeps_its_distance_however_late_that_comes(place, web):
    _, port = web
    place.environment.write_text(
        f"targets: {{web: {{url: 'http://127.0.0.1:{port}', processes: {{port: {port}}}}}}}\n"
    )
    scenario = place.folder / "late.yaml"
    scenario.write_text(
        """
title: Doing and undoing take longer than planned
before: 1s
after: 1s
faults:
  third: {kind: command, target: web, do: ['true'], undo: ['true'], at: start of second + 300ms, for: 100ms}
  first: {kind: command, target: web, do: [sleep, '1'], undo: [sleep, '1.5'], at: 0s, for: 500ms}
  second: {kind: pause, target: web, at: end of first + 700ms, for: 500ms}
indicators: {answer: {command: [echo, '42'], every: 500ms}}
expect: [always: answer == 42]
"""
    )
    code, output = place.run_fairly(scenario)
    assert code == 0, output
    when = {(one["fault"], one["state"]): one["at"] for one in place.events() if one["event"] == "act"}
    assert when["second", "armed"] >= when["first", "clean"] + 0.65
    assert when["third", "armed"] >= when["second", "injecting"] + 0.25
