"""A signal ends a waiting proxy or hand also where it did not interrupt the wait: it came just before it."""

import contextlib
import signal
import socket
import threading

import pytest

from runner.clock import now
from runner.guardian.hand import Hand
from runner.links.loop import READABLE, Loop

TOO_LONG = 20.0


class Ended(Exception):
    """What the handler of the signal raises, as the one of SIGTERM does."""


@contextlib.contextmanager
def a_signal_that_interrupts_nothing():
    """Deliver SIGTERM to another thread: as if it came before the wait, its handler runs only when the wait ends."""

    def end(_number, _frame):
        raise Ended

    handler, wakeup = signal.signal(signal.SIGTERM, end), signal.set_wakeup_fd(-1)
    other = threading.Timer(0.1, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    other.start()
    try:
        with pytest.raises(Ended):
            yield
    finally:
        other.join()
        signal.signal(signal.SIGTERM, handler)
        signal.set_wakeup_fd(wakeup)


@contextlib.contextmanager
def too_late(sock):
    """After too long, say something on *sock*, so that a wait that misses its signal ends in a failure."""
    late = threading.Timer(TOO_LONG, lambda: sock.send(b"too late"))
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()


@pytest.mark.parametrize("timers", [0, 1], ids=["for-events", "for-a-timer"])
def test_a_loop_that_hears_signals_misses_none(timers):
    loop, (ours, theirs) = Loop(), socket.socketpair()
    with ours, theirs, too_late(theirs), a_signal_that_interrupts_nothing():
        loop.hear_signals()
        loop.watch(ours.fileno(), READABLE, lambda _events: pytest.fail("the signal was missed"))
        for _ in range(timers):
            loop.call_at(now() + 3600, lambda: None)
        loop.run()


def test_a_hand_that_waits_for_its_guardian_misses_no_signal():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, too_late(theirs), a_signal_that_interrupts_nothing():
        Hand(ours).run()
