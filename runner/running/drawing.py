"""The live view, drawn on a thread of its own: a terminal that blocks must stop nothing else."""

from __future__ import annotations

import threading

from runner.clock import TimeAnchor
from runner.live import LiveWindow
from runner.view import View

EVERY = 0.25  # seconds


class Drawing:
    """`with` it, the view is drawn four times a second."""

    def __init__(self, view: View, window: LiveWindow, anchor: TimeAnchor) -> None:
        self._view, self._window, self._anchor = view, window, anchor
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            self._view.draw(self._window.snapshot(self._anchor.at()))
