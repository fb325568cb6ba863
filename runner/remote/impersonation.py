"""Whom the user of a kubeconfig acts as: the headers that say it, named and escaped as client-go does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

_MORE = ("as-uid", "as-groups", "as-user-extra")
_HEADER = "!#$&'*+-.^_`|~"  # what the name of a header may hold beside letters and digits, but for the % that escapes


def headers_of(who: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """List the headers, none where it acts as itself; a name may come several times. Raises ValueError."""
    name = who.get("as") or ""
    if not name:
        if given := [key for key in _MORE if who.get(key)]:
            raise ValueError(f"its user has {given[0]} and no `as`: nobody is impersonated")
        return ()
    return tuple((header, _value(value)) for header, value in _said(name, who))


def _said(name: object, who: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "Impersonate-User", name
    if who.get("as-uid"):
        yield "Impersonate-Uid", who["as-uid"]
    for group in _several(who.get("as-groups"), "as-groups"):
        yield "Impersonate-Group", group
    extra = who.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise ValueError("as-user-extra of its user has no keys")  # noqa: TRY004 - a kubeconfig's mistake is a ValueError
    for key, values in extra.items():
        for value in _several(values, f"as-user-extra.{key}"):
            yield f"Impersonate-Extra-{quote(str(key), safe=_HEADER)}", value


def _several(values: Any, key: str) -> list[object]:
    found = values or []
    if not isinstance(found, list):
        raise ValueError(f"{key} of its user is no list")  # noqa: TRY004 - as above
    return found


def _value(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r}, whom its user impersonates, is no text of one line")
    return value
