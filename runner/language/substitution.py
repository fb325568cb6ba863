"""The only substitution there is: `$name`, `$TARGET.address`, `$TARGET.addresses`, `$port`, `$index` and `$$`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

_DOLLAR = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<target>[A-Za-z_][A-Za-z0-9_-]*)\.(?P<what>addresses|address)(?![A-Za-z0-9_])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|)"
)
_LONGEST = 1 << 16  # characters of one text after substitution
AT_SPAWN = ("port", "index")


class SubstitutionError(ValueError):
    """A `$` that stands for nothing; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What `$` may stand for in one file.

    *address* finds a target's addresses, or raises SubstitutionError. *at_spawn*: `$port`, `$index` and
    addresses stay as they are (and `$$` stays doubled), because only the start of a process knows them.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()
    address: Callable[[str], list[str]] | None = None
    at_spawn: bool = False

    def fill(self, text: str) -> str:
        """Replace every `$…` of *text*. Raises SubstitutionError."""
        if "$" not in text:
            return text
        longest = max((len(value) for value in self.parameters.values()), default=0)
        if text.count("$") * longest > _LONGEST:
            raise SubstitutionError(
                f"would grow beyond {_LONGEST:,} characters; use fewer or shorter parameters"
            )
        return _DOLLAR.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$$" if self.at_spawn else "$"
        if found["target"]:
            return self._address(found["target"], found["what"], found[0])
        if found["name"]:
            return self._parameter(found["name"])
        raise SubstitutionError("a lone $; write $$ for a dollar, or $name for a parameter")

    def _address(self, target: str, what: str, text: str) -> str:
        if target not in self.targets:
            raise SubstitutionError(f"${target}.{what}: no such target{nearest(target, self.targets)}")
        if self.at_spawn:
            return text
        if self.address is None:
            raise SubstitutionError(
                f"${target}.{what} may stand under processes, in the upstream of a link and in a scenario;"
                " write host:port here"
            )
        found = self.address(target)
        return ",".join(found) if what == "addresses" else found[0]

    def _parameter(self, name: str) -> str:
        if name in self.parameters:
            value = self.parameters[name]
            return value.replace("$", "$$") if self.at_spawn else value
        if name in AT_SPAWN:
            if self.at_spawn:
                return f"${name}"
            raise SubstitutionError(f"${name} has a value only in the command of a target's processes")
        known = [*self.parameters, *(AT_SPAWN if self.at_spawn else ())]
        raise SubstitutionError(
            f"${name} is not declared{nearest(name, known)}; add it under parameters, or write $$"
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """Propose the known word nearest to *word*, as the end of a sentence; else list the few there are."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if not close:
        lower = {name.lower(): name for name in names}
        close = [lower[word.lower()]] if word.lower() in lower else []
    if close:
        return f"; did you mean {close[0]}?"
    if not names:
        return ""
    return f"; known: {', '.join(names)}" if len(names) <= 12 else ""
