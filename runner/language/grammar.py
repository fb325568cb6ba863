"""The one grammar of assertions: `TERM OP BOUND [over DUR] [for DUR]`, and its two sisters."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, cast, get_args

from runner import units
from runner.assertions import Assertion, Bound, Operator, Selector, Term, When
from runner.errors import Mistake, Place
from runner.language.substitution import nearest
from runner.language.written import one_line

KIND_OF_TERM = {
    "quantile": "duration", "mean": "duration", "max": "duration", "recovery": "duration",
    "error_rate": "share", "success_rate": "share", "rps": "rate", "offered_rps": "rate",
    "in_flight": "count", "users": "count", "requests": "count", "errors": "count",
}  # fmt: skip
OPERATORS = get_args(Operator)

LONGEST = 1000  # characters of one assertion

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_QUANTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)(?![A-Za-z0-9_-])")
_OF = re.compile(r"of\s+")
_OPERATOR = re.compile(r"[<>=!≤≥]+")
_WITHIN = re.compile(r"within\s+(.+?)\s+of\s+before", re.DOTALL)
_FACTOR = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*[x\u00d7](?![A-Za-z0-9])\s*")
_VALUE = re.compile(r"[^\s(][^(]*?(?=\s+(?:over|for)\b|\s*\(|\s*$)", re.DOTALL)
_CLAUSE = re.compile(
    r"(over|for)\s+(\S+(?:\s+(?:d|h|m|s|ms|us|µs)(?=\s|$))?)|\(\s*(confidence)\s+([^)]*)\)", re.DOTALL
)
_KEYED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)\s*")
_SLIPS = {"=": "==", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">=", "<>": "!=", "===": "=="}


class _Text:
    """An assertion and how far it is read."""

    def __init__(self, text: str, place: Place, path: str) -> None:
        self.text, self.place, self.path, self.position = text, place, path, 0

    def refuse(self, what: str) -> Mistake:
        return Mistake(self.place, self.path, one_line(f'"{self.text}": {what}'))

    def skip(self) -> None:
        self.position = cast("re.Match[str]", _SPACE.match(self.text, self.position)).end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.skip()
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def rest(self) -> str:
        return self.text[self.position :].strip()

    def quantity(self, kind: str, text: str) -> float:
        try:
            return units.parse(kind, text, likely="ms" if kind == "duration" and "." not in text else "")
        except units.QuantityError as error:
            raise self.refuse(str(error)) from None


def parse_assertion(text: str, when_key: str, section: str, place: Place) -> Assertion:
    """Parse one line of `steady_state`, `expect` or `halt`. Raises Mistake.

    *when_key* is the key it stands under in `expect`, else empty. *section* names the path of keys for messages.
    """
    reader = _Text(text, place, f"{section}.{when_key}" if when_key else section)
    when = parse_when(when_key, place, section) if when_key else When()
    if len(text) > LONGEST:
        raise Mistake(place, reader.path, f"is longer than {LONGEST} characters; write several assertions")
    parts = _no_data(reader) if re.match(r"no\s+data\b", text.strip()) else _comparison(reader)
    if reader.rest():
        raise reader.refuse(f'"{reader.rest()}" is left over; the form is TERM OP BOUND [over DUR] [for DUR]')
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


def _comparison(reader: _Text) -> dict[str, Any]:
    term = _term(reader)
    reader.skip()
    if reader.text.startswith("within", reader.position):
        return {"term": term, "within": _within(reader)} | _clauses(reader)
    parts: dict[str, Any] = {"term": term, "op": _operator(reader), "bound": _bound(reader, term)}
    return parts | _clauses(reader)


def _within(reader: _Text) -> float:
    found = reader.take(_WITHIN)
    if not found:
        raise reader.refuse("write TERM within 10% of before")
    return reader.quantity("share", found[1])


def _no_data(reader: _Text) -> dict[str, Any]:
    reader.take(re.compile(r"no\s+data\b"))
    name = _braces(reader)
    if name and not _NAME.fullmatch(name):
        raise reader.refuse(f'"{name}" is no name of an indicator')
    clauses = _clauses(reader)
    lasting = clauses.pop("lasting", None)
    if lasting is None or clauses:
        raise reader.refuse("write no data for 5s, or no data{INDICATOR} for 5s")
    return {"term": Term(name=name or "", text="no data"), "no_data": lasting}


def _term(reader: _Text) -> Term:
    reader.skip()
    start = reader.position
    quantile = reader.take(_QUANTILE)
    if quantile:
        share = float(
            Decimal(quantile[1]) / 100
        )  # 99.9 / 100 in floats is a hair above 0.999: another order statistic
        if not 0 < share < 1:
            raise reader.refuse(f"{quantile[0]} is no quantile; p50, p95 or p99.9 are")
        of = reader.take(_NAME) if reader.take(_OF) else None
        name = "quantile"
    else:
        share, of = None, None
        found = reader.take(_NAME)
        if not found:
            raise reader.refuse("begins with no indicator; write one such as p95, error_rate or rps")
        name = found[0]
    selector = _selector(reader, _braces(reader))
    written = " ".join(reader.text[start : reader.position].split())
    return Term(name=name, quantile=share, of=of[0] if of else "", selector=selector, text=written)


def _braces(reader: _Text) -> str | None:
    """The text inside balanced braces, if they come next."""
    reader.skip()
    if not reader.text.startswith("{", reader.position):
        return None
    depth = 0
    for position in range(reader.position, len(reader.text)):
        depth += {"{": 1, "}": -1}.get(reader.text[position], 0)
        if depth == 0:
            inside = reader.text[reader.position + 1 : position].strip()
            reader.position = position + 1
            if not inside:
                raise reader.refuse("the braces are empty; remove them, or name a request")
            return inside
    raise reader.refuse("a brace { is never closed; quote the whole line if YAML cut it")


def _selector(reader: _Text, inside: str | None) -> Selector:
    if inside is None:
        return Selector()
    fields: dict[str, str] = {}
    last = ""
    for part in _parts(inside):
        keyed = _KEYED.match(part.strip())
        if keyed:
            key, value = keyed[1], part.strip()[keyed.end() :].strip()
        elif last == "request":  # a comma inside a request's name
            key, value = "", ""
            fields["request"] += f",{part}"
        else:
            key, value = "request", part.strip()
        if key:
            if key in fields:
                raise reader.refuse(f"{key}= is given twice")
            if not value:
                raise reader.refuse(f"{key}= is empty")
            fields[key] = value
            last = key
    return _made_selector(reader, fields)


def _made_selector(reader: _Text, fields: dict[str, str]) -> Selector:
    request = fields.pop("request", "").strip()
    each = re.match(r"each(?:\s+|$)", request)
    if each:
        request = request[each.end() :]
        if not request:
            raise reader.refuse("each needs a pattern; write {each *} or {each GET *}")
    known = {key: fields.pop(key) for key in ("load", "error", "code", "instance") if key in fields}
    return Selector(request=request, each=bool(each), labels=fields, **known)


def _parts(text: str) -> list[str]:
    """Split at commas that stand in no braces."""
    parts, depth, start = [], 0, 0
    for position, sign in enumerate(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _operator(reader: _Text) -> str:
    found = reader.take(_OPERATOR)
    if not found:
        word = (reader.rest().split() or ["nothing"])[0]
        raise reader.refuse(f"{word} stands where one of {' '.join(OPERATORS)} belongs")
    if found[0] not in OPERATORS:
        hint = _SLIPS.get(found[0])
        raise reader.refuse(f"{found[0]} is no comparison; write {hint or 'one of ' + ' '.join(OPERATORS)}")
    return found[0]


def _bound(reader: _Text, term: Term) -> Bound:
    reader.skip()
    start = reader.position
    factor = reader.take(_FACTOR)
    if factor:
        other = None if reader.take(re.compile(r"before(?![A-Za-z0-9_{-])")) else _term(reader)
        text = " ".join(reader.text[start : reader.position].split())
        return Bound(factor=float(factor[1]), term=other, text=text)
    found = reader.take(_VALUE)
    if not found:
        raise reader.refuse("the bound is missing; write a value with its unit, or 1.2x before")
    text = found[0].strip()
    if _NAME.match(text):
        raise reader.refuse(f"a bound relative to {text} needs a factor; write 1x {text}")
    kind = KIND_OF_TERM.get(term.name)
    if kind is None or term.of:  # an indicator of the scenario's own: its unit is checked with the references
        kind = _kind_of(reader, text)
    return Bound(value=reader.quantity(kind, text), text=text)


def _kind_of(reader: _Text, text: str) -> str:
    try:
        return units.kind_of(text)
    except units.QuantityError as error:
        raise reader.refuse(str(error)) from None


def _clauses(reader: _Text) -> dict[str, float]:
    found: dict[str, float] = {}
    names = {"over": "over", "for": "lasting"}
    while clause := reader.take(_CLAUSE):
        if clause[3]:
            raise reader.refuse(
                f"`({clause[3]} {clause[4]})` is of a later version; remove it: bounds are points here"
            )
        name = names[clause[1]]
        if name in found:
            raise reader.refuse(f"{clause[1]} is given twice")
        found[name] = reader.quantity("duration", (clause[2] or "").strip())
        if found[name] <= 0:
            raise reader.refuse(f"{clause[1]} is zero")
    return found
