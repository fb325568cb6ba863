"""Signals and process readings reach exactly the process meant, and prove what they did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import CheckProcess, CheckShare, Identity, Signal
from runner.processes import identify, state_of
from tests.victims import one, program, until


@pytest.fixture
def sleeper():
    with program("sleep", "60") as process:
        yield process


def send(process: Identity, name: str, **more):
    return one(perform(Signal(process=process, signal=name, **more), Context()))


def check(expect: str, **more):
    return one(perform(CheckProcess(expect=expect, **more), Context()))


def test_a_kill_is_proven_by_the_end(sleeper):
    assert send(sleeper, "KILL").ok
    assert check("gone", process=sleeper).ok
    assert check("running", process=sleeper).ok is False


def test_stop_and_continue_are_proven_by_the_state(sleeper):
    assert send(sleeper, "STOP").ok
    assert check("stopped", process=sleeper).ok
    assert check("running", process=sleeper).ok is False
    assert send(sleeper, "CONT").ok
    assert check("running", process=sleeper).ok
    assert check("stopped", process=sleeper).ok is False


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "USR2"])
def test_other_signals_arrive(sleeper, name):
    assert send(sleeper, name).ok
    _, status = os.waitpid(sleeper.pid, 0)
    assert os.WTERMSIG(status) == signal.Signals[f"SIG{name}"]


def test_a_process_that_took_over_the_pid_is_never_touched(sleeper):
    for other in (
        msgspec.structs.replace(sleeper, started=sleeper.started - 1),
        msgspec.structs.replace(sleeper, boot="an earlier boot"),
        msgspec.structs.replace(sleeper, inode=sleeper.inode + 1),
    ):
        assert send(other, "KILL").ok is True
        assert send(other, "KILL", gone_is_fine=False).ok is False
        assert check("gone", process=other).ok
    assert state_of(sleeper)


def test_a_zombie_counts_as_gone(sleeper):
    os.kill(sleeper.pid, signal.SIGKILL)
    until(lambda: identify(sleeper.pid) is None)
    assert check("gone", process=sleeper).ok
    assert send(sleeper, "KILL", gone_is_fine=False).ok is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user_says_what_is_missing(sleeper):
    code = (
        "import os, sys, msgspec; from runner.operations import perform, Context;"
        "from runner.operations.record import Signal;"
        "order = msgspec.json.decode(sys.argv[1], type=Signal); os.setuid(65534);"
        "perform(order, Context())"
    )
    order = msgspec.json.encode(Signal(process=sleeper, signal="KILL")).decode()
    told = subprocess.run([sys.executable, "-c", code, order], capture_output=True, text=True)
    assert "belongs to another user: run Squall as that user or with CAP_KILL" in told.stderr
    assert state_of(sleeper)


def test_what_the_kernel_refuses_is_an_operation_that_failed(monkeypatch, sleeper):
    def refuse(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OperationFailed, match="Too many open files"):
        perform(Signal(process=sleeper, signal="KILL"), Context())


def test_an_idle_process_cannot_show_that_it_is_held_back(sleeper):
    reading = one(perform(CheckShare(processes=(sleeper,), most=0.2, window=0.05), Context()))
    assert reading.ok is None


def test_a_busy_process_over_its_share_is_told():
    with program(sys.executable, "-c", "while True: pass") as busy:
        until(lambda: perform(CheckShare(processes=(busy,), most=0.02, window=0.1), Context()).ok is False)


def test_the_share_of_nobody_is_no_success(sleeper):
    assert send(sleeper, "KILL").ok
    assert one(perform(CheckShare(processes=(sleeper,), most=0.2, window=0.05), Context())).ok is False
