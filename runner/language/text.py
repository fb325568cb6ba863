"""One line of a file that is read from left to right: an assertion, and how far it is read."""

from __future__ import annotations

import re
from typing import cast

from runner import units
from runner.errors import Mistake, Place
from runner.language.written import one_line

_SPACE = re.compile(r"\s*")


class Text:
    """A text and how far it is read."""

    def __init__(self, text: str, place: Place, path: str) -> None:
        self.text, self.place, self.path, self.position = text, place, path, 0

    def refuse(self, what: str) -> Mistake:
        """Make the Mistake that *what* describes."""
        return Mistake(self.place, self.path, one_line(f'"{self.text}": {what}'))

    def skip(self) -> None:
        """Pass over blanks."""
        self.position = cast("re.Match[str]", _SPACE.match(self.text, self.position)).end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read on over *pattern*, if it comes next."""
        self.skip()
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def rest(self) -> str:
        """What is not read yet."""
        return self.text[self.position :].strip()

    def quantity(self, kind: str, text: str, *, likely: str = "") -> float:
        """Read *text* as a quantity of *kind*; *likely* is the unit proposed to a bare number. Raises Mistake."""
        try:
            return units.parse(kind, text, likely=likely)
        except units.QuantityError as error:
            raise self.refuse(str(error)) from None

    def braces(self) -> str | None:
        """The text inside balanced braces, if they come next."""
        self.skip()
        if not self.text.startswith("{", self.position):
            return None
        depth = 0
        for position in range(self.position, len(self.text)):
            depth += {"{": 1, "}": -1}.get(self.text[position], 0)
            if depth == 0:
                inside = self.text[self.position + 1 : position].strip()
                self.position = position + 1
                if not inside:
                    raise self.refuse("the braces are empty; remove them, or name a request")
                return inside
        raise self.refuse("a brace { is never closed; quote the whole line if YAML cut it")
