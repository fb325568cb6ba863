"""What a person sees while a run goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TextIO

from runner.live import Snapshot
from runner.plan_record import Plan
from runner.timeline import Event
from runner.verdict.record import Verdict


class View(Protocol):
    """Is told of events (from any thread) and drawn (from one). Never raises, and `event` never blocks."""

    def event(self, event: Event) -> None: ...

    def draw(self, snapshot: Snapshot) -> None: ...

    def close(self, verdict: Verdict | None, folder: Path | None = None) -> None: ...


def choose(
    stream: TextIO, plan: Plan | None = None, *, plain: bool = False, environ: Mapping[str, str] = os.environ
) -> View:
    """Give the live view where *stream* is a terminal that can show it, plain lines elsewhere.

    SQUALL_TTY decides where detection cannot: 0 plain, 1 live, a greater number live at that many columns.
    """
    live, columns = _wanted(stream, environ)
    if plain or not live:
        from runner.view.plain import PlainView  # noqa: PLC0415 - a command that runs nothing pays for no view

        return PlainView(stream, plan)
    from runner.view.terminal import TerminalView  # noqa: PLC0415 - rich costs 30 ms

    return TerminalView(stream, plan, columns=columns)


def _wanted(stream: TextIO, environ: Mapping[str, str]) -> tuple[bool, int | None]:
    """Whether to draw, and how wide where that is told."""
    told = environ.get("SQUALL_TTY", "")
    if told.isdecimal():
        return int(told) > 0, int(told) if int(told) > 1 else None
    dumb = environ.get("TERM", "") in ("", "dumb") or environ.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and not dumb, None
