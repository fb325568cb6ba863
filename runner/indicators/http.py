"""Indicators that a URL tells as JSON: a number at a dotted path, or a ratio of two."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runner.errors import ProbeFailed
from runner.indicators.fetch import Getter, origin
from runner.indicators.probe import Reading, counted, finite
from runner.scenario import Indicator

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class HttpProbe:
    """Gets a URL and picks numbers out of its JSON."""

    def __init__(self, indicator: Indicator) -> None:
        self._indicator = indicator
        self._getter = Getter(timeout=max(1.0, indicator.every))

    def read(self) -> list[Reading]:
        """Read the number at the path, or both of a ratio. Raises ProbeFailed."""
        asked = self._indicator
        status, body, _ = self._getter.get(asked.url)
        if status >= 400:
            raise ProbeFailed(f"{origin(asked.url)} answered {status}")
        try:
            document = msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise ProbeFailed(f"{origin(asked.url)} answered what is no JSON: {body[:40]!r}") from None
        if asked.total:
            part = at_path(document, asked.valid or asked.bad)
            return [counted(part, at_path(document, asked.total), counts="valid" if asked.valid else "bad")]
        return [Reading(value=at_path(document, asked.query))]

    def close(self) -> None:
        """Let go of the connection."""
        self._getter.close()


def at_path(document: Any, path: str) -> float:
    """Return the number at `a.b[0].c`; an empty path is the document itself. Raises ProbeFailed."""
    found, seen = document, "the answer"
    for name, index in _STEP.findall(path):
        step = name or int(index)
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            raise ProbeFailed(f"{seen} has no {step!r} (path {path}); it is {_shape(found)}") from None
        seen = f"{seen if seen != 'the answer' else ''}{f'[{step}]' if index else f'.{step}'}".removeprefix(
            "."
        )
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ProbeFailed(f"{seen} is {_shape(found)}, a number is wanted")
    return finite(float(found), seen)


def _shape(found: Any) -> str:
    match found:
        case dict():
            return f"a map with {', '.join(list(found)[:5]) or 'nothing'}"
        case list():
            return f"a list of {len(found)}"
        case _:
            return repr(found)[:40]
