"""A signal that comes when a run is over costs neither its verdict nor its reports, and no other run begins after it."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import click
import pytest

from runner.trials import campaign
from runner.trials.campaign import Campaign
from runner.verdict.record import Outcome
from tests.runs import Workplace, left_of

KILL = "  kill-one: {kind: kill, target: shop, pick: 1, at: 0s, for: 1s}"
SLOW = """
import pathlib, time
import runner.running.carrying as carrying
write = carrying.write_reports
def slowly(folder):
    pathlib.Path("writing").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    write(folder)
carrying.write_reports = slowly
from runner.cli import main
main()
"""


@pytest.mark.parametrize("runs", [1, 2])
def test_a_signal_while_reports_are_written_costs_none_of_them(tmp_path, runs):
    place = Workplace(tmp_path)
    names = [
        place.scenario(KILL, expect="[{during kill-one: error_rate < 60%}]", name=f"s{n}")
        for n in range(runs)
    ]
    running = subprocess.Popen(
        [sys.executable, "-P", "-c", SLOW, *place.run_arguments(names[0]), *names[1:]],
        env=place.variables,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "writing").exists():
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        running.send_signal(number)
        time.sleep(0.05)  # or two of them were one
    (tmp_path / "go").touch()
    output, _ = running.communicate(timeout=30)
    [folder] = place.folders()
    outcome = place.verdict()["outcome"]
    assert "before anything was injected" not in output
    assert f"{folder}" in output
    assert (folder / "report.html").stat().st_size > 0
    if runs == 1:
        assert running.returncode == {"passed": 0, "inconclusive": 3}[outcome], output
    else:
        assert running.returncode == 4, output
        assert output.endswith("halted: 1 of 2 runs did not begin\n")
    assert left_of(folder.name) == []


def test_a_signal_too_late_for_a_trial_ends_the_campaign_which_keeps_it(tmp_path, monkeypatch):
    file = tmp_path / "s.yaml"
    file.write_text("")
    monkeypatch.setattr(campaign, "try_out", lambda *_, **__: ended)
    found = Campaign.begin(campaign.asked("aa", file), tmp_path)
    verdict = SimpleNamespace(outcome=Outcome.PASSED, reason="it held", started="now")
    ended = SimpleNamespace(
        verdict=verdict, folder=found.folder / "runs" / "r", is_last=False, interrupted=True
    )
    with pytest.raises(click.Abort, match="--resume"):
        found.trial("run 1", None, None)
    assert list(Campaign.read(found.folder).done) == ["run 1"]
