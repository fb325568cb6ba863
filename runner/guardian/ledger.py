"""The guardian's own record: the journal from its first line to its removal, and what it did without a runner."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path
from typing import Literal

import msgspec

from runner.clock import now
from runner.errors import Refused
from runner.guardian import journal, messages
from runner.guardian.orders import Change, Write, WriteFailed, Written
from runner.guardian.state import journal_of, opened, read_journal
from runner.guardian.writer import Writer
from runner.timeline import ActChanged

By = Literal["runner", "guardian", "rollback"]
LAST_WRITES = 2.0  # seconds that the disk gets at the end

_encoder = msgspec.json.Encoder()


class Ledger:
    """The journal of one run. *old* is what it said already, in a rollback."""

    def __init__(self, hello: messages.Hello, wake: int) -> None:
        """Open it. Raises OSError, Refused."""
        self._hello = hello
        self._path = Path(hello.journal) if hello.journal else journal_of(Path(hello.state), hello.run)
        self._report = Path(hello.report) if hello.report else None
        self.old = read_journal(self._path) if hello.journal else None
        self._unwritable = ""
        self._writer = Writer(self._open(), wake)

    @property
    def results(self) -> deque[Written | WriteFailed]:
        """What has become of the records that were waited for."""
        return self._writer.results

    def head(self, runner: int) -> None:
        """Say whose journal this is."""
        hello = self._hello
        self.write(Write(journal.Head(run=hello.run, pid=runner, report=hello.report, anchor=hello.anchor)))

    def write(self, order: Write) -> None:
        """Put a record into the journal, some time soon."""
        self._writer.write(order)

    def event(self, change: Change, by: By) -> ActChanged:
        """Make the event of the timeline that happens now; without a runner, keep it in a file of our own."""
        act = change.act
        event = ActChanged(
            at=now() - self._hello.anchor.monotonic,
            act=act.id,
            fault=act.fault,
            kind=act.kind,
            instance=act.instance,
            occurrence=act.occurrence,
            state=change.state,
            by=by,
            evidence=change.evidence,
            remedy=change.remedy,
            early=change.early,
        )
        if by != "runner" and self._report:
            self._writer.append(self._report / "guardian.jsonl", _encoder.encode(event) + b"\n")
        return event

    def close(self, *, dirty: bool, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Close the journal: it stays where it is while something is odd. Return everything that is."""
        notes += self.old.damage if self.old else ()
        notes += (self._unwritable,) if self._unwritable else ()
        clean = not dirty and not notes
        if clean:
            self.write(Write(journal.Closed()))
        written = self._writer.close(LAST_WRITES)
        with contextlib.suppress(OSError):
            if self._report:
                journal.copy_redacted(self._path, self._report / "journal.jsonl")
        with contextlib.suppress(OSError, Refused):
            if clean and written:
                self._remove()
        return notes

    def _open(self) -> journal.Journal | None:
        """None in a rollback whose journal cannot be written: it arms nothing, and may undo once more."""
        with opened(self._path.parent) as parent:
            if self.old is None:
                return journal.Journal.create(parent, self._path.name)
            try:
                return journal.Journal.resume(parent, self._path.name)
            except OSError as error:
                self._unwritable = (
                    f"it cannot be written ({error.strerror or error}), so what was undone is not on record: "
                    "make room or make it writable, then run `squall rollback` again"
                )
                return None

    def _remove(self) -> None:
        with opened(self._path.parent) as parent:
            os.unlink(self._path.name, dir_fd=parent)
            os.fsync(parent)
