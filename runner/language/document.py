"""YAML with places: bytes become nodes of plain text that know their line, within limits that no file can burst."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runner.errors import Mistake, Place, Refused
from runner.language.scanning import DEEPEST, QUOTE, TOO_DEEP, explain, place_of, split_lines

LARGEST = 1 << 20  # bytes of a file
LONGEST_KEY = 200
MOST_NODES = 10_000  # aliases expanded: a 306-byte file can stand for 387 million nodes

_ALIAS = re.compile(r"\*([\w-]+)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One piece of text. *comment* is what follows it on its line after ` #`; *anchored* is an `&name` nobody uses."""

    text: str
    place: Place
    plain: bool = True
    comment: str = ""
    anchored: str = ""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each with the place it is written at, and their values; `x-…` keys are left out."""

    entries: dict[str, tuple[Scalar, Node]]
    place: Place


Node = Scalar | Sequence | Mapping


def read_document(path: Path) -> Mapping:
    """Read the one mapping that the file *path* holds. Raises Refused."""
    shown = shown_path(path)
    return parse_document(_text(path, shown), shown)


def parse_document(text: str, file: str) -> Mapping:
    """Turn *text* into nodes; *file* is the name that places carry. Raises Mistake."""
    tab = text.find("\t")
    if tab >= 0:
        place = place_of(text, tab, file)
        raise Mistake(place, "", "a tab; YAML wants spaces here (inside double quotes: \\t)")
    composer = _Composer(file, text)
    try:
        node = composer.compose(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        if composer.quoted is not None:
            what = f"not YAML after this quote, which closes only in line {composer.closes}; close it where it ends"
            raise Mistake(composer.quoted, "", what) from None
        raise explain(error, text, file) from None
    if node is None or (isinstance(node, Scalar) and not node.text):
        raise Mistake(
            Place(file, 1),
            "",
            "the file is empty; a scenario is a mapping of keys such as title, load, faults",
        )
    if not isinstance(node, Mapping):
        kind = "a list" if isinstance(node, Sequence) else "a single value"
        raise Mistake(node.place, "", f"the file holds {kind}, not a mapping of keys such as `title: …`")
    return node


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """The one door out of the reader: whatever a file makes go wrong within is a refusal, never a traceback."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise Refused(f"{shown_path(path)}: cannot be read: {reason}") from error


def shown_path(path: Path) -> str:
    """Name a file as the user knows it: relative to the working directory where it lies below it."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)


def _text(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise Refused(f"{shown}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{shown}: cannot be read: {reason}") from None
    if len(data) > LARGEST:
        raise Mistake(
            Place(shown, 1), "", f"the file is larger than {LARGEST >> 20} MiB; a scenario is a page or two"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Mistake(
            Place(shown, line), "", f"byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from None


@dataclass(slots=True)
class _Open:
    """A collection that is being read. *key* is the key that waits for its value."""

    place: Place
    anchor: str
    mapping: bool
    size: int = 1
    key: Scalar | None = None
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)


class _Composer:
    """Builds nodes from events without recursion; every limit holds before anything grows."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, split_lines(text)
        self.aliased = set(_ALIAS.findall(text))
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}  # name -> node and how many nodes it stands for
        self.nodes = 0
        self.root: Node | None = None
        self.quoted: Place | None = None  # where the last text begins, if it is quoted and of several lines
        self.closes = 0

    def compose(self, events: Iterator[Any]) -> Node | None:
        for event in events:
            place = Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)
            if getattr(event, "tag", None) is not None:
                raise Mistake(
                    place, "", f"the tag {event.tag[:60]} is not allowed; values are typed by their key"
                )
            match event:
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._begin(_Open(place, event.anchor or "", isinstance(event, yaml.MappingStartEvent)))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end()
                case yaml.ScalarEvent():
                    self._scalar(event, place)
                case yaml.AliasEvent():
                    self._alias(event.anchor or "", place)
                case yaml.DocumentStartEvent() if self.root is not None:
                    raise Mistake(place, "", "a second document (`---`); one file holds one scenario")
        return self.root

    def _begin(self, opened: _Open) -> None:
        self._count(1, opened.place)
        if len(self.open) >= DEEPEST:
            raise Mistake(opened.place, "", TOO_DEEP)
        if self.open and self.open[-1].mapping and self.open[-1].key is None:
            raise Mistake(
                opened.place, "", f"a key is a plain word, not a list or mapping; {QUOTE} or add the key"
            )
        self.open.append(opened)

    def _end(self) -> None:
        done = self.open.pop()
        node = Mapping(done.entries, done.place) if done.mapping else Sequence(tuple(done.items), done.place)
        self._remember(done.anchor, node, done.size, done.place)
        self._put(node, done.size)

    def _scalar(self, event: Any, place: Place) -> None:
        self._count(1, place)
        several = event.style in ("'", '"') and event.end_mark.line > event.start_mark.line
        self.quoted, self.closes = place if several else None, event.end_mark.line + 1
        plain = event.style is None or event.style == ""
        unused = event.anchor if event.anchor and event.anchor not in self.aliased else ""
        node = Scalar(event.value, place, plain, self._comment(event) if plain else "", unused)
        self._remember(event.anchor or "", node, 1, place)
        self._put(node, 1)

    def _alias(self, name: str, place: Place) -> None:
        if name not in self.anchors:
            raise Mistake(
                place,
                "",
                f"*{name[:60]} refers to nothing named &{name[:60]}; if the * belongs to the text, {QUOTE}",
            )
        node, size = self.anchors[name]
        self._count(size, place)
        self._put(node, size)

    def _remember(self, anchor: str, node: Node, size: int, place: Place) -> None:
        if not anchor:
            return
        if anchor in self.anchors:
            raise Mistake(place, "", f"&{anchor[:60]} is given twice; an anchor has one meaning")
        self.anchors[anchor] = (node, size)

    def _put(self, node: Node, size: int) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.size += size
        if not parent.mapping:
            parent.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node, parent)
        else:
            if not parent.key.text.startswith("x-"):
                parent.entries[parent.key.text] = (parent.key, node)
            parent.key = None

    def _key(self, node: Node, parent: _Open) -> Scalar:
        if not isinstance(node, Scalar):
            raise Mistake(node.place, "", "a key is a plain word, not a list or mapping")
        if len(node.text) > LONGEST_KEY or not node.text.isprintable():
            raise Mistake(
                node.place,
                "",
                f"a key is a plain word of at most {LONGEST_KEY} characters; {QUOTE} or add the key",
            )
        if node.text == "<<":
            raise Mistake(
                node.place, "", "merge keys (<<) are not allowed; write the keys out, or use parameters"
            )
        if node.text in parent.entries:
            first = parent.entries[node.text][0].place.line
            raise Mistake(node.place, node.text, f"the key is given twice (first in line {first}); keep one")
        return node

    def _count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise Mistake(
                place, "", f"more than {MOST_NODES:,} nodes (aliases counted as what they stand for)"
            )

    def _comment(self, event: Any) -> str:
        line, column = event.end_mark.line, event.end_mark.column
        rest = self.lines[line][column:].lstrip() if line < len(self.lines) else ""
        return rest if rest.startswith("#") else ""
