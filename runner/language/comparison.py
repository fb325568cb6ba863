"""The section `compare`: what the variant may cost its users, by how many pairs, in which windows."""

from __future__ import annotations

from collections.abc import Iterable

from runner import units
from runner.assertions import Assertion, Term, When
from runner.comparison import Arms, Compare, Margin
from runner.language.convert import read_struct
from runner.language.grammar import parse_when
from runner.language.indicators import KIND_OF_UNIT
from runner.language.price import read_price
from runner.language.shapes import ArmsShape, CompareShape
from runner.language.terms import KIND_OF_TERM, parse_selector, parse_term
from runner.language.written import Written
from runner.scenario import Indicator

FEWEST, MOST = 2, 500  # pairs
_BETTER_HIGH = frozenset({"rps", "success_rate"})
_NOT_COMPARED = frozenset({"recovery", "offered_rps", "users", "budget", "burn_rate"})


def read_compare(
    written: Written | None, indicators: Iterable[Indicator], *, has_faults: bool
) -> Compare | None:
    """Read the section; names in it are checked with the other references."""
    if written is None:
        return None
    shape, entries = read_struct(written, CompareShape), written.entries()
    if not FEWEST <= shape.pairs <= MOST:
        entries["pairs"].refuse(f"{shape.pairs} pairs are not possible; write {FEWEST} to {MOST}")
    if shape.segment is not None and not shape.segment > 0:
        entries["segment"].refuse("0s is no segment; write one of several seconds, or remove the key")
    units_of = {one.name: KIND_OF_UNIT[one.unit] for one in indicators}
    margins = tuple(_margin(entry, text, units_of) for text, entry in entries["margins"].entries().items())
    if not margins:
        entries["margins"].refuse("is empty; write what the variant may cost, such as {p95: 10%}")
    prices, currency = _prices(entries.get("prices"))
    return Compare(
        margins=margins,
        when=_when(entries.get("when"), has_faults=has_faults),
        pairs=shape.pairs,
        seed=shape.seed,
        prices=prices,
        currency=currency,
        arms=_arms(entries.get("arms")),
        segment=shape.segment,
    )


def assertions_of(compare: Compare) -> Iterable[tuple[str, Assertion]]:
    """Every term that the section names, with its path of keys, as something whose names can be checked."""
    for margin in compare.margins:
        yield (
            "compare.margins",
            Assertion(text=margin.term.text, term=margin.term, when=compare.when, place=margin.place),
        )
    if compare.arms is not None:
        for side, selector in (("baseline", compare.arms.baseline), ("variant", compare.arms.variant)):
            term = Term(name="requests", selector=selector, text=side)
            yield f"compare.arms.{side}", Assertion(text=side, term=term, place=compare.margins[0].place)


def _when(written: Written | None, *, has_faults: bool) -> When:
    if written is None:
        text = "during faults" if has_faults else "always"
        return When(kind="faults" if has_faults else "always", text=text)
    return parse_when(written.filled().strip(), written.place, "compare.when")


def _margin(written: Written, text: str, units_of: dict[str, str]) -> Margin:
    place = written.key.place if written.key else written.place
    term = parse_term(text, place, "compare.margins")
    if term.name in _NOT_COMPARED:
        written.refuse_key(f"{term.name} is nothing to compare two sides by; compare what users feel")
    if term.selector.each:
        written.refuse_key(
            "has an `each`; name the requests one by one, every margin is a promise of its own"
        )
    spelled = written.filled().strip()
    sign, body = (spelled[0], spelled[1:].strip()) if spelled[0] in "+-±\u2212" else ("", spelled)
    sign = sign.replace("\u2212", "-").replace("+", "")
    kind = _kind(term, body, units_of)
    relative = body.endswith("%") and kind != "share"
    amount = written.part("share" if relative else kind, body)
    if not 0 < amount < 1 and (relative or kind == "share"):
        written.refuse(f"{body} is no margin; write more than 0% and less than 100%")
    if amount <= 0:
        written.refuse(f"{body} is no margin: two measurements are never quite the same")
    _check_side(written, term, sign, body)
    return Margin(
        term=term,
        text=spelled,
        above=None if sign == "-" else amount,
        below=amount if sign in ("-", "±") else None,
        relative=relative,
        place=place,
    )


def _kind(term: Term, body: str, units_of: dict[str, str]) -> str:
    own = term.of or (term.name if term.name not in KIND_OF_TERM else "")
    if not own:
        return KIND_OF_TERM[term.name]
    if own in units_of:
        return units_of[own]
    try:
        return units.kind_of(body)  # no such indicator: that is said with the other references
    except units.QuantityError:
        return "count"


def _check_side(written: Written, term: Term, sign: str, body: str) -> None:
    if term.name in _BETTER_HIGH and not sign:
        written.refuse(f"{term.name} is better the higher; write -{body}: it may be so much lower")
    if sign == "-" and (term.name == "quantile" or term.name in KIND_OF_TERM.keys() - _BETTER_HIGH):
        written.refuse(f"{term.text} is better the lower; write {body}: it may be so much higher")


def _prices(written: Written | None) -> tuple[dict[str, float], str]:
    found: dict[str, float] = {}
    currency = ""
    for name, entry in (written.entries() if written else {}).items():
        price = read_price(entry)
        assert price is not None
        if currency and price.currency != currency:
            entry.refuse(f"is in {price.currency}, the other in {currency}; give both in one currency")
        currency = price.currency
        found[name] = price.value
    return found, currency


def _arms(written: Written | None) -> Arms | None:
    if written is None:
        return None
    shape, entries = read_struct(written, ArmsShape), written.entries()
    if shape.share is not None and not 0 < shape.share < 1:
        entries["share"].refuse("is no share of the requests; write more than 0% and less than 100%")
    baseline, variant = (
        parse_selector(getattr(shape, side), entries[side].place, f"compare.arms.{side}")
        for side in ("baseline", "variant")
    )
    for side, selector in (("baseline", baseline), ("variant", variant)):
        if selector.code or selector.error or selector.instance or selector.each:
            entries[side].refuse("select by load=, request= or a label: a side is known before it answers")
    if baseline == variant:
        entries["variant"].refuse("selects the same requests as the baseline")
    return Arms(baseline=baseline, variant=variant, share=shape.share)
