"""The guardian's process: the loop between runner, hands, disk and clock around the core."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import sys
import traceback
from collections import deque

import msgspec

from runner.clock import lease_now, now
from runner.errors import Refused
from runner.guardian import journal, messages, surroundings
from runner.guardian.core import Core
from runner.guardian.hands import Pool
from runner.guardian.ledger import By, Ledger
from runner.guardian.listening import Listeners
from runner.guardian.orders import (
    Change,
    Event,
    Finish,
    Kill,
    KillRunner,
    Lost,
    Order,
    Perform,
    Purge,
    Purged,
    Release,
    RunnerGone,
    Say,
    Tick,
    Want,
    Write,
)  # fmt: skip
from runner.guardian.spare import Spare, perform_here

DEFECTS = 50  # errors of our own after which the loop is given up and everything undone right here
LEAVING = 0.5  # seconds that hands get to leave


class Guardian:
    """Feeds the core and carries out its orders. Every way out of run() undoes all."""

    def __init__(self, runner: socket.socket, hello: messages.Hello, *, wakeup: int) -> None:
        self._runner, self._hello, self._wakeup = runner, hello, wakeup
        self._results = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ledger = Ledger(hello, self._results)
        self._spare = Spare(self._results)
        self._listeners = Listeners()
        score = surroundings.protect_from_the_oom_killer()
        self._pool = Pool(hello.run, tell=self._tell, inherited=self._listeners.descriptors, score=score)
        self._pool.inline = self._spare.perform
        self._load = surroundings.Load(runner, hello.run)
        self._events: deque[Event] = deque()
        self._outbox: deque[bytes] = deque()
        self._hung_up, self._defects, self.exit_code = False, 0, 70
        self.core = Core(lease=hello.lease, now=lease_now())

    def run(self) -> int:
        """Serve until everything is clean or dirty; return the exit code."""
        self._begin()
        while not self.core.finished:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - whatever breaks here, what was done must be undone
                self._survive(error)
            if self._defects > DEFECTS:
                self._undo_right_here()
                break
        return self.exit_code

    def _survive(self, error: Exception) -> None:
        """A defect of ours, or of the machine: take over and undo all."""
        traceback.print_exc()
        self._defects += 1
        self._tell(RunnerGone(f"a defect of the guardian: {type(error).__name__}: {error}", lives=True))

    def _begin(self) -> None:
        self._pool.tend()  # a hand gets warm meanwhile
        if self._ledger.old:
            self._load.end_remains(spare=self._pool.pids)
            self.core.restore(self._ledger.old.armed)
            self._tell(RunnerGone("rollback"))
        else:
            self._ledger.head(self._load.runner)
            self._send(messages.Ready(request=self._hello.request, moment=now()))

    def _turn(self) -> None:
        """Wait, then take what came, the runner's words before the lease is judged."""
        self._drain_events()
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        poll.register(self._results, select.POLLIN)
        if not self._hung_up:
            poll.register(self._runner, select.POLLIN | (select.POLLOUT if self._outbox else 0))
            if self._load.pidfd:
                poll.register(self._load.pidfd, select.POLLIN)
        hands = {hand.fileno(): hand for hand in self._pool.sockets}
        for descriptor in hands:
            poll.register(descriptor, select.POLLIN)
        patience = min(self.core.next_deadline() - lease_now(), self._pool.next_look)
        ready = [descriptor for descriptor, _ in poll.poll(max(0.0, patience) * 1000)]
        self._listen_to_runner()
        if self._load.pidfd in ready and not self._hung_up:
            self._lose_runner("the runner has ended")
        self._collect_results()
        for descriptor in ready:
            if descriptor in hands:
                self._pool.readable(hands[descriptor])
        self._reap()
        self._pool.tend()
        self._tell(Tick())
        self._drain_events()

    def _tell(self, event: Event) -> None:
        self._events.append(event)

    def _drain_events(self) -> None:
        while self._events:
            for order in self.core.step(self._events.popleft(), lease_now()):
                try:
                    self._carry_out(order)
                except Exception as error:  # noqa: BLE001 - the orders after this one must be carried out all the same
                    self._survive(error)
                    if isinstance(order, Perform):
                        self._tell(Lost(order.task, f"it could not be given to a hand: {error}"))

    def _carry_out(self, order: Order) -> None:
        match order:
            case Perform():
                self._pool.perform(order)
            case Kill(task=task):
                self._pool.kill(task)
            case Release(task=task):
                self._pool.release(task)
            case Change():
                self._record(order)
            case Say(reply=reply):
                self._send(msgspec.structs.replace(reply, moment=now()))
            case Write():
                self._ledger.write(order)
            case Want():
                self._pool.want(order)
            case KillRunner():
                self._load.kill(with_runner=not self._ledger.old)
                self._listeners.close()  # nothing is started any more; its proxy keeps its own
            case Purge():
                self._tell(Purged(self._load.purge(spare=self._pool.pids, reap=self._reap)))
            case Finish():
                self._finish(order)

    def _listen_to_runner(self) -> None:
        """Take everything the runner has said so far."""
        while not self._hung_up:
            try:
                packet = self._runner.recv(messages.PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                self._lose_runner("the runner hung up")
            else:
                self._take(messages.read_request(packet))
        self._flush()

    def _take(self, request: messages.Request) -> None:
        match request:
            case messages.Listen():
                self._send(self._listeners.listen(request, now()))
                self._tell(messages.Beat())
            case messages.Adopt(pid=pid):
                if process := self._load.adopt(pid):
                    self._ledger.write(Write(journal.Adopted(process=process)))
                self._tell(messages.Beat())
            case messages.Hello():
                pass
            case _:
                self._tell(request)

    def _lose_runner(self, why: str) -> None:
        self._hung_up = True
        self._outbox.clear()
        self._tell(RunnerGone(why))

    def _send(self, reply: messages.Reply) -> None:
        self._outbox.append(messages.pack(reply))
        self._flush()

    def _flush(self) -> None:
        """Say what can be said; a runner that does not listen costs no undo."""
        while self._outbox and not self._hung_up:
            try:
                self._runner.send(self._outbox[0], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose_runner(f"the runner does not listen: {error.strerror}")
                return
            self._outbox.popleft()

    def _collect_results(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._results, 8)  # goes on after a signal, as eventfd_read does not
        for results in (self._ledger.results, self._spare.results):
            while results:
                self._tell(results.popleft())

    def _reap(self) -> None:
        """Take the ends (and stops) of our children, adopted orphans included."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakeup, 4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG):
                if child.si_code == os.CLD_STOPPED:
                    self._pool.stopped(child.si_pid)
                else:
                    how = "exited with" if child.si_code == os.CLD_EXITED else "died of signal"
                    self._pool.ended(child.si_pid, f"{how} {child.si_status}")

    def _record(self, change: Change) -> None:
        """Tell the timeline; without a runner, in a file of our own."""
        by: By = "rollback" if self._ledger.old else "guardian" if self.core.taken_over else "runner"
        event = self._ledger.event(change, by)
        self._send(messages.Happened(moment=now(), event=event))

    def _finish(self, order: Finish) -> None:
        self._listeners.close()
        self._pool.close(LEAVING)
        notes = self._ledger.close(dirty=bool(order.dirty), notes=order.notes)
        self.exit_code = 5 if order.dirty or notes else 0
        self._send(messages.Ended(request=order.request, moment=now(), dirty=order.dirty, notes=notes))

    def _undo_right_here(self) -> None:
        """The loop is broken beyond use: undo act by act, and leave the journal to a rollback."""
        lives = sorted(self.core.acts.values(), key=lambda life: -life.act.rank)
        self._pool.close(LEAVING)
        for life in lives:
            with contextlib.suppress(Exception):
                perform_here(Perform(0, life.act.undo, "undo", taken_over=True))


def main() -> None:
    """Serve the runner on the socket given as first argument; the second holds the machine's lock."""
    runner = socket.socket(fileno=int(sys.argv[1]))
    for descriptor in (runner.fileno(), *map(int, sys.argv[2:])):
        os.set_inheritable(descriptor, False)
    wakeup = surroundings.hear_signals()
    surroundings.adopt_orphans()
    packet = runner.recv(messages.PACKET)
    hello = messages.read_request(packet) if packet else None
    if not isinstance(hello, messages.Hello):
        return  # the runner died before it said anything
    try:
        guardian = Guardian(runner, hello, wakeup=wakeup)
    except (OSError, Refused) as error:
        reason = f"the guardian cannot start: {error}"
        runner.send(messages.pack(messages.Refusal(request=hello.request, reason=reason, moment=now())))
        sys.exit(reason)  # to the log
    gc.freeze()
    code = guardian.run()
    sys.stdout.flush()
    os._exit(code)  # a disk that hangs must not keep us
