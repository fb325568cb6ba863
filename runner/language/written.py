"""What a user wrote at one place of a file: a node with its path of keys, which answers typed questions or says what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from runner import units
from runner.errors import Mistake, Place
from runner.language.document import Mapping, Node, Scalar, Sequence
from runner.language.substitution import Scope, SubstitutionError, nearest

_LONGEST = 400  # characters of a message; a user's text in it may be a page


def one_line(what: str) -> str:
    """Put a message on one line of bearable length, whatever the user's text in it holds."""
    line = " ".join(what.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"


@dataclass(frozen=True, slots=True)
class Written:
    """One node, its path of keys (`faults.slow-store.delay`) and what `$` stands for there."""

    node: Node
    path: str
    scope: Scope
    key: Scalar | None = None  # the key it stands under

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.node.place

    @property
    def folder(self) -> Path:
        """The folder of the file it is written in; paths start there."""
        return Path(self.place.file).absolute().parent

    @property
    def is_text(self) -> bool:
        return isinstance(self.node, Scalar)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, Sequence)

    @property
    def is_map(self) -> bool:
        return isinstance(self.node, Mapping)

    def within(self, scope: Scope) -> Written:
        """The same, with another meaning of `$`."""
        return replace(self, scope=scope)

    def refuse(self, what: str) -> NoReturn:
        """Raise the Mistake that *what* describes, at this place."""
        raise Mistake(self.place, self.path, one_line(what))

    def refuse_key(self, what: str) -> NoReturn:
        """Raise the Mistake at the key this stands under."""
        raise Mistake(self.key.place if self.key else self.place, self.path, one_line(what))

    def text(self) -> str:
        """The text, substituted."""
        if not isinstance(self.node, Scalar):
            self.refuse(f"{self._kind()} stands where a single value belongs")
        try:
            return self.scope.fill(self.node.text)
        except SubstitutionError as error:
            self.refuse(str(error))

    def filled(self) -> str:
        """The text, substituted and not empty."""
        text = self.text()
        if not text.strip():
            self.refuse("is empty; give it a value or remove the key")
        return text

    def file(self, name: str) -> Path:
        """The absolute path that *name* means, seen from the file it is written in."""
        try:
            path = (self.folder / name).resolve()
            path.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, links in circles
            self.refuse(f"{name} is no usable path: {getattr(error, 'strerror', None) or error}")
        return path

    def line(self) -> str:
        """The text of an assertion, after a look at what YAML may have cut from it."""
        if isinstance(self.node, Mapping):
            self.refuse("YAML reads a mapping here because of `: `; quote the whole line: '- \"…\"'")
        if isinstance(self.node, Sequence):
            self.refuse("YAML reads a list here; quote the whole line: '- \"…\"'")
        if self.node.anchored:
            self.refuse(
                f"YAML takes &{self.node.anchored} as the name of an anchor; quote the whole line: '- \"…\"'"
            )
        return self.text()

    def entries(self) -> dict[str, Written]:
        """The values of a mapping by their key."""
        if not isinstance(self.node, Mapping):
            self.refuse(f"{self._kind()} stands where a mapping (`key: value`) belongs")
        return {
            name: Written(node, f"{self.path}.{name}" if self.path else name, self.scope, key)
            for name, (key, node) in self.node.entries.items()
        }

    def items(self) -> list[Written]:
        """The items of a list."""
        if not isinstance(self.node, Sequence):
            self.refuse(f"{self._kind()} stands where a list belongs; write [a, b]")
        return [Written(node, f"{self.path}[{i}]", self.scope) for i, node in enumerate(self.node.items)]

    def one_or_many(self) -> list[Written]:
        """The items of a list, or this alone."""
        return self.items() if isinstance(self.node, Sequence) else [self]

    def quantity(self, kind: str, *, likely: str = "") -> float:
        """A quantity of that kind in base units."""
        return self.part(kind, self.text(), likely=likely)

    def part(self, kind: str, text: str, *, likely: str = "") -> float:
        """A quantity that *text*, a part of what is written, spells."""
        try:
            return units.parse(kind, text, likely=likely)
        except units.QuantityError as error:
            self.refuse(f"{error}{self._from()}")

    def whole(self) -> int:
        """A whole number without a unit."""
        text = self.filled().strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            self.refuse(f'"{text}" is not a whole number{self._from()}')
        return int(text)

    def number(self) -> float:
        """A number without a unit."""
        return self.quantity("count")

    def truth(self) -> bool:
        """True or false."""
        text = self.text().strip()
        if text not in ("true", "false"):
            self.refuse(f'"{text}" is neither true nor false')
        return text == "true"

    def choice(self, known: Iterable[str]) -> str:
        """One of the words *known*."""
        text, words = self.text().strip(), list(known)
        if text not in words:
            self.refuse(
                f'"{text}" is not one of {", ".join(words)}{nearest(text, words) if len(words) > 4 else ""}'
            )
        return text

    def _from(self) -> str:
        raw = self.node.text if isinstance(self.node, Scalar) else ""
        return f" (from {raw.strip()})" if "$" in raw else ""

    def _kind(self) -> str:
        match self.node:
            case Mapping():
                return "a mapping"
            case Sequence():
                return "a list"
            case _ if not self.node.text.strip():
                return "nothing"
            case _:
                return f'"{self.node.text.strip()[:60]}"'
