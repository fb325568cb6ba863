"""The undo log: written before the harm, so that even kill -9 leaves a way back.

One JSON line for each record: {"seq": n, "crc": crc32 of "n:" and the body as written, "body": {…}}.
The file is preallocated, its tail is NUL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from runner.clock import TimeAnchor
from runner.guardian.orders import ActState
from runner.operations.record import Act, Identity

VERSION = 1
_PIECE = 1 << 20  # bytes preallocated at a time
_BETWEEN = re.compile(
    rb'\n|(?<!\n)(?<!^)(?=\{"seq":)'
)  # quotes in a body are escaped: it cannot contain this
_SECRET = re.compile(r"key|token|secret|pass|credential|auth|cookie|session", re.IGNORECASE)


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    """What all records share: a tag."""


class Head(_Record, frozen=True, kw_only=True, tag="head"):
    """Whose journal this is."""

    run: str
    pid: int  # of the runner
    report: str
    anchor: TimeAnchor
    version: int = VERSION


class Armed(_Record, frozen=True, kw_only=True, tag="armed"):
    """From here on *act* may be done; its undo is the way back."""

    act: Act


class Turned(_Record, frozen=True, kw_only=True, tag="turned"):
    """An act changed its state; only `clean` takes it off the list of what is armed."""

    act: str
    state: ActState
    evidence: str = ""


class Adopted(_Record, frozen=True, kw_only=True, tag="adopted"):
    """A process of the load."""

    process: Identity


class Closed(_Record, frozen=True, kw_only=True, tag="closed"):
    """Nothing is armed any more."""


Record = Head | Armed | Turned | Adopted | Closed


class _Line(msgspec.Struct, frozen=True):
    seq: int
    crc: int
    body: msgspec.Raw


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal says. *damage*: what could not be read, one sentence each; the rest still counts."""

    head: Head | None
    armed: tuple[Act, ...]
    adopted: tuple[Identity, ...] = ()
    closed: bool = False
    damage: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder()
_line = msgspec.json.Decoder(_Line)
_record = msgspec.json.Decoder(Record)


def encode(seq: int, record: Record) -> bytes:
    """Write a record as its line."""
    body = _encoder.encode(record)
    return b'{"seq":%d,"crc":%d,"body":%s}\n' % (seq, crc32(b"%d:" % seq + body), body)


class Journal:
    """One writer's file. Not for two threads at once."""

    def __init__(self, descriptor: int, *, end: int = 0, seq: int = 0) -> None:
        self._descriptor, self._end, self._seq = descriptor, end, seq
        self._room = 0
        self._make_room(1)
        os.fsync(descriptor)

    @classmethod
    def create(cls, folder: int, name: str) -> Journal:
        """Create *name* in the directory open as *folder*. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        journal = cls(os.open(name, flags, 0o600, dir_fd=folder))
        os.fsync(folder)
        return journal

    @classmethod
    def resume(cls, folder: int, name: str) -> Journal:
        """Go on after the last whole line of *name*; a torn one is wiped. Raises OSError."""
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        end = data.rfind(b"\n") + 1
        write_at(descriptor, bytes(len(data) - end), end)
        numbers = [line.seq for text in _BETWEEN.split(data[:end]) if (line := _checked(text))]
        return cls(descriptor, end=end, seq=max(numbers, default=0))

    def append(self, record: Record) -> None:
        """Write a record; it is safe after the next sync(). Raises OSError; a torn line is overwritten then."""
        line = encode(self._seq + 1, record)
        self._make_room(len(line))
        write_at(self._descriptor, line, self._end)
        self._end, self._seq = self._end + len(line), self._seq + 1

    def sync(self) -> None:
        """Return when all that was appended is on disk. Raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _make_room(self, size: int) -> None:
        while self._end + size > self._room:
            os.posix_fallocate(self._descriptor, self._room, _PIECE)
            self._room += _PIECE


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of *data*: a write may be short without raising."""
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def parse(data: bytes) -> Contents:
    """Read what can be read: a torn last line is normal, anything else that is odd is *damage*."""
    records, damage = _records(data)
    head = next((record for record in records if isinstance(record, Head)), None)
    clean = {record.act for record in records if isinstance(record, Turned) and record.state == "clean"}
    acts = {record.act.id: record.act for record in records if isinstance(record, Armed)}
    if head is not None and head.version > VERSION:
        damage.append(f"it is of version {head.version}; this Squall knows {VERSION}")
    return Contents(
        head=head,
        armed=tuple(act for name, act in acts.items() if name not in clean),
        adopted=tuple(record.process for record in records if isinstance(record, Adopted)),
        closed=any(isinstance(record, Closed) for record in records),
        damage=tuple(damage),
    )


def _records(data: bytes) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    damage: list[str] = []
    *pieces, tail = _BETWEEN.split(data)
    expected = 1
    for text in (*filter(None, pieces), *filter(_checked, (tail, tail.rstrip(b"\0")[:-1]))):
        line = _checked(text)
        if line is None:
            damage.append(f"the record after {expected - 1} is damaged")
            continue
        if line.seq > expected:
            damage.append(f"of the records {expected} to {line.seq - 1} none is readable")
        expected = max(expected, line.seq + 1)
        try:
            records.append(_record.decode(line.body))
        except msgspec.MsgspecError as error:
            damage.append(f"record {line.seq} cannot be understood: {error}")
    return records, damage


def _checked(text: bytes) -> _Line | None:
    try:
        line = _line.decode(text.strip(b"\0"))
    except msgspec.MsgspecError:
        return None
    return line if line.crc == crc32(b"%d:" % line.seq + bytes(line.body)) else None


def redacted(data: bytes) -> bytes:
    """Copy a journal for other eyes: readable lines only, values of secret-looking variables left out."""
    lines = (_checked(text) for text in data.split(b"\n"))
    bodies = (_without_secrets(msgspec.json.decode(line.body)) for line in lines if line)
    return b"".join(_encoder.encode(body) + b"\n" for body in bodies)


def copy_redacted(journal: Path, to: Path) -> None:
    """Write the redacted copy of *journal*. Raises OSError."""
    to.write_bytes(redacted(journal.read_bytes()))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: dict(_hidden(inner.items()))
        if key == "env" and isinstance(inner, dict)
        else _without_secrets(inner)
        for key, inner in value.items()
    }


def _hidden(pairs: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    return ((name, "(redacted)" if _SECRET.search(name) else value) for name, value in pairs)
