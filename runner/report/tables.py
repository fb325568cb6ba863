"""The tables of the report: requests, errors and the load generator, each capped with a named rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from runner.report.evidence import Evidence
from runner.report.series import Counts, Requests, grouped_quantiles
from runner.report.words import NO_DATA, digits, quantity

MOST_REQUESTS = 25
MOST_ERRORS = 15
_QUANTILES = (0.5, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; *rest* says what was left out. The first *words* columns are words, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rest: str = ""
    words: int = 1


def requests_table(evidence: Evidence) -> Table:
    """Every request name with its count, errors and quantiles, the most frequent first."""
    many = len(evidence.loads) > 1
    rows: list[tuple[int, tuple[str, ...]]] = []
    for load, requests in evidence.loads.items():
        rows += [(total, ((load, *row) if many else row)) for total, row in _requests(requests)]
    rows.sort(key=lambda row: -row[0])
    head = ("Request", "Requests", "Errors", "Error rate", "p50", "p95", "p99", "Slowest")
    left = rows[MOST_REQUESTS:]
    rest = f"and {len(left):,} more names with {sum(total for total, _ in left):,} requests" if left else ""
    top = tuple(row for _, row in rows[:MOST_REQUESTS])
    return Table(("Load", *head) if many else head, top, rest, words=2 if many else 1)


def errors_table(evidence: Evidence) -> Table:
    """Every error text with its code, the most frequent first."""
    found: Counter[tuple[str, str, str]] = Counter()
    for requests in evidence.loads.values():
        counts = np.bincount(requests.key, weights=requests.count, minlength=len(requests.keys))
        for key, count in zip(requests.keys, counts.tolist(), strict=False):
            if key.error and count:
                found[key.error, str(key.code or ""), key.request] += int(count)
    rows = tuple(
        (error[:300], code, request[:120], digits(count))
        for (error, code, request), count in found.most_common(MOST_ERRORS)
    )
    left = sum(found.values()) - sum(count for _, count in found.most_common(MOST_ERRORS))
    rest = (
        f"and {len(found) - MOST_ERRORS:,} more kinds with {left:,} errors"
        if len(found) > MOST_ERRORS
        else ""
    )
    return Table(("Error", "Code", "Request", "Times"), rows, rest, words=3)


def generator_table(evidence: Evidence) -> Table:
    """What tells whether the load generator itself kept up."""
    rows = []
    for load, requests in evidence.loads.items():
        workers = requests.workers
        lags = np.concatenate([worker.lags for worker in workers] or [np.zeros(0)])
        cpus = np.concatenate([worker.cpus for worker in workers] or [np.zeros(0)])
        rows.append(
            (
                load,
                digits(int(requests.count.sum())),
                digits(sum(count for _, count in requests.pending)),
                digits(sum(int(worker.dropped.sum()) for worker in workers)),
                quantity(float(lags.max()), "seconds") if len(lags) else NO_DATA,
                quantity(float((lags > 0.1).mean()), "share") if len(lags) else NO_DATA,
                quantity(float(cpus.mean()), "share") if len(cpus) else NO_DATA,
                quantity(float(cpus.max()), "share") if len(cpus) else NO_DATA,
            )
        )
    head = (
        "Load",
        "Ended",
        "Without an answer",
        "Not begun",
        "Worst lag",
        "Lag over 100 ms",
        "CPU, mean",
        "CPU, most",
    )
    return Table(head, tuple(rows))


def _requests(requests: Requests) -> list[tuple[int, tuple[str, ...]]]:
    """One row for each request name: how many, and the cells."""
    if not len(requests.key):
        return []
    names: dict[str, int] = {}
    numbers = [names.setdefault(key.request, len(names)) for key in requests.keys]
    group: Counts = np.array(numbers, dtype=np.int64)[requests.key]
    bad = np.array([bool(key.error) for key in requests.keys])[requests.key]
    total = np.bincount(group, weights=requests.count, minlength=len(names))
    errors = np.bincount(group, weights=requests.count * bad, minlength=len(names))
    found = grouped_quantiles(group, requests.bucket, requests.count, groups=len(names), quantiles=_QUANTILES)
    return [
        (
            int(total[number]),
            (
                name[:160],
                digits(int(total[number])),
                digits(int(errors[number])),
                quantity(float(errors[number] / total[number]) if total[number] else None, "share"),
                *(quantity(float(found[quantile][number]), "seconds") for quantile in _QUANTILES),
            ),
        )
        for name, number in names.items()
        if total[number]
    ]
