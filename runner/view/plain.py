"""The run as plain lines: one for each event worth it, none for each tick."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import TextIO

from runner.live import Snapshot
from runner.plan_record import Plan
from runner.report.text import title
from runner.report.words import clock, measured
from runner.shown import encodable, shown
from runner.timeline import Event
from runner.verdict.record import Verdict
from runner.view.measures import measures
from runner.view.scene import Follower, Said

QUIET = 120.0  # seconds without an event after which one line says that the run lives
_MOST_WAITING = 10_000  # lines kept while the reader of the stream sleeps
_MOST_FINDINGS = 20


class PlainView:
    """Collects lines in `event`, writes them in `draw` and `close`: a stream that blocks stops no one else."""

    def __init__(self, stream: TextIO, plan: Plan | None = None) -> None:
        self._stream, self._plan = stream, plan
        self._follower = Follower(plan)
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._lock = threading.Lock()
        self._spoke_at = 0.0

    def event(self, event: Event) -> None:
        with self._lock:
            said = self._follower.follow(event)
            if said is not None:
                self._write(said)

    def draw(self, snapshot: Snapshot) -> None:
        """Write what waits; after a long silence, one line of what the load measures."""
        with self._lock:
            for said in self._follower.arrived(snapshot.at):
                self._write(said)
            if snapshot.at - self._spoke_at >= QUIET:
                scene = self._follower.scene()
                told = ", ".join(f"{one.name} {one.value}" for one in measures(snapshot, scene, self._plan))
                self._write(Said(snapshot.at, f"still in {scene.phase}: {told}", "quiet"))
        self._flush()

    def close(self, verdict: Verdict | None, folder: Path | None = None) -> None:  # noqa: ARG002 - the CLI prints the path last
        """Write what is left, and each finding that did not hold."""
        if verdict is not None:
            bad = [finding for finding in verdict.findings if finding.outcome != "held"]
            for finding in bad[:_MOST_FINDINGS]:
                word = finding.outcome.upper()
                self._waiting.append(
                    f"{word}: {title(finding)}: {measured(finding)}: {shown(finding.reason, 300)}"
                )
            if len(bad) > _MOST_FINDINGS:
                self._waiting.append(f"and {len(bad) - _MOST_FINDINGS} more; see report.txt")
        self._flush()

    def _write(self, said: Said) -> None:
        zero = self._follower.zero
        wall = time.strftime("%H:%M:%S", time.localtime(self._follower.wall + said.at))
        self._waiting.append(f"{wall} {'' if zero is None else clock(said.at, zero):>9}  {said.text}")
        self._spoke_at = max(self._spoke_at, said.at)

    def _flush(self) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            while self._waiting:
                self._stream.write(encodable(self._waiting.popleft(), encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._waiting.clear()  # nobody reads any more: the run goes on all the same
