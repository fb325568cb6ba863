"""The `indicators` section: measures beside those of the load, each with one source and one unit."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from runner.language.convert import read_struct
from runner.language.grammar import KIND_OF_TERM
from runner.language.moments import check_name
from runner.language.shapes import IndicatorShape
from runner.language.written import Written
from runner.scenario import Indicator

_SOURCES = ("prometheus", "bad", "histogram", "http", "command", "process")
_UNIT_OF_MEASURE = {"rss": "bytes", "cpu": "share", "threads": "count", "fds": "count"}
KIND_OF_UNIT = {"seconds": "duration", "bytes": "size", "share": "share", "count": "count"}


def read_indicators(written: Written | None) -> tuple[Indicator, ...]:
    """Read every indicator of a file."""
    if written is None:
        return ()
    return tuple(_indicator(entry, name) for name, entry in written.entries().items())


def _indicator(written: Written, name: str) -> Indicator:
    check_name(written, name, "an indicator")
    if name in KIND_OF_TERM or name in ("no", "before") or (name[0] == "p" and name[1:].isdigit()):
        written.refuse_key(f"{name} is a word of the language already; choose another name")
    shape, entries = read_struct(written, IndicatorShape), written.entries()
    source = _source(written, entries)
    _check_parts(written, shape, source)
    if shape.every < 0.1:
        entries["every"].refuse("is shorter than 100ms; measure less often")
    return Indicator(
        name=name,
        source=cast("Any", "prometheus" if source in ("bad", "histogram") else source),
        query=shape.json if source == "http" else shape.prometheus,
        bad=shape.bad,
        total=shape.total,
        histogram=shape.histogram,
        url=_url(entries["http"], shape.http) if source == "http" else "",
        argv=shape.command,
        target=shape.process,
        measure=shape.measure,
        every=shape.every,
        unit=_unit(entries, shape, source),
        place=written.key.place if written.key else written.place,
    )


def _source(written: Written, entries: dict[str, Written]) -> str:
    given = [source for source in _SOURCES if source in entries]
    if not given and "total" in entries:
        written.refuse("has `total` without `bad`; a ratio needs both")
    if not given:
        written.refuse(f"says no source; write one of {', '.join(_SOURCES)}")
    if len(given) > 1:
        written.refuse(f"has two sources, {given[0]} and {given[1]}; write two indicators")
    return given[0]


def _check_parts(written: Written, shape: IndicatorShape, source: str) -> None:
    parts = (
        ("json", "http", shape.json),
        ("measure", "process", shape.measure),
        ("total", "bad", shape.total),
    )
    for key, owner, value in parts:
        if value and source != owner:
            written.entries()[key].refuse(f"belongs to `{owner}`, not to `{source}`")
    if source == "bad" and not shape.total:
        written.refuse("has `bad` without `total`; a ratio needs both")
    if source == "process" and not shape.measure:
        written.refuse("lacks `measure`; one of rss, cpu, threads, fds")
    if source == "command" and not shape.command:
        written.entries()["command"].refuse("is empty; write [program, argument]")


def _url(written: Written, url: str) -> str:
    check_url(written, url)
    return url


def check_url(written: Written, url: str) -> None:
    """Refuse what is no http url with a host."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        good = False
    if good and "@" in parts.netloc:
        written.refuse(
            "carries a user or password, which would be recorded; write token: {env: NAME} in a connection"
        )
    if not good or any(sign.isspace() for sign in url):
        written.refuse(f'"{url}" is no url; write http://host:port/path')


def _unit(entries: dict[str, Written], shape: IndicatorShape, source: str) -> str:
    fixed = _UNIT_OF_MEASURE.get(shape.measure) or ("share" if source == "bad" else "")
    if fixed and shape.unit and shape.unit != fixed:
        entries["unit"].refuse(f"is always {fixed} here; remove the key")
    return fixed or shape.unit or ("seconds" if source == "histogram" else "count")
