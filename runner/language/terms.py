"""Terms and their selectors: `p95{GET /item}`, `mean of cpu{instance=shop.0}`, `burn_rate{checkout}`."""

from __future__ import annotations

import re
from decimal import Decimal

from runner.assertions import Selector, Term
from runner.errors import Place
from runner.language.text import Text

KIND_OF_TERM = {
    "quantile": "duration", "mean": "duration", "max": "duration", "recovery": "duration",
    "error_rate": "share", "success_rate": "share", "rps": "rate", "offered_rps": "rate",
    "in_flight": "count", "users": "count", "requests": "count", "errors": "count", "cost": "money",
}  # fmt: skip
KIND_OF_OBJECTIVE = {"budget": "share", "burn_rate": "count"}  # the objective's name stands in braces
OF_OWN = frozenset({"quantile", "mean", "trend"})  # `… of NAME`
RESERVED_TERMS = frozenset({*KIND_OF_TERM, *KIND_OF_OBJECTIVE, *OF_OWN, "no", "before"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_QUANTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)(?![A-Za-z0-9_-])")
_OF = re.compile(r"of\s+")
_KEYED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=(?!=)\s*")


def parse_term(text: str, place: Place, path: str) -> Term:
    """Parse a term that stands alone. Raises Mistake."""
    reader = Text(text, place, path)
    term = read_term(reader)
    if reader.rest():
        raise reader.refuse(f'"{reader.rest()}" is left over; write a term such as p95{{GET /item}}')
    return term


def parse_selector(text: str, place: Place, path: str) -> Selector:
    """Parse a selector without its braces. Raises Mistake."""
    return _selector(Text(text, place, path), text)


def read_term(reader: Text) -> Term:
    """Read the term that comes next. Raises Mistake."""
    reader.skip()
    start = reader.position
    quantile = reader.take(_QUANTILE)
    if quantile:
        share = float(
            Decimal(quantile[1]) / 100
        )  # 99.9 / 100 in floats is a hair above 0.999: another order statistic
        if not 0 < share < 1:
            raise reader.refuse(f"{quantile[0]} is no quantile; p50, p95 or p99.9 are")
        name = "quantile"
    else:
        share = None
        found = reader.take(NAME)
        if not found:
            raise reader.refuse("begins with no indicator; write one such as p95, error_rate or rps")
        name = found[0]
    of = reader.take(NAME) if name in OF_OWN and reader.take(_OF) else None
    if name == "trend" and not of:
        raise reader.refuse("trend needs an indicator; write trend of NAME")
    inside = reader.braces()
    if name in KIND_OF_OBJECTIVE:
        if not inside or not NAME.fullmatch(inside):
            raise reader.refuse(
                f"{name} needs the name of an objective of the environment; write {name}{{NAME}}"
            )
        return Term(name=name, of=inside, text=f"{name}{{{inside}}}")
    selector = _selector(reader, inside)
    written = " ".join(reader.text[start : reader.position].split())
    return Term(name=name, quantile=share, of=of[0] if of else "", selector=selector, text=written)


def _selector(reader: Text, inside: str | None) -> Selector:
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


def _made_selector(reader: Text, fields: dict[str, str]) -> Selector:
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
