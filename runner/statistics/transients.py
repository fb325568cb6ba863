"""Where the share of bad requests changed for a known cause: at a fault's edge, and where what it caused was over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.statistics.design_effect import FEWEST, design_effect
from runner.statistics.frames import Real

_LASTING = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0)  # seconds after an edge at which its transient may end
_CLEAR = 15.0  # twice the log likelihood ratio, over the design effect of what follows: chance in 1 of 10,000


def levels(bad: Real, total: Real, edges: Sequence[int], *, slot: float) -> tuple[int, ...]:
    """The slots at which a new level begins: every one of *edges*, and the end of its transient where one is clear.

    Errors at a fault's edge come together because of the fault: they are no sign that others came together by chance.
    """
    found: set[int] = set()
    begins = sorted({edge for edge in edges if 0 <= edge < len(total)})
    for edge, following in zip(begins, [*begins[1:], len(total)], strict=True):
        found.add(edge)
        ends = _end_of_transient(bad[edge:following], total[edge:following], slot=slot)
        if ends:
            found.add(edge + ends)
    return tuple(sorted(found - {0}))


def _end_of_transient(bad: Real, total: Real, *, slot: float) -> int:
    """The best place to cut, 0 where none is clearly better than none."""
    places = [round(seconds / slot) for seconds in _LASTING]
    places = [place for place in places if FEWEST // 2 <= place <= len(total) // 2]
    if not places or not 0 < bad.sum() < total.sum():
        return 0
    gains = [_fit(bad[:at], total[:at]) + _fit(bad[at:], total[at:]) - _fit(bad, total) for at in places]
    best = int(np.argmax(gains))
    rest = design_effect(bad[places[best] :], total[places[best] :], slot=slot)
    return places[best] if 2 * gains[best] > _CLEAR * rest.value else 0


def _fit(bad: Real, total: Real) -> float:
    """The log likelihood of one share for all."""
    hits, size = float(bad.sum()), float(total.sum())
    if not 0 < hits < size:
        return 0.0
    return float(hits * np.log(hits / size) + (size - hits) * np.log1p(-hits / size))
