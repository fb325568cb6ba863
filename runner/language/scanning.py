"""Why a text is no YAML: the line where it stops being it, and what helps there."""

from __future__ import annotations

import re

import yaml

from runner.errors import Mistake, Place

QUOTE = "quote the whole line: '- \"…\"'"
DEEPEST = 50  # collections within collections
TOO_DEEP = f"nested more than {DEEPEST} deep"

_LINE_ENDS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_ASSERTING = re.compile(r"(steady_state|expect|halt)\s*:")


def split_lines(text: str) -> list[str]:
    """Split as YAML counts lines."""
    return _LINE_ENDS.split(text)


def place_of(text: str, index: int, file: str) -> Place:
    """The place of the character *index* of *text*."""
    before = split_lines(text[:index])
    return Place(file, len(before), len(before[-1]) + 1)


def explain(error: yaml.YAMLError, text: str, file: str) -> Mistake:
    """Say in one line where the file stops being YAML, and what helps there."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        odd = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
        place = place_of(text, odd.start(), file) if odd else Place(file, 1)
        return Mistake(place, "", "a control character; remove it (inside double quotes: \\x1b)")
    mark = error.problem_mark
    if "nesting depth" in (error.problem or ""):  # libyaml 0.2.6 has a limit of its own, and looks far ahead
        return Mistake(Place(file, mark.line + 1, mark.column + 1), "", TOO_DEEP)
    within_line = (
        "flow",
        "quoted",
    )  # the error shows at the end of what was never closed; its start is the place
    if error.context_mark is not None and any(word in (error.context or "") for word in within_line):
        mark = error.context_mark
    lines = split_lines(text)
    number = min(mark.line, len(lines) - 1)
    what = ", ".join(part for part in (error.context, error.problem) if part)
    hint = (
        f"in an assertion, {QUOTE}"
        if _in_assertions(lines, number)
        else "quote the value if the sign belongs to it"
    )
    return Mistake(Place(file, number + 1, mark.column + 1), "", f"not YAML: {what}; {hint}")


def _in_assertions(lines: list[str], number: int) -> bool:
    for line in reversed(lines[: number + 1]):
        if line[:1] not in ("", " ", "#", "-"):
            return _ASSERTING.match(line) is not None
    return False
