"""The one grammar of assertions: `TERM OP BOUND [over DUR] [for DUR] [(confidence PCT)]`, and its two sisters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

from runner import units
from runner.assertions import WHOLE_RUN, Assertion, Bound, Operator, Term, When
from runner.errors import Mistake, Place
from runner.language.confidence import parse_confidence
from runner.language.substitution import nearest
from runner.language.terms import KIND_OF_OBJECTIVE, KIND_OF_TERM, NAME, read_term
from runner.language.text import Text

_T = TypeVar("_T")
OPERATORS = get_args(Operator)

LONGEST = 1000  # characters of one assertion
_FORM = "TERM OP BOUND [over DUR] [for DUR] [(confidence PCT)]"

_OPERATOR = re.compile(r"[<>=!≤≥]+")
_WITHIN = re.compile(r"within\s+(.+?)\s+of\s+before", re.DOTALL)
_FACTOR = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*[x\u00d7](?![A-Za-z0-9])\s*")
_VALUE = re.compile(r"[^\s(][^(]*?(?=\s+(?:over|for)\b|\s*\(|\s*$)", re.DOTALL)
_CLAUSE = re.compile(
    r"(over|for)\s+(\S+(?:\s+(?:d|h|m|s|ms|us|µs)(?=\s|$))?)|\(\s*(confidence)\s+([^)]*)\)", re.DOTALL
)
_SLIPS = {"=": "==", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">=", "<>": "!=", "===": "=="}


def parse_assertion(text: str, when_key: str, section: str, place: Place) -> Assertion:
    """Parse one line of `steady_state`, `expect` or `halt`. Raises Mistake.

    *when_key* is the key it stands under in `expect`, else empty. *section* names the path of keys for messages.
    """
    reader = Text(text, place, f"{section}.{when_key}" if when_key else section)
    when = parse_when(when_key, place, section) if when_key else When()
    if len(text) > LONGEST:
        raise Mistake(place, reader.path, f"is longer than {LONGEST} characters; write several assertions")
    parts = _no_data(reader) if re.match(r"no\s+data\b", text.strip()) else _comparison(reader)
    if reader.rest():
        raise reader.refuse(f'"{reader.rest()}" is left over; the form is {_FORM}')
    return Assertion(text=" ".join(text.split()), when=when, place=place, **parts)


def parse_when(key: str, place: Place, path: str) -> When:
    """Parse a key of `expect`. Raises Mistake."""
    words = key.split()
    match words:
        case ["always" | "before" | "after" as kind]:
            return When(kind=cast("Any", kind), text=key)
        case ["during", "faults"]:
            return When(kind="faults", text=key)
        case ["during", name]:
            return When(kind="during", name=name, text=key)
        case ["after", name]:
            return When(kind="after_name", name=name, text=key)
    first = words[0] if words else ""
    hint = nearest(first, ("always", "before", "after", "during"))
    raise Mistake(
        place, f"{path}.{key}", f"is no time; write always, before, after, during NAME or after NAME{hint}"
    )


def _comparison(reader: Text) -> dict[str, Any]:
    term = read_term(reader)
    reader.skip()
    if reader.text.startswith("within", reader.position):
        return {"term": term, "within": _within(reader)} | _clauses(reader)
    parts: dict[str, Any] = {"term": term, "op": _operator(reader), "bound": _bound(reader, term)}
    return parts | _clauses(reader)


def _within(reader: Text) -> float:
    found = reader.take(_WITHIN)
    if not found:
        raise reader.refuse("write TERM within 10% of before")
    return reader.quantity("share", found[1])


def _no_data(reader: Text) -> dict[str, Any]:
    reader.take(re.compile(r"no\s+data\b"))
    name = reader.braces()
    if name and not NAME.fullmatch(name):
        raise reader.refuse(f'"{name}" is no name of an indicator')
    clauses = _clauses(reader)
    lasting = clauses.pop("lasting", None)
    if lasting is None or clauses:
        raise reader.refuse("write no data for 5s, or no data{INDICATOR} for 5s")
    return {"term": Term(name=name or "", text="no data"), "no_data": lasting}


def _operator(reader: Text) -> str:
    found = reader.take(_OPERATOR)
    if not found:
        word = (reader.rest().split() or ["nothing"])[0]
        raise reader.refuse(f"{word} stands where one of {' '.join(OPERATORS)} belongs")
    if found[0] not in OPERATORS:
        hint = _SLIPS.get(found[0])
        raise reader.refuse(f"{found[0]} is no comparison; write {hint or 'one of ' + ' '.join(OPERATORS)}")
    return found[0]


def _bound(reader: Text, term: Term) -> Bound:
    reader.skip()
    start = reader.position
    factor = reader.take(_FACTOR)
    if factor:
        other = None if reader.take(re.compile(r"before(?![A-Za-z0-9_{-])")) else read_term(reader)
        text = " ".join(reader.text[start : reader.position].split())
        return Bound(factor=float(factor[1]), term=other, text=text)
    found = reader.take(_VALUE)
    if not found:
        raise reader.refuse("the bound is missing; write a value with its unit, or 1.2x before")
    text = found[0].strip()
    if NAME.match(text):
        raise reader.refuse(f"a bound relative to {text} needs a factor; write 1x {text}")
    kind = KIND_OF_OBJECTIVE.get(term.name) or KIND_OF_TERM.get(term.name)
    own = bool(term.of) and term.name not in KIND_OF_OBJECTIVE  # its unit is checked with the references
    if kind is None or own:
        kind = _read(reader, units.kind_of, text)
    latency = kind == "duration" and term.name != "recovery" and "." not in text
    return Bound(value=reader.quantity(kind, text, likely="ms" if latency else ""), text=text)


def _read(reader: Text, how: Callable[[str], _T], text: str, what: str = "") -> _T:
    try:
        return how(text)
    except units.QuantityError as error:
        raise reader.refuse(f"{what}{error}") from None


def _clauses(reader: Text) -> dict[str, float]:
    found: dict[str, float] = {}
    names = {"over": "over", "for": "lasting"}
    while clause := reader.take(_CLAUSE):
        word = clause[1] or clause[3]
        name = names.get(word, word)
        if name in found:
            raise reader.refuse(f"{word} is given twice")
        if clause[3]:
            found[name] = _read(reader, parse_confidence, clause[4].strip(), "confidence: ")
            continue
        long = (clause[2] or "").strip()
        found[name] = WHOLE_RUN if (word, long) == ("over", "run") else reader.quantity("duration", long)
        if found[name] <= 0:
            raise reader.refuse(f"{word} is zero")
    return found
