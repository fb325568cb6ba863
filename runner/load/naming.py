"""Short stable names for what requests are about: keys with numbers, error texts without accidents."""

from __future__ import annotations

import re

from runner.load.frames import Key

OTHER = "other"
MAX_REQUESTS = 1000
MAX_ERRORS = 100
MAX_LABEL_VALUES = 100
MAX_KEYS = 50_000  # a row's key is 16 bits
MAX_TEXT = 120

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_NUMBER = re.compile(
    r"(?<![0-9])(?![0-9]{3}(?![0-9]))[0-9]+"
)  # all but three digits alone: those are statuses


class Names:
    """Let the first *limit* distinct texts through; the rest are `other`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def admit(self, text: str) -> str:
        if text in self._known:
            return text
        if len(self._known) >= self._limit:
            return OTHER
        self._known.add(text)
        return text


class KeyTable:
    """Number keys in the order in which they appear; `fresh` holds those not yet told."""

    def __init__(self) -> None:
        self.fresh: list[Key] = []
        self.requests = Names(MAX_REQUESTS)
        self._errors = Names(MAX_ERRORS)
        self._labels: dict[str, Names] = {}
        self._numbers: dict[Key, int] = {}

    def number(self, request: str, code: int, error: str, labels: tuple[str, ...]) -> int:
        """Number the key of these parts, each held to its limit."""
        request = self.requests.admit(request)
        error = self._errors.admit(error) if error else ""
        key = Key(request, code, error, tuple(self._label(pair) for pair in labels))
        found = self._numbers.get(key)
        if found is not None:
            return found
        if len(self._numbers) >= MAX_KEYS:
            key = Key(OTHER, 0, OTHER if error else "")
            if key in self._numbers:
                return self._numbers[key]
        self._numbers[key] = len(self._numbers)
        self.fresh.append(key)
        return self._numbers[key]

    def take_fresh(self) -> list[Key]:
        fresh, self.fresh = self.fresh, []
        return fresh

    def _label(self, pair: str) -> str:
        label = pair.partition("=")[0]
        values = self._labels.setdefault(label, Names(MAX_LABEL_VALUES))
        return pair if values.admit(pair) == pair else f"{label}={OTHER}"


def error_text(error: BaseException | str, code: int = 0) -> str:
    """Name an error so that equal causes have equal names: no addresses, ports, ids or urls of one occurrence."""
    if isinstance(error, str):
        return fold(error) or "failed"
    name = type(error).__name__
    if name in ("HTTPError", "LocustBadStatusCode") and code:
        return f"status {code}"
    if isinstance(error, OSError) and error.strerror:
        return fold(f"{name}: {error.strerror}")
    text = str(error)
    if name == "CatchResponseError":  # the locustfile's own words
        return fold(text) or name
    return fold(f"{name}: {text}" if text else name)


def fold(text: str) -> str:
    """Put a text on one short line with its accidental numbers as #."""
    line = " ".join(text[: MAX_TEXT * 4].split())
    return _NUMBER.sub("#", _ADDRESS.sub("#", line)).replace("#.#", "#")[:MAX_TEXT]
