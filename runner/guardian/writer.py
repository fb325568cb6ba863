"""The guardian's disk: a thread that writes journal and record, so that an undo never waits for either."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from pathlib import Path

from runner.guardian.journal import Journal
from runner.guardian.orders import Write, WriteFailed, Written
from runner.timeline import write_all


class Writer:
    """Writes in order, syncs once for all that waits; *wake* is an eventfd told of each answer in `results`.

    Without a journal it writes to the report alone.
    """

    def __init__(self, journal: Journal | None, wake: int) -> None:
        self._journal, self._wake, self._broken = journal, wake, ""
        self._jobs: queue.SimpleQueue[Write | tuple[Path, bytes] | None] = queue.SimpleQueue()
        self.results: deque[Written | WriteFailed] = deque()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def write(self, order: Write) -> None:
        """Put a record into the journal."""
        self._jobs.put(order)

    def append(self, path: Path, line: bytes) -> None:
        """Append a line to a file of the report; what fails is not worth an undo."""
        self._jobs.put((path, line))

    def close(self, patience: float) -> bool:
        """Wait until all is written, at most so many seconds."""
        self._jobs.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while not self._jobs.empty():
                jobs.append(self._jobs.get())
            if self._journal:
                self._write_all(self._journal, [job for job in jobs if isinstance(job, Write)])
            for job in jobs:
                if isinstance(job, tuple):
                    _append(*job)
            if None in jobs:
                return

    def _write_all(self, journal: Journal, orders: list[Write]) -> None:
        failures: dict[int, str] = {}
        for number, order in enumerate(orders):
            try:
                journal.append(order.record)
            except OSError as error:
                failures[number] = error.strerror or str(error)
        try:
            if orders:
                journal.sync()
        except OSError as error:  # what the kernel dropped once it never writes: trust this file no more
            self._broken = error.strerror or str(error)
        for number, order in enumerate(orders):
            self._answer(order.ticket, self._broken or failures.get(number, ""))

    def _answer(self, ticket: int, failure: str) -> None:
        if ticket:
            why = f"the journal cannot be written: {failure}"
            self.results.append(WriteFailed(ticket, why) if failure else Written(ticket))
            os.eventfd_write(self._wake, 1)


def _append(path: Path, line: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError:
        return  # the disk is full or the folder gone: undoing goes on, and the journal has it too
    try:
        write_all(descriptor, line)
    except OSError:
        pass  # the same
    finally:
        os.close(descriptor)
