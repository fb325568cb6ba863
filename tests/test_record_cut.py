"""A timeline that was cut off: what the journal beside it knows counts, and what it does not say is not claimed."""

import json

import msgspec
import pytest

from runner.guardian.journal import Armed, Closed, Head, Turned, copy_redacted, encode
from runner.operations.record import Act, Run
from runner.record import Record
from runner.report.answers import answers
from runner.report.evidence import read_evidence
from runner.timeline import ActChanged
from runner.verdict.judge import judge
from runner.verdict.record import Outcome
from tests.made import ANCHOR, act, fault, phases, plan
from tests.made_run import make_run

ACT = "kill-one/0/shop.1"
STATES = ("injecting", "injected", "undoing", "clean")
WHOLE = [*phases(after=20.0, end=41.0), *act()]


def folder_of(folder, events, states=STATES):
    """A report folder with these events, and the copy of a journal with these states."""
    lines = [msgspec.json.encode(event) + b"\n" for event in sorted(events, key=lambda event: event.at)]
    (folder / "timeline.jsonl").write_bytes(b"".join(lines))
    way = Run(argv=("mend",), env={"TOKEN": "x"})
    armed = Act(
        id=ACT, fault="kill-one", kind="kill", instance="shop.1", owns="shop.1", do=(way,), undo=(way,)
    )
    records = [Head(run="r", pid=1, report="", anchor=ANCHOR), Armed(act=armed)]
    records += [Turned(act=ACT, state=state) for state in states]
    records += [Closed()] if states[-1] == "clean" else []
    journal = folder / "theirs"
    journal.write_bytes(b"".join(encode(number, one) for number, one in enumerate(records, 1)))
    copy_redacted(journal, folder / "journal.jsonl")
    return folder


def judged(folder):
    return judge(plan(faults=(fault(),), loads=()), Record.load(folder))


def until(at):
    return [event for event in WHOLE if event.at <= at]


@pytest.mark.parametrize("at", [-1.0, 5.0, 9.99])
def test_what_was_injected_and_undone_after_the_cut_is_said(tmp_path, at):
    verdict = judged(folder_of(tmp_path, until(at)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == f"the timeline is cut off: journal.jsonl says that {ACT} was undone"
    assert verdict.started.startswith("2023-11-14T22:13:20")


@pytest.mark.parametrize("at", [10.0, 15.0, 19.99])
def test_what_the_journal_says_is_undone_is_not_dirty(tmp_path, at):
    verdict = judged(folder_of(tmp_path, until(at)))
    assert (verdict.outcome, verdict.faults[0].dirty) == (Outcome.INCONCLUSIVE, "")
    assert (verdict.faults[0].reverted_at, verdict.faults[0].reverted_by) == (None, "journal.jsonl")


@pytest.mark.parametrize("at", [-1.0, 9.99, 15.0])
@pytest.mark.parametrize("left", ["injected", "dirty"])
def test_what_the_journal_says_is_left_is_dirty(tmp_path, at, left):
    verdict = judged(folder_of(tmp_path, until(at), ("injecting", left)))
    assert verdict.outcome is Outcome.DIRTY
    assert "shop.1" in verdict.reason
    assert "squall rollback" in verdict.reason


def test_a_whole_timeline_is_believed_whatever_the_journal_says(tmp_path):
    record = Record.load(folder_of(tmp_path, WHOLE, ("injecting", "injected")))
    assert not record.cut
    assert judge(plan(faults=(fault(),), loads=()), record).outcome is Outcome.PASSED


def test_a_dead_runner_whose_guardian_wrote_it_down_lost_nothing(tmp_path):
    folder = folder_of(tmp_path, until(15.0))
    theirs = [event for event in act(by="guardian") if event.at > 15.0 and isinstance(event, ActChanged)]
    (folder / "guardian.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in theirs))
    verdict = judged(folder)
    assert verdict.outcome is Outcome.HALTED
    assert verdict.reason.startswith("the runner died; the guardian undid everything")


def test_a_journal_that_is_noise_says_nothing(tmp_path):
    folder = folder_of(tmp_path, until(5.0))
    (folder / "journal.jsonl").write_bytes(b'\xff\n{"record":"turned"}\n{"record":"armed","act":7}\n[]\n')
    assert judged(folder).reason == "the runner died; no fault had been injected"


def test_a_record_that_does_not_say_when_it_began_is_not_of_1970(tmp_path):
    folder = folder_of(tmp_path, [])
    (folder / "journal.jsonl").unlink()
    assert judged(folder).started == "?"


def test_a_report_of_a_cut_timeline_does_not_say_that_nothing_had_to_be_undone(tmp_path):
    make_run(tmp_path)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    (tmp_path / "verdict.json").write_text(json.dumps(verdict | {"faults": []}))
    evidence = read_evidence(folder_of(tmp_path, until(5.0)))
    assert evidence.gaps[-1].startswith("the timeline is cut off")
    assert [answer.says for answer in answers(evidence)[1:]] == ["Not on the timeline"] * 2
