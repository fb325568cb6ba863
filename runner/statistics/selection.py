"""Which requests a term looks at: its selector against a request's key."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import msgspec

from runner.assertions import Selector, Term
from runner.load.frames import Key

OF_SHARES = frozenset({"error_rate", "success_rate"})
OF_LOADS = frozenset(
    {
        "quantile", "mean", "max", "error_rate", "success_rate", "rps", "offered_rps", "in_flight", "users",
        "requests", "errors", "cost",
    }
)  # fmt: skip
GAUGES = frozenset({"in_flight", "users"})
COUNTED = frozenset({"rps", "offered_rps", "requests", "errors"})


def is_of_load(term: Term) -> bool:
    """Whether *term* is measured at the load, and not by an indicator of the scenario's own."""
    return term.name in OF_LOADS and not term.of


def in_population(term: Term, load: str, key: Key) -> bool:
    """Whether a request counts at all. For a share of errors, `code` and `error` choose errors, not requests."""
    selector = term.selector
    if not _asked(selector, load, key.request):
        return False
    pairs = dict(label.partition("=")[::2] for label in key.labels)
    if any(not _globs(wanted, pairs.get(name, "")) for name, wanted in selector.labels.items()):
        return False
    return term.name in OF_SHARES or _outcome_matches(selector, key)


def is_bad(term: Term, key: Key) -> bool:
    """Whether a request of the population counts as an error."""
    if not key.error:
        return False
    return term.name not in OF_SHARES or _outcome_matches(term.selector, key)


def waiting_in_population(term: Term, load: str, request: str) -> bool:
    """Whether a request without an answer counts; what only an answer tells cannot select it."""
    selector = term.selector
    chooses_answers = bool(selector.code or selector.error) and term.name not in OF_SHARES
    return not chooses_answers and not selector.labels and _asked(selector, load, request)


def request_names(selector: Selector, requests: Iterable[str]) -> list[str]:
    """The distinct requests that `each GLOB` stands for, sorted."""
    return sorted({request for request in requests if _request_matches(selector.request, request)})


def narrowed(term: Term, request: str) -> Term:
    """The same term for exactly one request of `each`."""
    selector = msgspec.structs.replace(term.selector, request=_Exact(request), each=False)
    return msgspec.structs.replace(term, selector=selector)


class _Exact(str):
    """A request's very name: a `*` in it is a star."""

    __slots__ = ()


def _asked(selector: Selector, load: str, request: str) -> bool:
    if selector.instance or (selector.load and not _globs(selector.load, load)):
        return False
    return _request_matches(selector.request, request)


def _request_matches(wanted: str, request: str) -> bool:
    if not wanted:
        return True
    if isinstance(wanted, _Exact):
        return str(wanted) == request
    return _globs(wanted, request) or _globs(wanted, request.partition(" ")[2])


def _outcome_matches(selector: Selector, key: Key) -> bool:
    if selector.error and not (key.error and _globs(selector.error, key.error)):
        return False
    return not selector.code or _globs(selector.code.lower().replace("x", "?"), str(key.code))


def _globs(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` stands for anything; all else is itself (a `?` only in codes, where it stands for a digit)."""
    parts = [
        re.escape(part).replace(r"\?", r"\d") if _is_code(pattern) else re.escape(part)
        for part in pattern.split("*")
    ]
    return re.compile(".*".join(parts), re.DOTALL)


def _is_code(pattern: str) -> bool:
    return len(pattern) == 3 and all(character in "0123456789?*" for character in pattern)
