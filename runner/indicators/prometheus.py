"""Indicators that a Prometheus knows: one series, a ratio of two, or the buckets of a histogram."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import msgspec

from runner.errors import ProbeFailed
from runner.indicators.fetch import Getter, origin
from runner.indicators.probe import Reading, finite
from runner.scenario import Indicator

_STALE = 3  # times `every`
Labels = tuple[tuple[str, str], ...]
Counters = dict[Labels, float]
_SELECTOR = re.compile(r"[a-zA-Z_:][\w:]*\s*(\{[^(){}]*\})?")
_RATES = re.compile(r"\b(rate|irate|increase|delta)\s*\(")


class _Series(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []


class PrometheusProbe:
    """Asks instant queries; raises ProbeFailed for warnings, stale data and anything but what was asked for."""

    def __init__(self, indicator: Indicator, url: str, token: str) -> None:
        self._indicator = indicator
        self._url = url.rstrip("/") + "/api/v1/query"
        self._getter = Getter(timeout=max(1.0, indicator.every), token=token)
        self._growth, self._grown_total = _Growth(), _Growth()

    def read(self) -> list[Reading]:
        """Read a value, a ratio (both at one moment) or the growth of a histogram's buckets."""
        asked = self._indicator
        if asked.histogram:
            grown = self._growth.since_last(self._buckets(asked.histogram))
            return [Reading(buckets=_by_bound(grown))] if grown else []
        if asked.counters:
            return self._events()
        if asked.total:
            total, when = self._number(asked.total, "total")
            if total == 0:
                raise ProbeFailed("total is 0: nothing happened that could be good or bad")
            if asked.valid:
                return [Reading(valid=self._number(asked.valid, "valid", at=when)[0], total=total)]
            return [Reading(bad=self._number(asked.bad, "bad", at=when)[0], total=total)]
        return [Reading(value=self._number(asked.query, "the query")[0])]

    def number_or_nothing(self, query: str) -> float | None:
        """One number from history of any age; None where there is none. Raises ProbeFailed."""
        series = self._series(query, None, fresh=False)
        return float(series[0].value[1]) if series and series[0].value else None

    def close(self) -> None:
        """Let go of the connection."""
        self._getter.close()

    def _events(self) -> list[Reading]:
        """How many events came since the last look, and how many of them were bad; of the first look, nothing."""
        total, when = self._counters(self._indicator.total, "total")
        self._check_fresh(self._indicator.total, "total", when)
        bad, _ = self._counters(self._indicator.bad, "bad", at=when)
        if not self._grown_total.grows(total):
            raise ProbeFailed(
                "total did not grow: no event was counted"
            )  # what is bad waits for what it is of
        grown, spoilt = self._grown_total.since_last(total), self._growth.since_last(bad)
        if grown is None or spoilt is None:
            return []
        return [Reading(bad=sum(spoilt.values()), total=sum(grown.values()))]

    def _counters(self, query: str, what: str, at: float | None = None) -> tuple[Counters, float]:
        series = self._series(query, at)
        if not series:
            raise ProbeFailed(self._miscount(query, what, []))
        found: Counters = {}
        for each in series:
            if each.value is None:
                raise ProbeFailed(f"{what} gave a native histogram; ask for counters")
            found[tuple(sorted(each.metric.items()))] = finite(float(each.value[1]), what)
        return found, max(each.value[0] for each in series if each.value)

    def _number(self, query: str, what: str, at: float | None = None) -> tuple[float, float]:
        series = self._series(query, at)
        if len(series) != 1:
            raise ProbeFailed(self._miscount(query, what, series))
        if series[0].value is None:
            raise ProbeFailed(
                f"{what} gave a native histogram; ask for a number, as by histogram_quantile(…)"
            )
        when, text = series[0].value
        number = finite(float(text), what)
        self._check_fresh(query, what, when)
        return number, when

    def _check_fresh(self, query: str, what: str, when: float) -> None:
        """Ask for the newest sample's own time: answers carry that of the query, and lookback_delta needs Prometheus 2.44."""
        if not _SELECTOR.fullmatch(query.strip()):
            return
        taken = [float(each.value[1]) for each in self._series(f"timestamp({query})", when) if each.value]
        if not taken or when - max(taken) > _STALE * self._indicator.every:
            raise ProbeFailed(self._too_old(what))

    def _too_old(self, what: str) -> str:
        limit = f"{_STALE * self._indicator.every:g}s, {_STALE} times `every`"
        return f"{what} gave only samples older than {limit}: is the target still scraped, and as often?"

    def _buckets(self, query: str) -> Counters:
        if _RATES.search(query):
            raise ProbeFailed(
                "histogram wants the `_bucket` counters themselves, without rate() or increase()"
            )
        series = self._series(query, None)
        found: Counters = {}
        for each in series:
            if each.value is None or "le" not in each.metric:
                raise ProbeFailed(
                    f"histogram gave {_named(each)}, which is no classic bucket; ask for …_bucket"
                )
            found[tuple(sorted(each.metric.items()))] = finite(float(each.value[1]), "a bucket")
        if not any(("le", "+Inf") in key for key in found):
            raise ProbeFailed(
                'histogram gave no bucket le="+Inf"' if found else self._miscount(query, "histogram", [])
            )
        return found

    def _series(self, query: str, at: float | None, *, fresh: bool = True) -> list[_Series]:
        params = {"query": query} | ({} if at is None else {"time": repr(at)})
        if fresh:  # else a selector answers with samples up to 5 minutes old
            params["lookback_delta"] = f"{max(1, round(_STALE * self._indicator.every * 1000))}ms"
        status, body, date = self._getter.get(self._url, params)
        data = self._data(status, body)
        if data.result_type == "scalar":
            series = [_Series(value=msgspec.json.decode(data.result, type=tuple[float, str]))]
        elif data.result_type == "vector":
            series = msgspec.json.decode(data.result, type=list[_Series])
        else:
            raise ProbeFailed(f"{query!r} gave a {data.result_type}; ask for an instant vector or a scalar")
        if at is None:
            self._check_age(series, date)
        return series

    def _data(self, status: int, body: bytes) -> _Data:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            raise ProbeFailed(f"{origin(self._url)} answered {status} with no Prometheus answer") from None
        if answer.status != "success" or answer.data is None:
            raise ProbeFailed(f"Prometheus refused the query: {answer.error_type}: {answer.error}"[:300])
        if answer.warnings:
            raise ProbeFailed(f"Prometheus warned: {answer.warnings[0]}"[:300])
        return answer.data

    def _check_age(self, series: list[_Series], date: str) -> None:
        """Compare samples with the server's own clock: ours may differ from it, a cache's answer is old by it."""
        limit = _STALE * self._indicator.every
        try:
            then = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        ages = [then - each.value[0] for each in series if each.value]
        if ages and max(ages) > limit + 1.0:  # Date counts whole seconds
            raise ProbeFailed(f"the newest sample is {max(ages):.0f}s old, more than {_STALE} times `every`")

    def _miscount(self, query: str, what: str, series: list[_Series]) -> str:
        if series:
            shown = ", ".join(_named(each) for each in series[:3])
            return f"{what} gave {len(series)} series, one is wanted: {shown}; aggregate them, as by sum(…)"
        if self._series(query, None, fresh=False):
            return self._too_old(what)
        return (
            f"{what} gave no series: is the target scraped, and does the metric exist before its first event?"
        )


class _Growth:
    """How much each counter grew between readings: windows of time add that up."""

    def __init__(self) -> None:
        self._last: Counters | None = None

    def grows(self, counters: Counters) -> bool:
        """Whether any of them differs from the last reading; of the first, True."""
        return self._last is None or any(self._last.get(labels) != n for labels, n in counters.items())

    def since_last(self, counters: Counters) -> Counters | None:
        """Return what came since the last reading, by series; None for the first.

        A counter that sank, or was not there before, started again from zero: its process did.
        """
        last, self._last = self._last, (self._last or {}) | counters  # a series that is missing may come back
        if last is None:
            return None
        before = {labels: last.get(labels, 0.0) for labels in counters}
        return {
            labels: count - before[labels] if count >= before[labels] else count
            for labels, count in counters.items()
        }


def _by_bound(grown: Counters) -> dict[str, float]:
    """Add up the buckets of all series: le -> events."""
    found: dict[str, float] = {}
    for labels, count in grown.items():
        bound = dict(labels)["le"]
        found[bound] = found.get(bound, 0.0) + count
    return found


def _named(series: _Series) -> str:
    labels = ", ".join(f'{key}="{text}"' for key, text in series.metric.items() if key != "__name__")
    return f"{series.metric.get('__name__', '')}{{{labels}}}"
