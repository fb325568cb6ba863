"""The live view: one picture, drawn in place at most four times a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from runner import clock
from runner.live import Snapshot
from runner.plan_record import Plan
from runner.timeline import Event
from runner.verdict.record import Verdict
from runner.view.canvas import ASCII, Canvas, Glyphs, Row
from runner.view.lines import picture
from runner.view.plain import PlainView
from runner.view.scene import Follower

PERIOD = 0.25  # seconds between two drawings, unless something happened
_HIGHEST = 40  # lines; more is not read


class _Picture:
    """What rich draws: lines that are ready made, because its tables cost ten times as much."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._styles: dict[str, Style] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._segments()

    def _segments(self) -> Iterator[Segment]:
        for row in self.rows:
            for text, style in row:
                yield Segment(text, self._style(style))
            yield Segment.line()

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = Style.parse(name)
        return self._styles[name]


class TerminalView:
    """Follows events from any thread; draws from one. A terminal that goes away ends the drawing, not the run."""

    def __init__(self, stream: TextIO, plan: Plan | None = None, *, columns: int | None = None) -> None:
        self._console = Console(
            file=stream, force_terminal=True, width=columns, highlight=False, emoji=False, markup=False
        )
        self._glyphs = Glyphs() if (self._console.encoding or "").startswith("utf") else ASCII
        self._stream, self._plan, self._columns = stream, plan, columns
        self._follower = Follower(plan)
        self._lock = threading.Lock()
        self._picture = _Picture()
        self._live: Live | None = Live(
            self._picture,
            console=self._console,
            auto_refresh=False,
            vertical_overflow="crop",
            redirect_stdout=False,
        )
        self._started = False
        self._drawn_at, self._news, self._size = 0.0, True, (0, 0)

    def event(self, event: Event) -> None:
        with self._lock:
            self._news = self._follower.follow(event) is not None or self._news

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the picture anew where a period is over or something happened."""
        now = clock.now()
        with self._lock:
            self._follower.arrived(snapshot.at)
            if not self._news and now - self._drawn_at < PERIOD * 0.9:
                return
            self._news, self._drawn_at = False, now
            scene = self._follower.scene()
        width, height = self._measure()
        canvas = Canvas(width, min(_HIGHEST, height - 1), self._glyphs)
        self._picture.rows = picture(scene, snapshot, self._plan, canvas)
        self._show((width, height))

    def close(self, verdict: Verdict | None, folder: Path | None = None) -> None:
        """Give the terminal back, with the last picture in it and what did not hold below."""
        if self._live is not None and self._started:
            self._safely(self._live.stop)
        self._live = None
        last = PlainView(self._stream, self._plan)
        last.close(verdict, folder)

    def _measure(self) -> tuple[int, int]:
        """Ask the stream's own terminal: rich asks the process's, which may be another."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return self._console.size
        columns = self._columns or size.columns
        if columns > 0 and size.lines > 0:
            self._console.size = ConsoleDimensions(columns, size.lines)
        return self._console.size

    def _show(self, size: tuple[int, int]) -> None:
        if self._live is None:
            return
        if not self._started:
            self._started = True
            self._safely(self._live.start)
        elif size != self._size:
            self._safely(self._console.clear)  # lines of another width have wrapped: nothing is where it was
        self._size = size
        if self._live is not None:
            self._safely(self._live.refresh)

    def _safely(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):
            self._live = None
