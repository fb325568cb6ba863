"""The promises that an environment has made beyond any one run, and the indicators that a scenario reads of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runner.assertions import Assertion, Term
from runner.language.convert import read_struct
from runner.language.moments import check_name
from runner.language.shapes import ObjectiveShape
from runner.language.terms import RESERVED_TERMS
from runner.language.written import Written
from runner.scenario import Environment, Indicator, Objective

_NO_COUNTERS = re.compile(
    r"\b(rate|irate|increase|delta|idelta|sum|avg|min|max|count)\s*(?:\(|by\b|without\b)"
)


def read_objectives(written: Written | None, *, connected: bool) -> dict[str, Objective]:
    """Read every objective of an environment. *connected*: it names a Prometheus to ask."""
    if written is None:
        return {}
    entries = written.entries()
    if entries and not connected:
        written.refuse_key("need a connection: write connections: {prometheus: {url: …}} in this environment")
    return {name: _objective(entry, name) for name, entry in entries.items()}


def indicators_of_objectives(
    environment: Environment, assertions: Iterable[Assertion]
) -> tuple[Indicator, ...]:
    """The objectives that *assertions* name, as indicators; nobody asks for the others."""
    named = {name for assertion in assertions for name in _names(assertion)}
    return tuple(
        Indicator(
            name=name,
            source="prometheus",
            bad=one.bad,
            total=one.total,
            counters=True,
            every=one.every,
            unit="share",
            place=one.place,
        )
        for name, one in environment.objectives.items()
        if name in named
    )


def _names(assertion: Assertion) -> list[str]:
    terms: list[Term] = [assertion.term, *([assertion.bound.term] if assertion.bound.term else [])]
    return [term.of or term.name for term in terms]


def _objective(written: Written, name: str) -> Objective:
    check_name(written, name, "an objective")
    if name in RESERVED_TERMS:
        written.refuse_key(f"{name} is a word of the language already; choose another name")
    shape, entries = read_struct(written, ObjectiveShape), written.entries()
    if not 0 < shape.target < 1:
        entries["target"].refuse(
            "leaves no budget to burn, or is none; write more than 0% and less than 100%"
        )
    if shape.over <= 0:
        entries["over"].refuse("is no time; write over: 30d")
    if shape.every < 0.1:
        entries["every"].refuse("is shorter than 100ms; measure less often")
    for key in ("bad", "total"):
        found = _NO_COUNTERS.search(getattr(shape, key))
        if found:
            entries[key].refuse(
                f"wants the counters themselves, without {found[1]}(): their growth is added up, series by series,"
                " so that one that starts anew is noticed"
            )
    return Objective(
        target=shape.target,
        over=shape.over,
        bad=shape.bad,
        total=shape.total,
        every=shape.every,
        place=written.key.place if written.key else written.place,
    )
