"""The guardian with real processes: it does, it undoes, and whoever dies, the victim is well again."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runner import clock, processes
from runner.errors import GuardianLost, OperationFailed, Refused
from runner.guardian import client, launch, messages, surroundings
from runner.guardian.client import GuardianClient
from runner.guardian.hands import Pool
from runner.guardian.orders import Done, Holding, Perform, Want
from runner.guardian.rollback import rollback
from runner.guardian.spare import Spare
from runner.guardian.state import MachineLock, armed_runs, journal_of
from runner.operations.record import Act, Ballast, CheckFile, CheckProcess, Run, Signal, Spawn, Squeeze, Stop
from runner.timeline import ActChanged, Confirmed
from tests.torture.world import World

SOON = 15.0


class Stage:
    """A victim, a lock and a guardian whose runner is this very test."""

    def __init__(self, folder: Path, parts: contextlib.ExitStack) -> None:
        self.folder, self.state, self.events = folder, folder / "squall", []
        self.victim = subprocess.Popen(["sleep", "60"])
        parts.callback(self.victim.wait)
        parts.callback(self.victim.kill)
        self.me = processes.identify(self.victim.pid)
        self.lock = MachineLock.take(self.state, "r")
        parts.callback(self.lock.release)
        self.guardian = GuardianClient.start(
            run="r",
            state=self.state,
            lock_fd=self.lock.descriptor,
            report=folder,
            anchor=clock.anchor(),
            lease=60.0,
            on_event=self.events.append,
        )
        parts.callback(self._end)

    def pause(self, name: str = "pause/0/victim", **changes) -> Act:
        return Act(
            **{
                "id": name,
                "fault": "pause",
                "kind": "pause",
                "instance": "victim",
                "do": (Signal(process=self.me, signal="STOP"),),
                "undo": (
                    Signal(process=self.me, signal="CONT"),
                    CheckProcess(expect="running", process=self.me),
                ),
                "confirm": (CheckProcess(expect="stopped", process=self.me),),
                **changes,
            }
        )

    def inject(self, act: Act):
        self.guardian.arm(act).result(SOON)
        return self.guardian.inject(act.id).result(SOON)

    def states(self, name: str) -> list[str]:
        return [each.state for each in self.events if isinstance(each, ActChanged) and each.act == name]

    @property
    def stopped(self) -> bool:
        return processes.state_of(self.me) == "T"

    def _end(self) -> None:
        if not self.guardian.close():
            rollback(self.state, run="r")
        assert not list(processes.marked("r"))


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    with contextlib.ExitStack() as parts:
        yield Stage(tmp_path, parts)


def until(true, seconds: float = SOON) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def test_an_act_hurts_the_victim_and_its_undo_heals_it(stage):
    act = stage.pause()
    assert stage.inject(act)[0].ok
    assert stage.stopped
    assert stage.guardian.confirm(act.id).result(SOON)[0].ok
    assert stage.guardian.undo(act.id).result(SOON).clean
    assert not stage.stopped
    assert stage.states(act.id) == ["armed", "injecting", "injected", "undoing", "clean"]
    assert [each.ok for each in stage.events if isinstance(each, Confirmed)] == [True]
    moments = [each.at for each in stage.events]
    assert moments == sorted(moments)
    assert 0 < moments[0] < 20


def test_a_confirmation_that_could_not_look_says_so(stage):
    act = stage.pause(confirm=(CheckFile(path="cgroup:/cpu.max", expect="1000 100000"),))
    stage.inject(act)
    assert stage.guardian.confirm(act.id).result(SOON)[0].ok is None
    assert [(each.ok, each.looked) for each in stage.events if isinstance(each, Confirmed)] == [(None, False)]


def test_a_daemon_that_a_command_started_is_there_when_it_is_confirmed(stage):
    words = "setsid -f sh -c 'echo $$ > pid; exec sleep 60'; until test -s pid; do sleep 0.01; done"
    cwd = str(stage.folder)
    act = Act(
        id="own/0/victim",
        fault="own",
        kind="command",
        instance="victim",
        do=(Run(argv=("sh", "-c", words), cwd=cwd),),
        confirm=(Run(argv=("sh", "-c", "kill -0 $(cat pid)"), cwd=cwd),),
        undo=(Run(argv=("sh", "-c", "kill $(cat pid)"), cwd=cwd),),
    )
    stage.inject(act)
    assert stage.guardian.confirm(act.id).result(SOON)[0].ok
    assert stage.guardian.undo(act.id).result(SOON).clean  # so its own undo found it


def test_the_way_back_is_on_disk_before_the_act_is_armed(stage):
    stage.guardian.arm(stage.pause()).result(SOON)
    assert b'"record":"armed"' in journal_of(stage.state, "r").read_bytes()


def test_farewell_leaves_no_process_and_nothing_armed_but_a_copy_of_the_journal(stage):
    stage.inject(stage.pause())
    assert stage.guardian.close()
    assert not stage.stopped
    assert armed_runs(stage.state) == []
    assert '"state":"clean"' in (stage.folder / "journal.jsonl").read_text()
    assert not list(processes.marked("r"))


def test_a_refused_and_a_failed_request_say_why(stage):
    with pytest.raises(OperationFailed, match="nobody is unknown"):
        stage.guardian.inject("nobody").result(SOON)
    broken = stage.pause(do=(Run(argv=("/no/such/program",)),))
    with pytest.raises(OperationFailed, match="/no/such/program"):
        stage.inject(broken)
    assert stage.guardian.undo(broken.id).result(SOON).clean
    with pytest.raises(Refused, match="armed already"):
        stage.guardian.arm(broken).result(SOON)


def test_a_halt_does_not_wait_for_an_injection_that_hangs(stage):
    act = stage.pause(do=(Signal(process=stage.me, signal="STOP"), Run(argv=("sleep", "30"), timeout=40.0)))
    stage.guardian.arm(act).result(SOON)
    injecting = stage.guardian.inject(act.id)
    assert until(lambda: stage.stopped)
    assert stage.guardian.undo_all(rank_at_least=1).result(SOON)[0].clean  # SOON is before its thirty seconds
    assert not stage.stopped
    with pytest.raises(OperationFailed, match="cut short"):
        injecting.result(SOON)
    assert until(lambda: not any("sleep" in _command(each.pid) for each in processes.marked("r")))


def test_a_stopped_hand_is_replaced_and_its_act_undone(stage):
    act = stage.pause(do=(Signal(process=stage.me, signal="STOP"), Squeeze(processes=(stage.me,), share=0.5)))
    stage.inject(act)
    for pid in _hands():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    assert until(lambda: stage.states(act.id)[-1] == "clean")
    assert not stage.stopped


def test_what_a_hand_holds_ends_with_the_undo(stage):
    act = stage.pause(do=(Ballast(size=1 << 20), Squeeze(processes=(stage.me,), share=0.5)))
    stage.inject(act)
    assert until(lambda: stage.stopped)
    assert stage.guardian.undo(act.id).result(SOON).clean
    assert all(not stage.stopped for _ in range(20) if time.sleep(0.005) is None)


def test_an_undo_is_waited_for_as_long_as_the_longest_deadline_lets_it_take(stage, monkeypatch):
    monkeypatch.setattr(client, "UNDO", 0.1)
    slow = stage.pause()
    slow = msgspec.structs.replace(slow, undo=(Run(argv=("sleep", "0.5")), *slow.undo), deadline=10.0)
    stage.inject(slow)
    assert all(done.clean for done in stage.guardian.undo_all().result(stage.guardian.undone_within))
    assert not stage.stopped


def test_an_undo_that_fails_is_dirty_with_a_remedy_and_can_be_tried_again(stage):
    flag = stage.folder / "flag"
    act = stage.pause(do=(), undo=(Run(argv=("test", "-e", str(flag))),))
    stage.inject(act)
    undone = stage.guardian.undo(act.id).result(SOON)
    assert not undone.clean
    assert f"test -e {flag}" in undone.remedy
    flag.touch()
    assert stage.guardian.undo(act.id).result(SOON).clean


def test_what_the_guardian_started_is_its_child_and_leaves_no_zombie(stage):
    start = Act(
        id="start/sleeper",
        fault="",
        kind="start",
        instance="sleeper",
        rank=0,
        do=(Spawn(run="r", instance="sleeper", argv=("sleep", "60")),),
        undo=(Stop(run="r", instance="sleeper"),),
    )
    (reading,) = stage.inject(start)
    (born,) = reading.processes
    assert until(lambda: _parent(born.pid) == stage.guardian.pid)
    os.kill(born.pid, signal.SIGKILL)
    assert until(lambda: not Path(f"/proc/{born.pid}").exists())
    assert stage.guardian.undo(start.id).result(SOON).clean


def test_a_listening_socket_is_held_and_inherited_with_the_lifeline(stage):
    port = stage.guardian.listen("store", "127.0.0.1", 0)
    with pytest.raises(Refused, match=f"127.0.0.1:{port}: Address already in use"):
        stage.guardian.listen("twin", "127.0.0.1", port)
    serve = (
        "import os, socket; fds = dict(p.split('=') for p in os.environ['SQUALL_LISTENERS'].split(','));"
        "os.fstat(int(fds['lifeline'])); s = socket.socket(fileno=int(fds['store'])); s.accept()[0].send(b'served')"
    )
    spawn = Spawn(
        run="r", instance="proxy", argv=(sys.executable, "-c", serve), listeners=("store", "lifeline")
    )
    stage.inject(
        Act(
            id="start/proxy",
            fault="",
            kind="start",
            instance="proxy",
            rank=0,
            do=(spawn,),
            undo=(Stop(run="r", instance="proxy"),),
        )
    )
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        assert client.recv(64) == b"served"


def test_the_death_of_the_guardian_is_noticed_at_once_and_a_rollback_heals(stage):
    stage.inject(stage.pause())
    waiting = stage.guardian.confirm("nobody")
    waiting.result(SOON)
    os.kill(stage.guardian.pid, signal.SIGKILL)
    assert stage.guardian.lost.wait(SOON)
    assert stage.guardian.lost_reason == "the guardian has ended"  # not: was silent
    with pytest.raises(GuardianLost):
        stage.guardian.undo_all().result(SOON)
    assert stage.stopped
    result = rollback(stage.state, run="r", on_event=stage.events.append)
    assert result.clean
    assert not stage.stopped
    assert stage.events[-1].by == "rollback"
    assert armed_runs(stage.state) == []
    assert rollback(stage.state, run="r").lines() == ["r: nothing was left to undo"]


@pytest.mark.parametrize("beats", [0, 1])
def test_the_last_words_of_a_guardian_that_left_ours_unread_are_heard(tmp_path, beats):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone = subprocess.Popen(["true"])
    client = GuardianClient(gone, ours, anchor=clock.anchor(), on_event=print, journal=tmp_path / "journal")
    client.beat()
    theirs.send(messages.pack(messages.Ended(request=1, moment=0.0, dirty=(), notes=())))
    theirs.close()  # with an unread beat: the next call on our end, whichever, is told of a reset
    for _ in range(beats):
        client.beat()
    client._may_end = True
    client._reader.start()
    client._reader.join()
    assert client.close()
    assert not client.lost.is_set()


def test_a_rollback_that_waits_for_what_it_killed_is_not_lost(tmp_path, monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone = subprocess.Popen(["true"])
    monkeypatch.setattr("runner.guardian.client.start_guardian", lambda **_: (gone, ours))
    rolling = GuardianClient.roll_back(
        tmp_path / "armed" / "r.jsonl", run="r", lock_fd=-1, report="", anchor=clock.anchor(), on_event=print
    )
    with theirs:
        theirs.send(messages.pack(messages.Alive(request=0, moment=0.0)))
        time.sleep(surroundings.PURGING + 0.5)
        theirs.send(messages.pack(messages.Ended(request=0, moment=0.0, dirty=(), notes=())))
    assert rolling.wait() is not None
    assert not rolling.lost.is_set()


def test_a_silent_guardian_is_lost_and_killed(stage):
    stage.inject(stage.pause())
    os.kill(stage.guardian.pid, signal.SIGSTOP)
    assert stage.guardian.lost.wait(SOON)
    assert "silent" in stage.guardian.lost_reason
    stage.guardian.kill()
    assert rollback(stage.state, run="r").clean


def test_signals_do_not_end_the_guardian(stage):
    stage.inject(stage.pause())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(stage.guardian.pid, number)
    assert stage.guardian.undo("pause/0/victim").result(SOON).clean


def test_an_undo_needs_no_new_process_and_no_new_descriptor(stage):
    stage.inject(stage.pause())
    hands = set(_hands())
    _leave_no_descriptor(stage.guardian.pid)
    assert stage.guardian.undo("pause/0/victim").result(SOON).clean
    assert not stage.stopped
    assert set(_hands()) <= hands


def test_without_any_hand_the_guardian_undoes_by_itself(stage):
    told, wake = [], os.eventfd(0)
    spare = Spare(wake)
    pool = Pool("r", tell=told.append, inherited={}, score="0")
    pool.inline = spare.perform
    pool.start_hand = _no_process_left
    os.kill(stage.victim.pid, signal.SIGSTOP)
    pool.tend()
    pool.perform(Perform(1, stage.pause().undo, "undo"))
    os.read(wake, 8)
    os.close(wake)
    assert [reading.ok for reading in spare.results[0].readings] == [True, True]
    assert not stage.stopped
    assert "no hand can be started" in told[0].problem


@pytest.mark.parametrize(("holds", "started"), [(False, range(9, 13)), (True, range(17, 30))])
def test_a_hand_that_will_be_back_is_not_replaced_and_one_that_holds_is(holds, started):
    """Sixteen tasks at once, eight hands for them and one kept for undos."""
    me = processes.identify(os.getpid())
    operation = Ballast(size=4096) if holds else CheckProcess(expect="running", process=me)
    told, hands = [], []
    pool = Pool("r", tell=told.append, inherited={}, score="0")
    born, pool.start_hand = pool.start_hand, lambda: hands.append(born()) or hands[-1]
    pool.want(Want(9, 1))
    try:
        _serve(pool, lambda: sum(hand.warm for hand in hands) == 9)
        for task in range(16):
            pool.perform(Perform(task, (operation,), "do"))
        _serve(pool, lambda: sum(isinstance(event, Done | Holding) for event in told) == 16)
        assert len(hands) in started
    finally:
        pool.close(SOON)


def _serve(pool, enough):
    """Do for a pool what the guardian's loop does, until it is enough."""
    until = time.monotonic() + SOON
    while not enough():
        assert time.monotonic() < until
        for ready in select.select(pool.sockets, [], [], 0.05)[0]:
            pool.readable(ready)
        pool.tend()


def test_a_guardian_with_a_defect_undoes_all_and_its_runner_hears_of_it(stage):
    stage.inject(stage.pause())
    resource.prlimit(stage.guardian.pid, resource.RLIMIT_NOFILE, (4, 4))  # not even poll works then
    assert stage.guardian.lost.wait(SOON)
    stage.guardian.kill()
    rollback(stage.state, run="r")
    assert not stage.stopped


def test_a_rollback_says_when_the_journal_is_damaged_and_undoes_the_others(stage):
    stage.inject(stage.pause())
    os.kill(stage.guardian.pid, signal.SIGKILL)
    stage.guardian.kill()
    path = journal_of(stage.state, "r")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"run":"r"', b'"run":"R"', 1))
    result = rollback(stage.state, run="r")
    assert not stage.stopped
    assert not result.clean
    assert "damaged" in result.problems[0]
    assert armed_runs(stage.state) == ["r"]
    path.unlink()


def test_a_rollback_says_why_its_guardian_refused(stage, monkeypatch):
    stage.inject(stage.pause())
    stage.guardian.kill()
    python, isolated, option, code = launch.GUARDIAN
    code = code.replace("main()", "import os; os.eventfd = lambda *_: os.open('/no/such', 0); main()")
    with monkeypatch.context() as without_eventfd:
        without_eventfd.setattr(launch, "GUARDIAN", (python, isolated, option, code))
        result = rollback(stage.state, run="r")
    assert not result.clean
    assert result.problems[0] == (
        "nothing was undone: the guardian cannot start: [Errno 2] No such file or directory: '/no/such': "
        "mend that, then run `squall rollback` again"
    )
    assert "the guardian cannot start" in (stage.folder / "logs" / "guardian.log").read_text()
    assert stage.stopped
    assert rollback(stage.state, run="r").clean
    assert not stage.stopped


def test_a_dead_runner_whose_socket_somebody_inherited_is_dead_all_the_same():
    with World() as world:
        world.start(cycles=1, hold=60.0, lease=30.0, leak=True)
        assert world.wait_for("injected")
        assert world.hurt()
        os.kill(world.runner.pid, signal.SIGKILL)
        assert world.wait_until_well() < 15.0  # its end told, not its lease
        leaked = int(next(word for word in world.words if word.startswith("leaked")).split()[1])
        os.kill(leaked, signal.SIGKILL)
        assert not world.remains()


def test_a_run_in_progress_is_not_rolled_back_by_another_process(stage):
    code = f"from pathlib import Path; from runner.guardian.rollback import rollback; rollback(Path({str(stage.state)!r}))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH="."),
    )
    assert "run r (process" in other.stderr


def _no_process_left() -> None:
    raise OSError(11, "Resource temporarily unavailable")


def _leave_no_descriptor(pid: int) -> None:
    spare = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (spare, spare))


def _hands() -> list[int]:
    found = [each.pid for each in processes.marked("r")]
    return [pid for pid in found if b"runner.guardian.hand" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    return ""
