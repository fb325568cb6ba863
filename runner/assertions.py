"""An assertion as a value: what is compared with what, where, over which windows."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.errors import Place

Operator = Literal["<", "<=", ">", ">=", "==", "!="]
WHOLE_RUN = 1e9  # seconds: `over run`; JSON knows no infinity


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests (or instances) a term looks at; empty fields select all.

    *request* is a Locust request key `METHOD name` (`GET /item`) and may hold `*`, which globs and merges;
    text given without a method matches the name alone. *each* judges every matching name by itself.
    """

    request: str = ""
    each: bool = False
    load: str = ""
    error: str = ""
    code: str = ""
    instance: str = ""
    labels: dict[str, str] = {}


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A measured quantity: an indicator of the load, one of the scenario's own, or `recovery`.

    name: `quantile` (with *quantile* in 0..1), mean, max, error_rate, success_rate, rps, offered_rps, in_flight,
    users, requests, errors, recovery; else the name of an indicator. *of* names a distribution indicator
    whose quantile is meant.
    """

    name: str
    quantile: float | None = None
    of: str = ""
    selector: Selector = Selector()
    text: str = ""  # as written


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """What the term is compared with: a *value* in base units (seconds, share, per second, bytes, count),
    or *factor* x before (term is None), or *factor* x another term.
    """

    value: float | None = None
    factor: float | None = None
    term: Term | None = None
    text: str = ""


class When(msgspec.Struct, frozen=True, kw_only=True):
    """The window a finding looks at. kind `faults`: during any fault; `during` and `after` with *name*."""

    kind: Literal["always", "before", "after", "faults", "during", "after_name"] = "always"
    name: str = ""
    text: str = ""  # as written


class Assertion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `steady_state`, `expect` or `halt`, parsed.

    *within*: two-sided share of the value before (then op and bound are unused). *over*: every window that long (WHOLE_RUN: since halts are judged).
    *lasting* (`for`): true without a break that long. *no_data*: trips after that many seconds without data
    (then term alone counts; term.name "" means any). *confidence*: None as the scenario says, 0 by points alone.
    """

    text: str
    term: Term
    op: Operator = "<"
    bound: Bound = Bound()
    within: float | None = None
    over: float | None = None
    lasting: float | None = None
    no_data: float | None = None
    confidence: float | None = None
    when: When = When()
    place: Place = Place(file="", line=0)
