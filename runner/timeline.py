"""The record of a run: everything observed and done, one clock, one JSON line each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.clock import TimeAnchor

PhaseName = Literal["targets", "warmup", "before", "faults", "after", "end"]
Cause = Literal["rule", "signal", "command", "evidence", "guardian", "disk", "defect"]
NoteLevel = Literal["info", "warning", "invalid"]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """*at*: seconds since the run's anchor."""

    at: float


class Started(_Event, frozen=True, kw_only=True, tag="started"):
    """The head of a record."""

    run: str
    version: str
    anchor: TimeAnchor


class Phase(_Event, frozen=True, kw_only=True, tag="phase"):
    """A phase begins: targets, warmup, before, faults (its start is t = 0), after, end."""

    name: PhaseName


class StageBegun(_Event, frozen=True, kw_only=True, tag="stage"):
    """A stage of a load begins."""

    load: str
    name: str


class ActChanged(_Event, frozen=True, kw_only=True, tag="act"):
    """An act changed its state. *by*: runner, guardian (took over), rollback, lease.

    armed -> injecting -> injected | failed -> undoing -> clean | dirty. `failed`: do raised; it is undone all the same.
    *early*, of failed: it had been injected and was over before its time, or was lost and nobody can tell what became of it.
    """

    act: str
    fault: str
    kind: str
    instance: str
    occurrence: int = 0
    state: Literal["armed", "injecting", "injected", "failed", "undoing", "clean", "dirty"]
    by: str = "runner"
    evidence: str = ""
    remedy: str = ""  # of dirty: how to mend it by hand
    early: Literal["", "over", "lost"] = ""


class Confirmed(_Event, frozen=True, kw_only=True, tag="confirmed"):
    """A reading of whether an act had its effect; the last one that is not None counts. *looked*: anybody could look."""

    act: str
    fault: str
    instance: str
    occurrence: int = 0
    ok: bool | None
    evidence: str
    looked: bool = True


class Escaped(_Event, frozen=True, kw_only=True, tag="escaped"):
    """Instances of a fault's target that came while it lasted. *joined*: they were hurt too (`follow: true`)."""

    fault: str
    occurrence: int = 0
    instances: tuple[str, ...]
    joined: bool = False


class Control(_Event, frozen=True, kw_only=True, tag="control"):
    """A reading of an instance that a fault must not touch. *leaked*: it is harmed too; None: it cannot be told."""

    fault: str
    occurrence: int = 0
    instance: str
    leaked: bool | None
    evidence: str


class Sample(_Event, frozen=True, kw_only=True, tag="sample"):
    """One reading of an indicator: a value, a ratio (bad or valid of total) or cumulative buckets (le -> count).

    Buckets hold what came since the sample before, so that a window's add up; instance is empty where there is none.
    """

    indicator: str
    instance: str = ""
    value: float | None = None
    bad: float | None = None
    valid: float | None = None
    total: float | None = None
    buckets: dict[str, float] | None = None
    error: str = ""  # the probe raised or found nothing: no data


class HaltPulled(_Event, frozen=True, kw_only=True, tag="halt"):
    """The brake was pulled. cause: rule, signal, command, evidence (it dried up), guardian, disk, defect."""

    cause: Cause
    reason: str
    rule: str = ""  # the assertion as written
    value: float | None = None
    limit: float | None = None
    requests: int = 0
    breached_at: float | None = None  # when the first response that tripped it ended
    confidence: float | None = None  # of a rule with one; then value and limit are shares of bad requests
    log10_evidence: float | None = None
    log10_needed: float | None = None


class Expects(_Event, frozen=True, kw_only=True, tag="expects"):
    """How many *events* an objective expects in its whole time, from *window* seconds of history. 0: nobody knows, *why*.

    What a run spent of the budget goes by it, during the run and after; without it by the run's own traffic.
    """

    objective: str
    events: float = 0.0
    window: float = 0.0
    why: str = ""


class EvidenceSeen(_Event, frozen=True, kw_only=True, tag="evidence"):
    """How strongly the requests since *since* speak for a halt rule: log10 of E, and of the E at which it halts.

    *who*: the request, of `each`. *limit*: the share of bad requests allowed (of two arms: times the other's rate).
    """

    rule: str
    who: str = ""
    log10: float
    needed: float
    bad: int
    requests: int
    since: float
    limit: float
    effect: float


class Decided(_Event, frozen=True, kw_only=True, tag="decided"):
    """All that is asked about a fault's occurrence, or (without a name) about the time after, is decided: it ends."""

    fault: str = ""
    occurrence: int = 0
    early: float  # seconds before its planned end
    until: float  # the evidence is of what began before this moment


class Note(_Event, frozen=True, kw_only=True, tag="note"):
    """Anything else worth a line. level: info, warning, or invalid (the run can then not pass)."""

    level: NoteLevel = "info"
    text: str


Event = (
    Started
    | Phase
    | StageBegun
    | ActChanged
    | Confirmed
    | Escaped
    | Control
    | Sample
    | HaltPulled
    | EvidenceSeen
    | Expects
    | Decided
    | Note
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


class Timeline:
    """Append events to a file and to whoever listens; safe to call from any thread."""

    def __init__(self, path: Path, on_failure: Callable[[OSError], Any]) -> None:
        self._file = Appended(path)
        self._lock = threading.Lock()
        self._on_failure = on_failure
        self._unwritten = b""
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], Any]] = []

    def add(self, event: Event) -> None:
        """Record *event*. A disk that fails is told to *on_failure*; the event is written with the next one."""
        failure = None
        with self._lock:
            self.events.append(event)
            self._unwritten += _encoder.encode(event) + b"\n"
            try:
                self._file.append(self._unwritten)
                self._unwritten = b""
            except OSError as error:
                failure = error
        if failure is not None:
            self._on_failure(failure)  # outside the lock: it may want to record a halt
        for listener in self.listeners:
            listener(event)

    def close(self) -> None:
        with self._lock:
            self._file.close()


class Appended:
    """A file that only grows, by whole pieces: what could be written only in part is taken back."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._length = os.fstat(self._descriptor).st_size

    def append(self, data: bytes) -> None:
        """Write all of *data* or nothing. Raises OSError."""
        try:
            write_all(self._descriptor, data)
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += len(data)

    def close(self) -> None:
        os.close(self._descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*: os.write may be short without raising."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_events(path: Path) -> list[Event]:
    """Read a timeline; a torn last line is left out."""
    lines = path.read_bytes().split(b"\n")
    return [_decoder.decode(line) for line in lines[:-1] if line]
