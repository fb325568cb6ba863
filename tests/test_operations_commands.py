"""Commands of a scenario end, say how, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import Identity, Reading, Run
from runner.processes import identify, pids, state_of
from tests.victims import one, until


def run(*argv: str, **more) -> Reading:
    return one(perform(Run(argv=argv, **more), Context()))


def python(code: str, **more) -> Reading:
    return run(sys.executable, "-c", code, **more)


def test_exit_0_is_success_and_nothing_else_is():
    assert run("true").ok
    failed = run("sh", "-c", "echo what went wrong >&2; exit 3")
    assert failed.ok is False
    assert failed.evidence.endswith("exited with 3: what went wrong")
    assert run("sh", "-c", "kill -9 $$").ok is False


def test_words_are_never_read_by_a_shell(tmp_path):
    assert run("touch", "$HOME; echo", cwd=str(tmp_path)).ok
    assert [path.name for path in tmp_path.iterdir()] == ["$HOME; echo"]


def test_a_command_has_no_input_and_the_environment_asked_for():
    code = "import os, sys; sys.exit(sys.stdin.read() + os.environ['TARGET_NAME'] != 'shop')"
    assert python(code, env={"TARGET_NAME": "shop"}).ok


def test_a_command_that_does_not_end_is_killed_with_its_session():
    begun = time.monotonic()
    late = run("sh", "-c", "sleep 61.5 & sleep 61.5", timeout=0.3)
    assert late.ok is False
    assert "still ran after 0.3 s and was killed" in late.evidence
    assert time.monotonic() - begun < 30  # half of what it would sleep
    assert not [pid for pid in pids() if _argv(pid) == b"sleep\x0061.5\0"]


def test_a_background_child_does_not_keep_it_waiting():
    begun = time.monotonic()
    reading = run("sh", "-c", "sleep 62.5 & echo $!")
    assert reading.ok
    assert time.monotonic() - begun < 30  # half of what it would sleep
    os.kill(int(reading.evidence.rpartition(" ")[2]), signal.SIGKILL)


def test_output_is_bounded_and_keeps_its_beginning_and_its_end():
    reading = python("print('first'); print('x' * 3_000_000); print('last')")
    assert reading.ok
    assert "first" in reading.evidence
    assert reading.evidence.endswith("last")
    assert len(reading.evidence) < 2500


def test_a_command_that_closes_its_output_is_still_waited_for():
    assert python("import os, time; os.close(1); os.close(2); time.sleep(0.1); os._exit(4)").ok is False


def test_a_secret_taken_from_the_environment_is_not_recorded(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "hunter2")
    reading = run("sh", "-c", "echo key is $SHOP_KEY", env_from=("SHOP_KEY",))
    assert reading.evidence.endswith("key is $SHOP_KEY")


def test_what_cannot_be_started_says_why():
    with pytest.raises(
        OperationFailed, match="no-such-program cannot be started: no such program on the PATH"
    ):
        run("no-such-program")
    with pytest.raises(OperationFailed, match="NO_SUCH_VARIABLE is not set"):
        run("true", env_from=("NO_SUCH_VARIABLE",))


def test_a_parent_that_ignores_its_children_still_sees_them_fail():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run("false").ok is False
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_nothing_is_left_open():
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted
    for _ in range(3):
        run("true")
        with pytest.raises(OperationFailed):
            run("no-such-program")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - counted


def test_the_rest_of_a_do_whose_hand_was_killed_never_lands_after_the_undo(tmp_path):
    order = Run(argv=("sh", "-c", "echo $$ > pid; sleep 60; touch harm"), cwd=str(tmp_path), timeout=90)
    with _hand(order) as hand:
        command = _who_wrote(tmp_path / "pid")
        assert run("true").ok
        assert state_of(command), "a command whose hand lives must not be ended"
        hand.kill()
        hand.wait()
    assert state_of(command), "the command must outlive its hand, or this shows nothing"
    assert run("true").ok
    assert not state_of(command)


def test_the_unattended_command_of_another_run_is_left_to_that_run(tmp_path):
    order = Run(argv=("sh", "-c", "echo $$ > pid; sleep 60"), cwd=str(tmp_path), timeout=90)
    with _hand(order, SQUALL_RUN="another") as hand:
        command = _who_wrote(tmp_path / "pid")
        hand.kill()
    assert run("true").ok
    assert state_of(command), "the command of another run must not be ended"
    assert run("true", env={"SQUALL_RUN": "another"}).ok
    assert not state_of(command)


@pytest.mark.parametrize(
    "words",
    ["{} & true", "setsid -f {}", "(sleep 0.3; exec setsid -f {}) & true"],
    ids=["in-its-session", "in-a-session-of-its-own", "in-one-that-began-later"],
)
def test_what_a_command_left_in_the_background_lives_on(tmp_path, words):
    left = "sh -c 'echo $$ > pid; exec sleep 63.5'"
    with _hand(Run(argv=("sh", "-c", words.format(left)), cwd=str(tmp_path))) as hand:
        assert hand.wait() == 0
    process = _who_wrote(tmp_path / "pid")
    assert run("true").ok
    assert state_of(process)
    os.kill(process.pid, signal.SIGKILL)


def _hand(order: Run, **environment: str) -> subprocess.Popen[bytes]:
    """A process that performs *order* and leaves, as a hand does."""
    code = (
        "import sys, msgspec; from runner.operations import perform, Context;"
        "from runner.operations.record import Run;"
        "perform(msgspec.json.decode(sys.argv[1], type=Run), Context())"
    )
    words = [sys.executable, "-c", code, msgspec.json.encode(order).decode()]
    return subprocess.Popen(words, env=os.environ | environment)


def _who_wrote(path: Path) -> Identity:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    process = identify(int(path.read_text()))
    assert process
    return process


def _argv(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - /proc
            return file.read()
    except OSError:
        return b""
