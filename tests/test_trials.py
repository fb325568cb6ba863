"""`squall aa` and `squall compare` for real: short runs of the shop, interrupted, resumed, judged again."""

import json
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from runner.cli.verbs import squall
from runner.errors import SquallError
from runner.planning.calibration import known
from runner.trials.swap import order
from tests.runs import ROOT, Workplace, free_port, wait_gone

SCENARIO = """
title: A short run that is made again and again
confidence: none
load:
  locustfile: {root}/scenarios/shoppers.py
  classes: [Shopper]
  target: front
  labels: {{version: header X-Version}}
  stages: [{{name: steady, rate: 40/s}}]
warmup: 500ms
before: 1s
after: 500ms
faults:
  {fault}
steady_state: [p50 < 2s, error_rate < 20%]
expect: [{{during faults: p95 < 2s}}]
{halt}
{compare}
"""
SLOW = "slow: {kind: latency, target: store-link, delay: 20ms, at: 0s, for: 1500ms}"
COMPARE = "compare: {pairs: 2, margins: {p50: 90%, error_rate: 50%}, prices: {there: 2 USD/h, here: 1 USD/h}}"


@pytest.fixture
def place(tmp_path):
    made = Workplace(tmp_path)
    there = made.environment.read_text().replace(
        "--port, $port, --store", "--port, $port, --delay, '0.1', --store"
    )
    (tmp_path / "there.yaml").write_text(there)
    return made


def scenario(place, *, fault=SLOW, halt="", compare=COMPARE):
    path = place.folder / "again.yaml"
    path.write_text(SCENARIO.format(root=ROOT, fault=fault, halt=halt, compare=compare))
    return path


def comparing(place, path, *more):
    return (
        "compare", path, "--baseline", place.environment, "--variant", place.folder / "there.yaml",
        "--report", place.reports, *more,
    )  # fmt: skip


def folder_of(place, kind):
    (found,) = place.reports.glob(f"again/{kind}-*")
    return found


def lines_of(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def refused(arguments, said):
    with pytest.raises(SquallError) as error:
        squall([str(argument) for argument in arguments], standalone_mode=False)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_within_each_pair_a_coin_says_who_goes_first_and_the_seed_says_how_it_falls():
    trials = list(order(40, 1))
    assert trials == list(order(40, 1))
    assert trials != list(order(40, 2))
    first = [side for _, side in trials[::2]]
    assert {first.count("baseline"), first.count("variant")} != {0, 40}
    assert all(
        {one, other} == {"baseline", "variant"}
        for (_, one), (_, other) in zip(trials[::2], trials[1::2], strict=True)
    )


@pytest.mark.timeout(300)  # five runs
def test_a_comparison_killed_in_the_middle_goes_on_and_finds_the_slower_side(place):
    path = scenario(place)
    process = place.start(*comparing(place, path))
    deadline = time.monotonic() + 100
    while not list(place.reports.glob("again/compare-*/runs/again/*/timeline.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while len(lines_of(folder := folder_of(place, "compare"))) < 2 or _faults_begun(folder) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed = max(
        folder.glob("runs/again/*/timeline.jsonl"), key=lambda found: found.stat().st_mtime
    ).parent.name
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    assert not wait_gone(killed)
    assert not list((place.folder / "state" / "squall" / "armed").glob("*.jsonl")), "the guardian undid it"
    made = lines_of(folder)[1]["folder"]

    changed = path.read_text()
    path.write_text(changed + "# another version\n")
    refused(comparing(place, path, "--resume", folder), "was changed since")
    path.write_text(changed)
    refused(comparing(place, path, "--resume", folder, "--pairs", "3"), "was begun with pairs 2")

    code, output = place.squall(*comparing(place, path, "--resume", folder))
    tried = [line for line in lines_of(folder) if line["line"] == "tried"]
    assert [line["label"] for line in tried] == [label for label, _ in order(2, 0)]
    assert tried[0]["folder"] == made, "what was done is not done again"
    found = json.loads((folder / "comparison.json").read_text())
    assert (found["used"], found["baseline"], found["variant"]) == (2, "here", "there"), output
    slower = found["guardrails"][0]
    assert all(variant > base + 0.05 for base, variant in slower["pairs"])
    assert slower["judgement"] in ("fail", "inconclusive"), "of two pairs no pass"
    assert found["cost"]["ratio"] == pytest.approx(2, rel=0.3)
    assert code in (1, 3)
    assert output.splitlines()[-1].startswith(found["outcome"])
    page = (folder / "comparison.html").read_text()
    assert "there against here" in page
    assert "p50 in every one of the pairs" in page

    (folder / "comparison.json").unlink()
    assert squall(["judge", str(folder)], standalone_mode=False) == code
    assert json.loads((folder / "comparison.json").read_text()) == found


def _faults_begun(folder):
    """How many runs have come to inject."""
    texts = [path.read_text() for path in folder.glob("runs/again/*/timeline.jsonl")]
    return sum('"state":"injected"' in text and '"fault":"slow"' in text for text in texts)


def test_aa_runs_inject_nothing_and_keep_what_they_teach(place):
    path = scenario(place, halt="halt: [error_rate > 90%]")
    code, output = place.squall(
        "aa", path, "--env", place.environment, "--runs", "2", "--report", place.reports
    )
    assert code == 0, output
    kept = known(place.reports / "again")
    assert kept.environment == "here"
    assert len(kept.runs) == 2
    terms = {(one.term, one.when): one for one in kept.noise}
    assert terms["p95", "during faults"].requests == pytest.approx(60, rel=0.2)
    assert {when for _, when in terms} == {"steady state before", "during faults", "halt"}
    assert kept.halts[0] == msgspec.structs.replace(kept.halts[0], halted=0, runs=2)
    assert sum(kept.rates.values()) == pytest.approx(40, rel=0.1)
    events = [event for run in kept.runs for event in place.events(Path(run))]
    acts = [event for event in events if event["event"] == "act" and event["fault"] == "slow"]
    assert not acts
    assert "halt: error_rate > 90%: tripped in 0 of 2 runs" in output
    assert "compare: p50, margin 90%: 2 pairs pass a variant that does not differ with" in output


CANARY = """canary:
    kind: command
    target: front
    do: [python, -m, scenarios.shop.split, --front, $front.address, 50%]
    undo: [python, -m, scenarios.shop.split, --front, $front.address, 0%]
    confirm: [python, -m, scenarios.shop.split, --front, $front.address, --is, 50%]
    cwd: {root}
    at: 0s
    for: 12s"""
ARMS = """compare:
  when: during canary
  arms: {baseline: version=stable, variant: version=next, share: 50%}
  margins: {error_rate: 1%}"""


def test_a_bad_next_version_is_taken_back_at_once(place):
    port = free_port()
    text = place.environment.read_text()
    text = text.replace("--webs, $shop.addresses]", "--webs, $shop.addresses, --next, $next.addresses]")
    text += f"""
  next:
    processes: {{command: [python, -m, scenarios.shop.web, --port, $port, --store, $store.address, --errors, '0.5'],
      cwd: {ROOT}, port: {port}, ready: {{http: /healthz}}}}
"""
    place.environment.write_text(text)
    rule = "error_rate{version=next} > 1.5x error_rate{version=stable} (confidence 99%)"
    path = scenario(place, fault=CANARY.format(root=ROOT), halt=f"halt: ['{rule}']", compare=ARMS)
    code, output = place.squall("compare", path, "--env", place.environment, "--report", place.reports)
    assert code == 4, output
    verdict = place.verdict()
    assert verdict["reason"].startswith(rule)
    canary = verdict["faults"][0]
    assert canary["reverted_by"] == "runner"
    assert canary["reverted_at"] - canary["injected_at"] < 8, "the halt undid it, not its end"
    found = json.loads((place.folders()[-1] / "comparison.json").read_text())
    assert (found["outcome"], found["variant"]) == ("halted", "version=next")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "again.yaml", "--baseline", "here.yaml"), "name both --baseline ENV and --variant ENV"),
        (("compare", "again.yaml", "--baseline", "here.yaml", "--variant", "here.yaml"), "is the baseline too"),
        (("compare", "again.yaml", "--baseline", "here.yaml", "--variant", "there.yaml", "--pairs", "1"), "--pairs 1: write 2 to 500"),
        (("compare", "again.yaml", "--env", "here.yaml"), "write compare: {arms: …}"),
        (("compare", "again.yaml", "--env", "here.yaml", "--pairs", "4"), "are of two environments"),
        (("compare", "again.yaml", "--baseline", "here.yaml", "--variant", "there.yaml", "--resume", "."), "is no log of a campaign"),
        (("compare", "silent.yaml", "--baseline", "here.yaml", "--variant", "there.yaml"), "does not say what the variant may cost"),
        (("compare", "nowhere.yaml", "--baseline", "here.yaml", "--variant", "there.yaml"), "nowhere.yaml"),
        (("aa", "again.yaml", "--env", "here.yaml", "--runs", "1"), "--runs 1: write 2 to 200"),
        (("judge", "."), "plan.json cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_one_line(place, arguments, said, monkeypatch):
    path = scenario(place)
    (place.folder / "silent.yaml").write_text(path.read_text().replace(COMPARE, ""))
    monkeypatch.chdir(place.folder)
    refused(arguments, said)
    assert not (place.folder / "reports").exists()
