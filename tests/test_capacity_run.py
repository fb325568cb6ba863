"""Capacity and margin for real: the shop with a limit that is known, killed while it is searched, and found."""

import json
import os
import signal
import time

import pytest

from tests.runs import ROOT, Workplace, wait_gone

RUSH = """
squall: 1
title: Rush hour
parameters: {{rate: 40/s}}
load: {{locustfile: {root}/scenarios/shoppers.py, classes: [Shopper], target: front, stages: [{{rate: $rate}}]}}
warmup: 500ms
before: 1s
after: {after}
{faults}
expect: [{expect}]
halt: [error_rate > 50%]
"""
SLOW = "faults: {slow-store: {kind: latency, target: store-link, delay: 40ms, at: 0s, for: 3s}}"


@pytest.fixture
def place(tmp_path):
    """Two replicas, each two pages at a time, each for 50 ms: 80/s and no more."""
    made = Workplace(tmp_path)
    text = made.environment.read_text()
    limited = text.replace("$store-link.address]", "$store-link.address, --slots, '2', --delay, '0.05']")
    assert limited != text
    made.environment.write_text(limited)
    return made


def write(place, *, after="2s", faults="", expect="always: p95 < 250ms"):
    path = place.folder / "rush.yaml"
    path.write_text(RUSH.format(root=ROOT, after=after, faults=faults, expect=expect))
    return path


def capacity(place, path, *more):
    return ("capacity", path, "--env", place.environment, "--report", place.reports, *more)


def log_of(place):
    found = list(place.reports.glob("rush/capacity-*/trials.jsonl"))
    return [json.loads(line) for line in found[0].read_text().splitlines()] if found else []


def second_run(place, deadline):
    """Wait until one trial is on record and another one is under way; return that one's run."""
    while time.monotonic() < deadline:
        done = {line["folder"] for line in log_of(place) if line["line"] == "tried"}
        for timeline in place.reports.glob("rush/capacity-*/runs/*/*/timeline.jsonl"):
            folder = timeline.parent
            under_way = '"name":"before"' in timeline.read_text().replace(" ", "")
            if done and under_way and not folder.is_symlink() and not any(folder.name in one for one in done):
                return folder.name
        time.sleep(0.02)
    raise AssertionError(f"no second trial: {log_of(place)}")


def test_a_search_that_was_killed_goes_on_and_makes_no_trial_twice(place):
    path = write(place)
    process = place.start(*capacity(place, path, "--from", "20/s", "--to", "320/s", "--trials", "3"))
    try:
        run = second_run(place, time.monotonic() + 60)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=30)
    assert not wait_gone(run)
    (first,) = [line for line in log_of(place) if line["line"] == "tried"]
    (folder,) = place.reports.glob("rush/capacity-*")

    more = ("--from", "20/s", "--to", "320/s", "--trials", "3", "--resume", folder)
    code, output = place.squall(*capacity(place, path, *more))

    assert code == 3, output
    tried = [line for line in log_of(place) if line["line"] == "tried"]
    assert tried[0] == first
    assert [line["label"].split(" at ")[0] for line in tried] == [f"here trial {n}" for n in (1, 2, 3)]
    found = json.loads((folder / "capacity.json").read_text())
    assert [shot["label"] for shot in found["sides"][0]["shots"]] == [line["label"] for line in tried]
    assert found["sides"][0]["shots"][0]["offered"] == pytest.approx(77, rel=0.1)  # read back from its record
    assert output.splitlines()[-1].startswith("inconclusive: here serves ")
    assert "here: the trials and the edge" in (folder / "report.html").read_text()
    assert (folder / "report.txt").read_text().startswith("INCONCLUSIVE: capacity of Rush hour")


def refused(place, path, *more):
    code, output = place.squall(*capacity(place, path, *more))
    assert code == 2, output
    assert output.count("\n") == 1
    assert not list(place.reports.glob("*/capacity-*"))
    return output


def test_what_cannot_be_searched_is_refused_in_one_line_before_any_trial(place):
    path = write(place)
    assert "has no parameter rtae to turn; did you mean rate" in refused(place, path, "--knob", "rtae")
    assert "has no unit; write 20/s" in refused(place, path, "--from", "20")
    assert "is not below" in refused(place, path, "--from", "90/s", "--to", "20/s")
    unused = path.read_text().replace("rate: $rate", "rate: 40/s")
    path.write_text(unused)
    assert "no stage of the load uses it" in refused(place, path)


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_the_capacity_that_is_known_is_found(place):
    path = write(place, after="5s")
    code, output = place.squall(*capacity(place, path, "--from", "20/s", "--to", "320/s"), timeout=900)
    assert code == 0, output
    (found,) = place.reports.glob("rush/capacity-*/capacity.json")
    side = json.loads(found.read_text())["sides"][0]
    assert side["low"] <= 82.0  # 80/s, and what 6 s of a little more may queue within 250 ms
    assert side["high"] >= 80.0


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_the_margin_of_a_delay_is_found(place):
    path = write(place, faults=SLOW, expect="during slow-store: 'p50{GET /item} < 200ms'")
    more = ("--fault", "slow-store", "--knob", "delay", "--from", "20ms", "--to", "450ms")
    arguments = ("margin", path, "--env", place.environment, "--report", place.reports, *more)
    code, output = place.squall(*arguments, timeout=900)
    assert code == 0, output
    (found,) = place.reports.glob("rush/margin-*/margin.json")
    side = json.loads(found.read_text())["sides"][0]
    # 200 ms less the page's own 50 ms: no more than that, and less by what the way there takes on a busy machine
    assert 0.08 <= side["low"] <= 0.150
    assert "bears a delay of slow-store up to " in output
