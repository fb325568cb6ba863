"""Rolling back: what an interrupted run left armed is undone, from its journal alone, by the guardian's own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import clock
from runner.clock import TimeAnchor
from runner.errors import Refused
from runner.guardian.client import GuardianClient
from runner.guardian.state import MachineLock, armed_runs, journal_of, read_journal
from runner.timeline import ActChanged, Event


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did. *problems*: what is left to do by hand, one sentence each."""

    run: str
    events: tuple[Event, ...]
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Say whether everything is as it was."""
        return not self.problems

    def lines(self) -> list[str]:
        """Tell it to people."""
        ends = [
            event
            for event in self.events
            if isinstance(event, ActChanged) and event.state in ("clean", "dirty")
        ]
        told = [f"{self.run}: {event.act} is {event.state}: {event.evidence}" for event in ends]
        return [*told, *self.problems] or [f"{self.run}: nothing was left to undo"]


def rollback(
    state: Path,
    *,
    run: str = "",
    anchor: TimeAnchor | None = None,
    on_event: Callable[[Event], Any] = lambda _event: None,
) -> RolledBack:
    """Undo what *run* (or the first run found) left armed. Safe to repeat, and to kill at any point.

    Raises Refused while a run lives: this process holds the machine's lock, or it is taken here.
    """
    ours = MachineLock.held(state)
    lock = ours or MachineLock.take(state, run or "rollback")
    try:
        names = [run] if run else armed_runs(state)[:1]
        if not names or not journal_of(state, names[0]).exists():
            return RolledBack(run, (), ())
        return _roll_back(journal_of(state, names[0]), names[0], lock, anchor or clock.anchor(), on_event)
    finally:
        if ours is None:
            lock.release()


def _roll_back(
    journal: Path, run: str, lock: MachineLock, anchor: TimeAnchor, on_event: Callable[[Event], Any]
) -> RolledBack:
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        on_event(event)

    head = read_journal(journal).head
    report = head.report if head and Path(head.report).is_dir() else ""
    guardian = GuardianClient.roll_back(
        journal, run=run, lock_fd=lock.descriptor, report=report, anchor=anchor, on_event=take
    )
    left = _left(guardian, journal)  # all events have come then
    dirty = [event for event in events if isinstance(event, ActChanged) and event.state == "dirty"]
    problems = [f"{event.act}: {event.evidence}: {event.remedy}" for event in dirty]
    problems += left
    if problems:
        problems.append(f"when all is mended by hand, remove {journal}")
    return RolledBack(run, tuple(events), tuple(problems))


def _left(guardian: GuardianClient, journal: Path) -> list[str]:
    """Wait for its end; say why it could not begin, that it was lost, or what is odd about the journal."""
    try:
        ended = guardian.wait()
    except Refused as refusal:
        return [f"nothing was undone: {refusal}: mend that, then run `squall rollback` again"]
    if ended is None:
        lost = guardian.lost_reason
        return [f"the guardian of the rollback was lost ({lost}): run `squall rollback` again"]
    return [f"{journal}: {note}" for note in ended.notes]
