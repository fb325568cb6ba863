"""The sections `steady_state`, `expect` and `halt`: lists of assertions under their times."""

from __future__ import annotations

from runner.assertions import Assertion
from runner.errors import Mistake
from runner.language.confidence import parse_confidence
from runner.language.document import Scalar
from runner.language.grammar import parse_assertion, parse_when
from runner.language.substitution import SubstitutionError
from runner.language.written import Written
from runner.units import QuantityError

CONFIDENCE = 0.95  # of findings, where a scenario does not say


def read_assertions(written: Written | None) -> tuple[Assertion, ...]:
    """Read the list of `steady_state` or `halt`."""
    if written is None:
        return ()
    items = written.one_or_many()
    if not items:
        written.refuse("is empty; write assertions, or remove the key")
    return tuple(_assertion(item, "", item.path) for item in items)


def read_expectations(written: Written | None) -> tuple[Assertion, ...]:
    """Read `expect`: a list of `WHEN: assertion` or `WHEN: [assertions]`."""
    if written is None:
        return ()
    found: list[Assertion] = []
    for item in written.one_or_many():
        if not item.is_map:
            text = item.line().strip() or "…"
            item.refuse(f'says no time; write "always: {text}" or "after: {text}"')
        for key, entry in item.entries().items():
            found.extend(_under(key, entry, item.path))
    if not found:
        written.refuse("is empty; write assertions, or remove the key")
    return tuple(found)


def read_confidence(written: Written | None) -> float:
    """Read `confidence` of a scenario: a share, or 0 for `none`."""
    if written is None:
        return CONFIDENCE
    try:
        return parse_confidence(written.line().strip())
    except QuantityError as error:
        written.refuse(str(error))


def _under(key: str, entry: Written, path: str) -> list[Assertion]:
    place = entry.key.place if entry.key else entry.place
    try:
        when = entry.scope.fill(key)
    except SubstitutionError as error:
        raise Mistake(place, path, str(error)) from None
    parse_when(when, place, path)
    lines = entry.one_or_many()
    if not lines:
        entry.refuse("is empty; write an assertion, or remove the key")
    return [_assertion(line, when, path) for line in lines]


def _assertion(written: Written, when: str, section: str) -> Assertion:
    text = written.line()
    try:
        return parse_assertion(text, when, section, written.place)
    except Mistake as mistake:
        comment = written.node.comment if isinstance(written.node, Scalar) else ""
        if not comment:
            raise
        cut = f"{mistake.what} (YAML took {comment[:40]} for a comment; quote the whole line: '- \"…\"')"
        raise Mistake(mistake.place, mistake.path, cut) from None
