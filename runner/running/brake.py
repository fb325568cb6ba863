"""The brake: many may pull it, the first reason is kept, and pulling it orders the undo at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runner import clock
from runner.timeline import HaltPulled


class Halted(Exception):
    """The run was stopped early; the brake knows why."""


class Brake:
    """Stops a run. Whoever pulls first gives the reason; `on_pull` undoes before anything else happens."""

    def __init__(self, on_pull: Callable[[HaltPulled], None]) -> None:
        self._on_pull = on_pull
        self._lock = threading.Lock()
        self._pulled = threading.Event()
        self.halt: HaltPulled | None = None

    def pull(self, halt: HaltPulled) -> bool:
        """Stop the run. True for the first caller."""
        with self._lock:
            if self.halt is not None:
                return False
            self.halt = halt
        try:
            self._on_pull(halt)
        finally:
            self._pulled.set()
        return True

    @property
    def pulled(self) -> bool:
        return self.halt is not None

    def wait_until(self, moment: float) -> None:
        """Sleep until *moment* (monotonic seconds). Raises Halted as soon as the brake is pulled."""
        while (left := moment - clock.now()) > 0:
            if self._pulled.wait(left):
                raise Halted
        self.check()

    def wait_for(self, done: threading.Event, *, seconds: float) -> bool:
        """Wait for *done*, bounded. Raises Halted as soon as the brake is pulled."""
        ends = clock.now() + seconds
        while not done.wait(0.02):
            self.check()
            if clock.now() > ends:
                return False
        return True

    def check(self) -> None:
        if self.halt is not None:
            raise Halted
