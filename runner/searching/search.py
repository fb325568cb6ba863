"""The search itself: one trial after the other where it tells most, in one environment or in two by turns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from runner.search_record import Knob, Ratio, Scaling, Shot, Side
from runner.statistics.edge import Belief, Range, Trial, ratio
from runner.statistics.usl import fit

_SILENT = 3  # trials in a row that say nothing end a search
_SATURATED = (
    2  # trials at which the load generator could not follow make a ceiling: one may be the machine's mood
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what, how finely and how long is searched."""

    least: float
    most: float
    resolution: float
    trials: int  # at most, in each environment


@dataclass(slots=True)
class Hunt:
    """The search in one environment. Severity is the level, or its inverse where less is worse."""

    environment: str
    knob: Knob
    bounds: Bounds
    shots: list[Shot] = field(default_factory=list)
    belief: Belief = field(init=False)
    why: str = ""

    def __post_init__(self) -> None:
        ends = sorted((self._severity(self.bounds.least), self._severity(self.bounds.most)))
        self.belief = Belief(Range(ends[0], ends[1], self.bounds.resolution))

    @property
    def over(self) -> bool:
        """Whether no further trial is to be made."""
        return bool(self.why) or self.belief.edge().settled or len(self.shots) >= self.bounds.trials

    def next_level(self) -> float:
        """Where the next trial tells most."""
        return self._severity(self.belief.next_level())

    def learn(self, shot: Shot) -> None:
        """Take a trial in."""
        self.shots.append(shot)
        if shot.shows != "nothing":
            self.belief.learn(Trial(self._severity(shot.level), broke=shot.shows == "breaks"))
        elif self.knob.of_load and self.ceiling is not None:
            self._stay_below(self.ceiling)
        last = self.shots[-_SILENT:]
        if len(last) == _SILENT and all(one.shows == "nothing" and not one.saturated for one in last):
            self.why = f"{_SILENT} trials in a row said nothing: {shot.reason}"

    def _stay_below(self, ceiling: float) -> None:
        """Go half of the way back to what the load generator could still offer."""
        told = [shot.level for shot in self.shots if shot.shows != "nothing" and shot.level < ceiling]
        middle = math.sqrt(ceiling * max(told, default=self.bounds.least))
        if middle <= self.bounds.least * (1 + self.bounds.resolution):
            self.why = f"the load generator cannot offer even the least: {self.shots[-1].reason}"
        self.belief.lower_ceiling(middle)

    @property
    def ceiling(self) -> float | None:
        """The level from which on the load generator cannot follow; None while it was seen to fail less than twice.

        Where it followed at a level or above it, failing there was the mood of its machine.
        """
        followed = max((shot.level for shot in self.shots if shot.shows != "nothing"), default=0.0)
        levels = sorted(shot.level for shot in self.shots if shot.saturated and shot.level > followed)
        return levels[0] if len(levels) >= _SATURATED else None

    def side(self, price: float | None = None, currency: str = "") -> Side:
        """What was found here."""
        edge = self.belief.edge()
        low, high = self._seen(edge.low, edge.high)
        if not self.knob.larger_is_worse:
            low, high = (1 / high if high else None), (1 / low if low else None)
        told = any(shot.shows != "nothing" for shot in self.shots)
        value = self._severity(edge.value)
        return Side(
            environment=self.environment,
            shots=tuple(self.shots),
            value=value if told else None,
            low=low if told else None,
            high=high if told else None,
            spread=edge.spread if told else None,
            settled=edge.settled,
            ceiling=self.ceiling,
            breaks=self._breaks(value),
            why=self.why,
            scaling=scaling(self.shots) if self.knob.of_load else None,
            price=price,
            currency=currency,
        )

    def _seen(self, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        """Where only a bound is known, claim no more than was seen to hold, or to break."""
        held = [self._severity(shot.level) for shot in self.shots if shot.shows == "bears"]
        broke = [self._severity(shot.level) for shot in self.shots if shot.shows == "breaks"]
        if high is None and low is not None:
            low = min(low, max(held)) if held else None
        elif low is None and high is not None:
            high = max(high, min(broke)) if broke else None
        return low, high

    def _breaks(self, edge: float) -> str:
        """What breaks first: the assertion of most broken trials in the third of them that is nearest to the edge."""
        broken = [shot for shot in self.shots if shot.shows == "breaks" and shot.assertion]
        broken.sort(key=lambda shot: abs(math.log(shot.level / edge)))
        near = broken[: max(1, len(broken) // 3)] if broken else []
        return Counter(shot.assertion for shot in near).most_common(1)[0][0] if near else ""

    def _severity(self, level: float) -> float:
        return level if self.knob.larger_is_worse else 1 / level


def hunt(hunts: list[Hunt], shoot: Callable[[Hunt, float, int], Shot | None]) -> None:
    """Search until every hunt is over, by turns, so that what changes with time hurts none more than another.

    *shoot* makes the trial of that number at a level; None: no other may follow.
    """
    while open_ones := [one for one in hunts if not one.over]:
        turn = min(open_ones, key=lambda one: len(one.shots))
        shot = shoot(turn, turn.next_level(), len(turn.shots) + 1)
        if shot is None:
            return
        turn.learn(shot)


def compared(hunts: list[Hunt], sides: tuple[Side, ...]) -> Ratio | None:
    """The second over the first, where both edges were found."""
    if len(hunts) != 2 or not all(side.found for side in sides):
        return None
    value, low, high = ratio(hunts[1].belief, hunts[0].belief)
    if not hunts[0].knob.larger_is_worse:
        value, low, high = 1 / value, 1 / high, 1 / low
    if sides[0].price is None or sides[1].price is None or sides[0].currency != sides[1].currency:
        return Ratio(value=value, low=low, high=high)
    dearer = sides[1].price / sides[0].price
    return Ratio(
        value=value, low=low, high=high, cost=dearer / value, cost_low=dearer / high, cost_high=dearer / low
    )


def scaling(shots: list[Shot]) -> Scaling:
    """Fit the Universal Scalability Law to what the trials had under way and answered."""
    told = [
        (shot.in_flight, shot.served)
        for shot in shots
        if shot.shows != "nothing" and shot.in_flight and shot.served
    ]
    law = fit([at for at, _ in told], [found for _, found in told])
    if isinstance(law, str):
        return Scaling(why=law)
    return Scaling(
        why=law.why,
        unit=law.unit,
        contention=law.contention,
        coherency=law.coherency,
        reach=law.reach,
        knee=law.knee,
        low=law.low if law.knee else None,
        high=law.high if law.knee and math.isfinite(law.high) else None,
        peak=law.peak,
    )
