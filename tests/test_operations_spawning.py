"""Processes of our own: started once, isolated, found again by their marks, ended whole."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from runner import processes
from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import CheckProcess, Spawn, Stop
from runner.processes import identify, marked, state_of
from tests.victims import one, program, until

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def run():
    """A run of its own, of which nothing is left."""
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    one(perform(Stop(run=name, instance="a.0", grace=0.0), Context()))
    assert not list(marked(name))


@pytest.fixture
def spawn(run, tmp_path):
    """Make Spawns of a Python program, and perform them."""

    def spawn(code: str = SLEEP, *, context: Context | None = None, **more):
        fields = {
            "run": run,
            "instance": "a.0",
            "argv": (sys.executable, "-c", code),
            "log": str(tmp_path / "log"),
        }
        return one(perform(Spawn(**fields | more), context or Context()))

    return spawn


@pytest.fixture
def said(tmp_path):
    """Wait for a whole line in the log and return the log."""

    def said(line_count: int = 1) -> str:
        log = tmp_path / "log"
        until(lambda: log.exists() and log.read_text().count("\n") >= line_count)
        return log.read_text()

    return said


def stop(run, **more):
    return one(perform(Stop(run=run, instance="a.0", **more), Context()))


def test_a_process_starts_in_a_session_of_its_own_with_its_marks(run, spawn, said):
    (born,) = spawn().processes
    said()
    assert os.getsid(born.pid) == born.pid
    assert [process.pid for process in marked(run, "a.0")] == [born.pid]


def test_it_is_not_started_twice(spawn):
    (born,) = spawn().processes
    assert spawn().processes == (born,)


def test_two_hands_at_once_start_one_process(run, spawn, said):
    threads = [threading.Thread(target=spawn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said()
    assert len(list(marked(run, "a.0"))) == 1


def test_it_comes_back_although_the_killed_one_is_still_dying(spawn):
    for _ in range(20):
        (born,) = spawn("import time; ballast = bytearray(30_000_000); time.sleep(60)").processes
        os.kill(born.pid, signal.SIGKILL)
        (again,) = spawn().processes
        assert again != born
        assert state_of(again)
        os.kill(again.pid, signal.SIGKILL)


def test_workers_of_a_dead_one_make_room_for_the_next(run, spawn, said):
    family = "import os, time; os.fork() or print('worker', flush=True); time.sleep(60)"
    (born,) = spawn(family).processes
    said()
    os.kill(born.pid, signal.SIGKILL)
    (again,) = spawn().processes
    until(lambda: [process.pid for process in marked(run, "a.0")] == [again.pid])


def test_nothing_is_inherited_by_chance(spawn, said):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        spawn(
            "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1], len(os.read(0, 1)))"
        )
        assert said() == "[0, 1, 2] 0\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_listener_of_the_guardian_is_handed_on(spawn, said):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = Context(listeners={"store": listener.fileno(), "other": 0})
        code = (
            "import os, socket; name, fd = os.environ['SQUALL_LISTENERS'].split('=');"
            "peer, _ = socket.socket(fileno=int(fd)).accept(); peer.sendall(name.encode())"
        )
        assert spawn(code, context=context, listeners=("store",)).ok
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            assert client.recv(10) == b"store"


def test_an_unknown_listener_is_no_process(run, spawn):
    with pytest.raises(OperationFailed, match="no listener named store"):
        spawn(listeners=("store",))
    assert not list(marked(run))


def test_signals_that_its_parent_ignores_are_as_at_birth(spawn, said):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        spawn(
            "import signal as s; print(s.getsignal(s.SIGTERM) is s.SIG_DFL, s.pthread_sigmask(s.SIG_BLOCK, ()))"
        )
        assert said() == "True set()\n"
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def test_environment_and_directory_are_the_ones_asked_for(spawn, said, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "secret")
    monkeypatch.setenv("SQUALL_INSTANCE", "somebody else")
    here = Path.cwd()
    code = (
        "import os; print(os.getcwd(), *(os.environ[name] for name in ('A', 'SHOP_KEY', 'SQUALL_INSTANCE')))"
    )
    spawn(code, env={"A": "b"}, env_from=("SHOP_KEY",), cwd=str(tmp_path))
    assert said() == f"{tmp_path} b secret a.0\n"
    assert Path.cwd() == here


def test_a_program_is_found_on_the_path_that_it_gets(spawn, said, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    spawn(argv=("tool",), env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert said() == "found\n"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"argv": ("no-such-program",)}, "no-such-program cannot be started: no such program on the PATH"),
        ({"argv": ("/no/such/program",)}, "cannot be started: No such file"),
        ({"argv": ()}, "empty command"),
        ({"cwd": "/no/such/folder"}, "cannot be started: No such file"),
        ({"env_from": ("NO_SUCH_VARIABLE",)}, "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_what_cannot_be_started_says_why(spawn, more, sentence):
    with pytest.raises(OperationFailed, match=sentence):
        spawn(**more)


def test_a_log_that_cannot_be_written_keeps_nobody_from_coming_back(spawn):
    assert spawn(log="/proc/no/log").ok


def test_a_log_is_appended_and_read_by_its_owner_only(spawn, said, tmp_path):
    for count in (1, 2):
        (born,) = spawn().processes
        said(count)
        os.kill(born.pid, signal.SIGKILL)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_nothing_is_started_for_a_runner_that_is_dead(run, spawn):
    reading = spawn(context=Context(taken_over=True))
    assert reading.ok
    assert "its runner is gone" in reading.evidence
    assert not list(marked(run))


def test_a_dead_child_leaves_no_zombie(spawn):
    (born,) = spawn().processes
    os.kill(born.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{born.pid}").exists())


def test_the_born_one_is_found_and_a_dead_one_is_not(run, spawn):
    born = CheckProcess(expect="born", run=run, instance="a.0")
    assert one(perform(born, Context())).ok is False
    (process,) = spawn().processes
    assert one(perform(born, Context())).processes == (process,)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: one(perform(born, Context())).ok is False)


def test_stop_lets_it_say_goodbye(run, spawn, said):
    code = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM});"
        "print('up', flush=True); signal.sigwait({signal.SIGTERM}); print('bye', flush=True)"
    )
    spawn(code)
    said()
    assert stop(run, grace=20.0).ok
    assert said() == "up\nbye\n"
    assert not list(marked(run))


def test_stop_kills_what_ignores_it_after_the_grace(run, spawn, said):
    spawn("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP)
    said()
    begun = time.monotonic()
    assert stop(run, grace=0.2).ok
    assert 0.2 <= time.monotonic() - begun < 20
    assert not list(marked(run))


def test_stop_reaches_a_stopped_process(run, spawn, said):
    (born,) = spawn().processes
    said()
    os.kill(born.pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert stop(run, grace=30.0).ok
    assert time.monotonic() - begun < 20
    assert not state_of(born)


def test_stop_ends_the_whole_session_also_who_shed_the_marks(run, spawn, said):
    code = (
        "import os, sys, time\n"
        "child = os.fork()\n"
        "if child == 0: os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)'], {})\n"
        "print(child, flush=True)\n"
        "time.sleep(60)"
    )
    spawn(code)
    child = identify(int(said()))
    assert child is not None
    assert stop(run).ok
    assert not state_of(child)


def test_stop_ends_who_left_the_session_but_kept_the_marks(run, spawn, said):
    spawn(
        "import os, time; child = os.fork(); child or os.setsid(); child and print(child, flush=True); time.sleep(60)"
    )
    child = identify(int(said()))
    assert stop(run).ok
    assert not state_of(child)


def test_stop_leaves_other_runs_and_instances_alone(run, spawn):
    spawn()
    with (
        program("sleep", "60", SQUALL_RUN=run, SQUALL_INSTANCE="b.0") as other_instance,
        program("sleep", "60", SQUALL_RUN="another", SQUALL_INSTANCE="a.0") as other_run,
    ):
        assert stop(run).ok
        assert state_of(other_instance)
        assert state_of(other_run)


def test_stop_twice_and_of_nobody_is_harmless(run, spawn):
    spawn()
    assert stop(run).ok
    assert stop(run).evidence == "nothing of it lived"


def test_the_environment_of_a_process_that_is_just_being_executed_is_awaited():
    """For a moment after the call that starts it, the kernel shows none: that is not nobody."""
    for number in range(300):
        pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {"SQUALL_RUN": "x"})
        try:
            assert processes.environment_of(pid) == b"SQUALL_RUN=x\0", number
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_one_without_any_environment_is_not_waited_for():
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        until(lambda: not processes._is_being_executed(pid))
        assert processes.environment_of(pid) == b""
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
