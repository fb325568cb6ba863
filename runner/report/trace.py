"""The evidence of halt rules with a confidence over time, as one figure."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from runner.report.chart import Figure, Limit, Line
from runner.report.evidence import Evidence
from runner.report.words import power
from runner.shown import shown
from runner.timeline import EvidenceSeen

_LEAST = -2.0  # log10 of E below which nothing is drawn apart
_ABOVE = 3.0  # powers of ten above what is needed that are drawn
_MOST_RULES = 6
_COLOURS = (1, 7, 6, 8, 4, 9)


def traces(evidence: Evidence) -> tuple[Figure, ...]:
    """The figure, where there is such a rule."""
    seen: dict[str, list[EvidenceSeen]] = defaultdict(list)
    for event in evidence.events:
        if isinstance(event, EvidenceSeen):
            seen[event.rule].append(event)
    if not seen:
        return ()
    rules = list(seen.items())[:_MOST_RULES]
    lines = tuple(_line(rule, told, colour) for (rule, told), colour in zip(rules, _COLOURS, strict=False))
    needed = sorted({told[-1].needed for _, told in rules})
    limits = tuple(Limit(f"halt at E = {power(one)}", 10**one) for one in needed)
    note = (
        "E says how many times better the requests fit a system that is worse than the limit than one at it; a healthy "
        "system ever comes to the line in at most the part of all runs that the confidence leaves, however often one looks. "
        f"E below {10**_LEAST:g} is drawn as that."
    )
    return (Figure("evidence-0", "Evidence for a halt", "", lines, limits, note=note, log=True),)


def _line(rule: str, told: list[EvidenceSeen], colour: int) -> Line:
    at = np.array([one.at for one in told])
    log = np.array([min(max(one.log10, _LEAST), one.needed + _ABOVE) for one in told])
    return Line(shown(rule, 60), at, 10**log, colour=colour)
