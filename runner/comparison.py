"""What a comparison was asked as a value: its guardrails, where they are looked at, and what the two sides are."""

from __future__ import annotations

import math

import msgspec

from runner.assertions import Selector, Term, When
from runner.errors import Place


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """How far the variant's *term* may be from the baseline's: at most *above* it and *below* it.

    *relative*: the two are shares of the baseline's value, else differences in the term's own unit. None: no bound there.
    """

    term: Term
    text: str  # as written
    above: float | None = None
    below: float | None = None
    relative: bool
    place: Place

    @property
    def ceiling(self) -> float | None:
        """The most that a pair's number may truly be: a logarithm of the ratio, or a difference."""
        if self.above is None:
            return None
        return math.log1p(self.above) if self.relative else self.above

    @property
    def floor(self) -> float | None:
        """The least that it may be."""
        if self.below is None:
            return None
        return math.log1p(-self.below) if self.relative else -self.below


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides in one run: which requests are whose, and the planned share of the variant's (None: not planned)."""

    baseline: Selector
    variant: Selector
    share: float | None = None


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """The section `compare`. *segment*: seconds; None: as long as the run's own correlation asks for."""

    margins: tuple[Margin, ...]
    when: When
    pairs: int = 12
    seed: int = 0
    prices: dict[str, float] = {}  # environment, or side -> an hour, of *currency*
    currency: str = ""
    arms: Arms | None = None
    segment: float | None = None
