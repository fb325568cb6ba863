"""What the copy of a run's journal in its report folder says of each act: it may know more than a cut timeline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from runner.clock import TimeAnchor
from runner.timeline import ActChanged, Event, Phase

JOURNAL = "journal.jsonl"
_ENDS = ("clean", "dirty")


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The last state of an act, as journaled."""

    act: str
    fault: str
    instance: str
    state: str

    @property
    def said(self) -> str:
        how = {"clean": "was undone", "dirty": "is not as it was"}.get(self.state, f"was left {self.state}")
        return f"{self.act} {how}"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """The copy: when the run began, and every act that may have been done."""

    anchor: TimeAnchor | None = None
    acts: tuple[Last, ...] = ()

    def untold(self, events: Iterable[Event]) -> tuple[Last, ...]:
        """The acts that went on where *events* stop; none where those have the run's end."""
        told: dict[str, str] = {}
        for event in events:
            if isinstance(event, Phase) and event.name == "end":
                return ()
            if isinstance(event, ActChanged):
                told[event.act] = event.state
        return tuple(one for one in self.acts if told.get(one.act, "") not in (*_ENDS, one.state))


class _Act(msgspec.Struct, frozen=True):
    id: str
    fault: str = ""
    instance: str = ""


class _Line(msgspec.Struct, frozen=True):
    """What is read here of any record."""

    record: str
    act: msgspec.Raw = msgspec.Raw(b"null")
    state: str = ""
    anchor: TimeAnchor | None = None


_line = msgspec.json.Decoder(_Line)


def read_copy(path: Path) -> Copied:
    """Read it as far as it can be read; nothing where there is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return Copied()
    anchor, acts, last = None, dict[str, _Act](), dict[str, str]()
    for text in lines:
        try:
            line = _line.decode(text)
            match line.record:
                case "head":
                    anchor = line.anchor
                case "armed":
                    act = msgspec.json.decode(line.act, type=_Act)
                    acts[act.id] = act
                case "turned":
                    last[msgspec.json.decode(line.act, type=str)] = line.state
        except msgspec.MsgspecError:
            continue
    known = [(acts[name], state) for name, state in last.items() if name in acts]
    found = [Last(act=act.id, fault=act.fault, instance=act.instance, state=state) for act, state in known]
    return Copied(anchor=anchor, acts=tuple(found))
