"""The `indicators` section: measures beside those of the load, each with one source and one unit."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from runner.language.convert import read_struct
from runner.language.moments import check_name
from runner.language.shapes import IndicatorShape
from runner.language.terms import RESERVED_TERMS
from runner.language.written import Written
from runner.scenario import Indicator

_SOURCES = ("prometheus", "histogram", "http", "command", "process")
_PARTS = ("bad", "valid")  # of a total: with http JSON paths, else PromQL
_UNIT_OF_MEASURE = {
    "rss": "bytes", "cpu": "share", "threads": "count", "fds": "count", "restarts": "count", "available": "share",
}  # fmt: skip
KIND_OF_UNIT = {"seconds": "duration", "bytes": "size", "share": "share", "count": "count"}


def read_indicators(written: Written | None) -> tuple[Indicator, ...]:
    """Read every indicator of a file."""
    if written is None:
        return ()
    return tuple(_indicator(entry, name) for name, entry in written.entries().items())


def _indicator(written: Written, name: str) -> Indicator:
    check_name(written, name, "an indicator")
    if name in RESERVED_TERMS or (name[0] == "p" and name[1:].isdigit()):
        written.refuse_key(f"{name} is a word of the language already; choose another name")
    shape, entries = read_struct(written, IndicatorShape), written.entries()
    source = _source(written, entries)
    _check_parts(written, shape, source)
    if shape.every < 0.1:
        entries["every"].refuse("is shorter than 100ms; measure less often")
    return Indicator(
        name=name,
        source=cast("Any", "prometheus" if source in ("bad", "valid", "histogram") else source),
        query=shape.json if source == "http" else shape.prometheus,
        bad=shape.bad,
        valid=shape.valid,
        total=shape.total,
        histogram=shape.histogram,
        url=_url(entries["http"], shape.http) if source == "http" else "",
        argv=shape.command,
        counts=shape.counts,
        cwd=_folder(written, entries, shape.cwd) if source == "command" else "",
        target=shape.process,
        measure=shape.measure,
        every=shape.every,
        unit=_unit(entries, shape, source),
        place=written.key.place if written.key else written.place,
    )


def _source(written: Written, entries: dict[str, Written]) -> str:
    parts = [part for part in _PARTS if part in entries]
    given = [source for source in _SOURCES if source in entries]
    if given != ["http"]:
        given += parts
    if not given and "total" in entries:
        written.refuse("has `total` without `bad` or `valid`; a ratio needs both")
    if not given:
        written.refuse(f"says no source; write one of {', '.join((*_SOURCES, *_PARTS))}")
    if len(parts) > 1:
        written.refuse("has `bad` and `valid`; one of them says the other")
    if len(given) > 1:
        written.refuse(f"has two sources, {given[0]} and {given[1]}; write two indicators")
    return given[0]


def _check_parts(written: Written, shape: IndicatorShape, source: str) -> None:
    belongs = (
        ("json", ("http",), shape.json),
        ("measure", ("process",), shape.measure),
        ("counts", ("command",), shape.counts),
        ("cwd", ("command",), shape.cwd),
        ("total", ("http", *_PARTS), shape.total),
    )
    for key, owners, value in belongs:
        if value and source not in owners:
            written.entries()[key].refuse(f"belongs to `{owners[-1]}`, not to `{source}`")
    part = "valid" if shape.valid else "bad" if shape.bad else ""
    if part and not shape.total:
        written.refuse(f"has `{part}` without `total`; a ratio needs both")
    if source == "http" and shape.total and (not part or shape.json):
        written.refuse(
            "has a total of nothing; write the paths `bad` and `total`, or `valid` and `total`, without `json`"
        )
    if source == "process" and not shape.measure:
        written.refuse(f"lacks `measure`; one of {', '.join(_UNIT_OF_MEASURE)}")
    if source == "command" and not shape.command:
        written.entries()["command"].refuse("is empty; write [program, argument]")


def _folder(written: Written, entries: dict[str, Written], cwd: str) -> str:
    given = entries.get("cwd", written)
    folder = given.file(cwd)
    if not folder.is_dir():
        given.refuse(f"{cwd} is no folder (looked in {written.folder})")
    return str(folder)


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
    is_ratio = bool(shape.total or shape.counts)
    fixed = _UNIT_OF_MEASURE.get(shape.measure) or ("share" if is_ratio else "")
    if fixed and shape.unit and shape.unit != fixed:
        entries["unit"].refuse(f"is always {fixed} here; remove the key")
    return fixed or shape.unit or ("seconds" if source == "histogram" else "count")
