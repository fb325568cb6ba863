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
def watched(folder):
    """A brake whose watch loop runs as in a run in which nothing else happens."""
    brake, control = Brake(on_pull=lambda _halt: None), Control(folder, "r")
    quiet = Watched(beat=lambda: None, rules=lambda _at: None, lost_guardian=lambda: "", lost_load=lambda: "")
    with contextlib.closing(control), Watch(quiet, brake=brake, anchor=clock.anchor(), control=control):
        yield brake


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


def test_after_the_watch_signals_are_as_before(tmp_path):
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
