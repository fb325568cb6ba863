"""A signal pulls the brake, whatever the main thread waits for and whichever thread the kernel gives it to."""

import contextlib
import signal
import socket
import threading
import time

import pytest

from runner import clock
from runner.running.brake import Brake, Halted
from runner.running.control import Control
from runner.running.watch import SIGNALS, Watch, Watched

LONG = 30.0


@contextlib.contextmanager
def watched(folder, *, beat=lambda: None, rules=lambda _at: None, during_the_reports=lambda _watch: None):
    """A brake whose watch loop runs as in a run in which nothing else happens."""
    brake, control = Brake(on_pull=lambda _halt: None), Control(folder, "r")
    quiet = Watched(beat=beat, rules=rules, lost_guardian=lambda: "", lost_load=lambda: "")
    watch = Watch(quiet, brake=brake, anchor=clock.anchor(), control=control)
    with contextlib.closing(control):
        try:
            with watch:
                yield brake
            during_the_reports(watch)
        finally:
            watch.give_back()


def halted(brake):
    """Wait for the brake; return why it was pulled."""
    with pytest.raises(Halted):
        brake.wait_until(clock.now() + LONG)
    return brake.halt.cause, brake.halt.reason


def asking(folder):
    """A `squall halt` that has just said what it wants."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(LONG)
    connection.connect(str(folder / "r.halt"))
    return connection


def test_who_asks_for_a_halt_and_is_gone_is_heard(tmp_path):
    turn = threading.Event()
    with watched(tmp_path, beat=lambda: turn.wait(LONG)) as brake:
        asking(tmp_path).close()
        turn.set()
        cause, reason = halted(brake)
    assert cause == "command", reason


def test_who_asks_while_all_is_being_undone_gets_an_answer(tmp_path):
    with watched(tmp_path) as brake:
        with asking(tmp_path) as first:
            assert first.recv(64) == b"halting"
        halted(brake)
        with asking(tmp_path) as second:
            assert second.recv(64) == b"halting"


def test_a_rule_that_fails_halts_the_run_and_the_guardian_still_hears_us(tmp_path):
    def fails(_at):
        raise ZeroDivisionError("a defect")

    heard = threading.Semaphore(0)
    with watched(tmp_path, beat=heard.release, rules=fails) as brake:
        cause, reason = halted(brake)
        assert cause == "defect"
        assert "ZeroDivisionError" in reason
        for _ in range(20):
            assert heard.acquire(timeout=LONG)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_that_does_not_wake_the_main_thread_halts_all_the_same(tmp_path, number):
    other = threading.Timer(0.1, lambda: signal.pthread_kill(threading.get_ident(), number))
    with watched(tmp_path) as brake:
        other.start()
        begun = time.monotonic()
        with pytest.raises(Halted):
            brake.wait_until(clock.now() + LONG)
    other.join()
    assert time.monotonic() - begun < LONG / 2
    assert brake.halt.reason == f"{number.name} was received"


def test_after_the_watch_and_the_reports_signals_are_as_before(tmp_path):
    handlers = [signal.getsignal(number) for number in SIGNALS]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        try:
            with watched(tmp_path):
                assert [signal.getsignal(number) for number in SIGNALS] != handlers
        finally:
            left = signal.set_wakeup_fd(before)
        assert left == theirs.fileno()
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_the_reports_are_written_interrupts_nothing_and_is_known_of(tmp_path, number):
    came = []

    def write(watch):
        signal.raise_signal(number)
        came.append(watch.give_back())

    with watched(tmp_path, during_the_reports=write) as brake:
        pass
    assert came == [True]
    assert brake.halt is None
