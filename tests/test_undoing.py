"""`squall rollback` says what it left: where nobody answers, where it is interrupted; the exit is 5 then."""

import io
import os
import resource
import signal
import time

import pytest

from runner.cli.undoing import rollback_verb
from runner.running import leftovers
from runner.running.leftovers import Leftover
from tests.runs import Workplace, guardian_of, injected, wait_gone

MENDED = []


class Left(Leftover):
    """One that can be undone."""

    def mend(self):
        MENDED.append(self.name)
        return "undone"


@pytest.fixture
def rollback(monkeypatch, capsys, tmp_path):
    """Call the verb where one, two and three are left; return exit code, output, and what was undone."""
    file = tmp_path / "there.yaml"
    file.write_text("targets: {web: {url: 'http://127.0.0.1:9'}}\n")
    found = [Left("run", name, operation="an undo") for name in ("one", "two", "three")]
    monkeypatch.setattr(leftovers, "leftovers", lambda _: found)
    MENDED.clear()

    def rollback(*arguments):
        code = rollback_verb.main(["--env", str(file), *arguments], standalone_mode=False)
        return code, capsys.readouterr().out, MENDED

    return rollback


@pytest.mark.parametrize("stdin", [io.StringIO(""), None], ids=["at its end", "closed"])
def test_without_anybody_to_ask_everything_is_named_and_left(rollback, monkeypatch, stdin):
    monkeypatch.setattr("sys.stdin", stdin)
    code, said, mended = rollback()
    assert (code, mended) == (5, [])
    assert said.count("--yes") == 1
    for name in ("one", "two", "three"):
        assert f"run: {name} is left as it is" in said


def test_an_interrupt_at_a_question_leaves_the_rest_and_names_it(rollback, monkeypatch):
    answers = iter(["y", KeyboardInterrupt])

    def answer(_):
        said = next(answers)
        if said is KeyboardInterrupt:
            raise said
        return said

    monkeypatch.setattr("click.termui.visible_prompt_func", answer)
    code, said, mended = rollback()
    assert (code, mended) == (5, ["one"])
    assert "run: one is clean: undone" in said
    for name in ("two", "three"):
        assert f"run: {name} is left as it is" in said


def test_who_is_sure_is_not_asked(rollback, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert rollback("--yes")[::2] == (0, ["one", "two", "three"])


def test_an_interrupt_during_an_undo_is_no_halt_and_the_undo_goes_on_to_its_end(tmp_path):
    place = Workplace(tmp_path)
    (tmp_path / "gate").touch()
    run = armed(place, "touch begun; while test -e gate; do sleep 0.05; done; touch undone")
    rollback = place.start("rollback")
    wait_for(tmp_path / "begun")
    rollback.send_signal(signal.SIGINT)
    output, _ = rollback.communicate(timeout=30)
    assert rollback.returncode == 5, output
    assert output.startswith("interrupted: ")
    assert "before anything" not in output
    (tmp_path / "gate").unlink()
    wait_for(tmp_path / "undone")
    assert wait_gone(run) == []
    assert place.squall("rollback") == (0, "nothing is armed on this machine\n")


def test_a_journal_that_cannot_be_written_is_undone_from_and_kept_and_that_is_said(tmp_path):
    place = Workplace(tmp_path)
    run = armed(place, "echo undone >> undos")
    limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # noqa: E731 - of its children too
    rollback = place.start("rollback", preexec_fn=limited)
    output, _ = rollback.communicate(timeout=30)
    journal = place.folder / "state" / "squall" / "armed" / f"{run}.jsonl"
    assert rollback.returncode == 5, output
    assert "is clean" in output
    assert f"{journal}: it cannot be written (File too large)" in output
    assert "make room or make it writable, then run `squall rollback` again" in output
    assert set((tmp_path / "undos").read_text().split()) == {"undone"}
    code, output = place.squall("rollback")
    assert (code, journal.exists()) == (0, False), output
    assert place.squall("rollback") == (0, "nothing is armed on this machine\n")


def armed(place, undo):
    """Kill a run and its guardian in the middle of a command fault; return its name."""
    fault = (
        f"{{kind: command, target: shop, pick: 1, at: 0s, for: 30s, do: ['true'], undo: [sh, -c, '{undo}']}}"
    )
    running = place.start(*place.run_arguments(place.scenario(f"  own: {fault}")))
    place.wait_for_event(injected)
    run = place.folders()[-1].name
    os.kill(guardian_of(run), signal.SIGSTOP)
    running.kill()
    running.communicate(timeout=30)
    os.kill(guardian_of(run), signal.SIGKILL)
    return run


def wait_for(path):
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.01)
