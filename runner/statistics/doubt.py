"""How sure a value has to be before it counts as on one side of a limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner.statistics.comparison import Measured

if TYPE_CHECKING:  # numpy costs 0.1 s at start; only judging needs it
    from runner.statistics.design_effect import DesignEffect


@dataclass(frozen=True, slots=True)
class Doubt:
    """How sure a value has to be: *asked* (0: the value alone decides), and the slots at which faults began and ended.

    *windows*: of how many windows together it has to be true.
    """

    asked: float = 0.0
    edges: tuple[int, ...] = ()
    windows: float = 1.0

    @property
    def confidence(self) -> float:
        """Of one window, so that all together have the one that was asked for (Bonferroni)."""
        return 1 - (1 - self.asked) / self.windows if self.asked else 0.0

    def shared(self, windows: float) -> Doubt:
        """The same for all of several windows together."""
        return replace(self, windows=self.windows * max(1.0, windows))

    def told(
        self, measured: Measured, low: float, high: float, effect: DesignEffect, *, seconds: float
    ) -> Measured:
        """Widen what is known of *measured* to *low* and *high*."""
        return replace(
            measured,
            low=min(low, measured.low),
            high=max(high, measured.high),
            confidence=self.asked,
            effect=effect.value,
            known=(measured.low, measured.high),
            seconds=seconds,
        )


CERTAIN = Doubt()
