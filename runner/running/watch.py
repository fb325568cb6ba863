"""The watch loop: beats for the guardian, halt rules, signs of lost evidence; at each news, at least 20 times a second."""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Self

from runner.clock import TimeAnchor
from runner.running.brake import Brake
from runner.running.control import Control
from runner.timeline import Cause, HaltPulled

TICK = 0.05  # seconds
NEWS = b"\0"  # no signal's number
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Watched:
    """What the loop looks at; each returns at once."""

    beat: Callable[[], object]
    rules: Callable[[float], HaltPulled | None]  # judged at this moment of the record
    lost_guardian: Callable[[], str]  # empty while it lives
    lost_load: Callable[[], str]


class Watch:
    """Runs the loop in a thread; `with` it, and the run's signals pull the brake instead of killing.

    After it they are only noted, until `give_back`: what is left to do takes seconds, and is why there was a run.
    """

    def __init__(self, watched: Watched, *, brake: Brake, anchor: TimeAnchor, control: Control) -> None:
        self._watched, self._brake, self._anchor, self._control = watched, brake, anchor, control
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._signal = 0
        self._stopped = threading.Event()
        self._previous: dict[signal.Signals, object] = {}
        self._woken_before = -1
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._woken_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            for each in SIGNALS:
                self._previous[each] = signal.signal(each, self._on_signal)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.look()
        self._thread.join()
        if self._previous:
            signal.set_wakeup_fd(self._woken_before)
        self._wake.close()
        self._waker.close()

    def give_back(self) -> bool:
        """Let signals do again what they did before; say whether one came."""
        for each, previous in self._previous.items():
            signal.signal(each, previous)  # type: ignore[arg-type]  # what signal() gave us
        self._previous.clear()
        return self._signal != 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number  # the loop pulls the brake: a handler must take no lock
        self.look()  # the loop has it already, unless there was no room for its number

    def look(self) -> None:
        """Let the loop turn now: there is news. From any thread; never blocks."""
        try:
            self._waker.send(NEWS)
        except OSError:
            return  # full or closed: the loop is awake anyway

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._tick()
                ready, _, _ = select.select([self._wake, self._control.socket], [], [], TICK)
                if self._wake in ready:
                    self._hear(self._wake.recv(512))
        except Exception as error:  # noqa: BLE001 - a watch that dies must stop the run, whatever it died of
            self._pull("defect", f"the watch loop failed: {type(error).__name__}: {error}")
            while not self._stopped.wait(TICK):  # or the guardian would kill us while all is undone
                self._watched.beat()

    def _hear(self, words: bytes) -> None:
        """Take signals by their numbers: the handler waits for the main thread, which may wait for long."""
        self._signal = next((number for number in words if number in SIGNALS), self._signal)

    def _tick(self) -> None:
        self._watched.beat()
        who = self._control.asked()  # once all is being undone, too: it waits for an answer
        if self._brake.pulled:
            return
        if lost := self._watched.lost_guardian():
            self._pull("guardian", lost)
        elif self._signal:
            self._pull("signal", f"{signal.Signals(self._signal).name} was received")
        elif who:
            self._pull("command", f"asked by {who}")
        elif lost := self._watched.lost_load():
            self._pull("evidence", lost)
        elif halt := self._watched.rules(self._anchor.at()):
            self._brake.pull(halt)

    def _pull(self, cause: Cause, reason: str) -> None:
        self._brake.pull(HaltPulled(at=self._anchor.at(), cause=cause, reason=reason))
