"""The record of a run, read back: its events and all that its load measured."""

from __future__ import annotations

import gc
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runner.errors import RecordUnreadable
from runner.journal_copy import JOURNAL, Copied, read_copy
from runner.load.frames import Chunk
from runner.timeline import Event, Phase, Sample, StageBegun, read_events

if TYPE_CHECKING:  # numpy costs 0.1 s at start; only judging needs it
    from runner.statistics.frames import Frames

TIMELINE, GUARDIAN, FRAMES = "timeline.jsonl", "guardian.jsonl", "frames.bin"
TRIALS = "trials.jsonl"  # of a campaign: what was asked, and each of its runs
_LENGTH = struct.Struct("<I")
_MAPS = {*range(0x80, 0x90), 0xDE, 0xDF}  # how a msgpack map begins
_decoder = msgspec.msgpack.Decoder(Chunk)


@dataclass(frozen=True, slots=True)
class Record:
    """Events in the order of their time, and the frames. *damage*: what could not be read, for the verdict.

    *torn*: not all frames could be read, so what they lack says nothing about who measured.
    *journal*: its copy, where the timeline has no end.
    """

    events: tuple[Event, ...]
    frames: Frames
    damage: str = ""
    torn: bool = False
    journal: Copied = field(default_factory=Copied)

    @staticmethod
    def load(folder: Path) -> Record:
        """Read a report folder, also of a run that goes on. What the guardian wrote after the runner's death is merged.

        Raises RecordUnreadable where there is no timeline.
        """
        from runner.statistics.gathering import gather  # noqa: PLC0415 - numpy only where a record is judged

        events, damage = _events(folder)
        torn = _absent(folder / FRAMES, events)
        with _no_collection():
            frames = gather(_chunks(folder / FRAMES, torn))
        ended = any(isinstance(event, Phase) and event.name == "end" for event in events)
        journal = Copied() if ended else read_copy(folder / JOURNAL)
        said = "; ".join([*damage, *torn])
        return Record(_in_time(events), frames, said, torn=bool(torn), journal=journal)

    @staticmethod
    def judgeable(folder: Path) -> Record:
        """Read a report folder as `load` does. Raises RecordUnreadable also where the frames of a load are gone."""
        record = Record.load(folder)
        if record.torn and not (folder / FRAMES).exists():
            raise RecordUnreadable(f"{folder / FRAMES} is missing: there is nothing of the load to judge by")
        return record

    @staticmethod
    def of(events: Iterable[Event], chunks: Iterable[Chunk]) -> Record:
        """Make a record of what is in memory."""
        from runner.statistics.gathering import gather  # noqa: PLC0415 - numpy only where a record is judged

        return Record(_in_time(events), gather(chunks))

    @property
    def cut(self) -> str:
        """Say that the timeline stops before the journal does, and what that has more: faults, else whatever."""
        untold = self.journal.untold(self.events)
        if not untold:
            return ""
        named = [one.said for one in untold if one.fault] or [one.said for one in untold]
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        return f"the timeline is cut off: {JOURNAL} says that {', '.join(named[:3])}{more}"

    @property
    def end(self) -> float:
        """The last moment on record, seconds since the anchor."""
        said = [
            event.at for event in self.events if not isinstance(event, StageBegun)
        ]  # those are written down beforehand
        return max([*said, self.frames.last_at], default=0.0)

    def samples(self, indicator: str) -> list[Sample]:
        """All samples of one indicator, in the order of time."""
        return [event for event in self.events if isinstance(event, Sample) and event.indicator == indicator]


def _in_time(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: event.at))


def _events(folder: Path) -> tuple[list[Event], list[str]]:
    path = folder / TIMELINE
    try:
        events = read_events(path)
    except OSError as error:
        raise RecordUnreadable(f"{path}: there is no timeline to judge by ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise RecordUnreadable(f"{path}: a line of the timeline is damaged ({error})") from error
    try:
        return events + read_events(folder / GUARDIAN), []
    except FileNotFoundError:
        return events, []
    except (OSError, msgspec.DecodeError) as error:
        return events, [f"what the guardian wrote cannot be read ({error})"]


def _absent(path: Path, events: list[Event]) -> list[str]:
    """Say that there are no frames where a load has begun."""
    if not any(isinstance(event, StageBegun) for event in events):
        return []
    if not path.exists():
        return [f"{path.name} is missing"]
    return [] if path.stat().st_size else [f"{path.name} is empty"]


def _chunks(path: Path, torn: list[str]) -> Iterator[Chunk]:
    """Read frames to their end, as `unpack` does but from mapped memory; stop at damage and say so in *torn*."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                return
            with (
                mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as data,
            ):
                yield from _unpacked(data)
    except FileNotFoundError:
        return  # a run without load has none
    except (OSError, msgspec.DecodeError) as error:
        torn.append(f"the frames are damaged ({error})")


def _unpacked(data: memoryview) -> Iterator[Chunk]:
    place, size, decode = 0, len(data), _decoder.decode
    while place + _LENGTH.size <= size:
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size + length
        if place > size:
            _refuse_noise(data, place - length)
            return  # a torn last one is left out
        yield decode(data[place - length : place])


def _refuse_noise(data: memoryview, begin: int) -> None:
    """Raise DecodeError where what is torn is no chunk, or there is no other before it."""
    if begin == _LENGTH.size:
        raise msgspec.DecodeError("not even the first is whole")
    if begin < len(data) and data[begin] not in _MAPS:
        raise msgspec.DecodeError("what follows the last whole one is no part of one")


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of a million small objects that are no garbage: it takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
