"""What a search for the edge found, as a value: every trial as evidence, the edge with its interval, the comparison."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.verdict.record import Outcome

Shows = Literal["bears", "breaks", "nothing"]


class Knob(msgspec.Struct, frozen=True, kw_only=True):
    """What is turned, and which way is worse. *paths* of keys in the scenario, or *parameter*."""

    name: str  # as people say it: `rate`, `delay of slow-store`
    kind: str  # of quantity, as in `units`
    parameter: str = ""
    paths: tuple[str, ...] = ()
    larger_is_worse: bool = True
    of_load: bool = False
    written: float | None = None  # what the scenario says, base units


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One trial as evidence. Rates and requests under way: means from the end of the warm-up on."""

    label: str
    folder: str  # relative to the campaign's
    level: float  # base units
    shows: Shows
    reason: str
    assertion: str = ""  # that broke first
    saturated: bool = False  # the load generator could not offer this
    offered: float | None = None  # per second
    answered: float | None = None
    served: float | None = None  # answers that were no errors
    in_flight: float | None = None


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """The Universal Scalability Law fitted to the trials. *why*: there is no fit, or no knee."""

    why: str = ""
    unit: float | None = None
    contention: float | None = None
    coherency: float | None = None
    reach: float | None = None
    knee: float | None = None  # requests under way
    low: float | None = None
    high: float | None = None  # None: beyond what was tested
    peak: float | None = None  # per second


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one environment. *low* and *high*: None where that end is beyond what could be tried."""

    environment: str
    shots: tuple[Shot, ...] = ()
    value: float | None = None  # the edge, base units
    low: float | None = None
    high: float | None = None
    spread: float | None = None  # run-to-run variation, as a share
    settled: bool = False
    ceiling: float | None = None  # from here on the load generator could not follow
    breaks: str = ""  # the assertion that breaks first near the edge
    why: str = ""  # the search had to end: the reason
    scaling: Scaling | None = None
    price: float | None = None  # per hour
    currency: str = ""

    @property
    def found(self) -> bool:
        """Whether the edge lies between two ends as narrow as was asked for."""
        return self.settled and self.low is not None and self.high is not None

    @property
    def cost(self) -> float | None:
        """Of a million requests at the edge."""
        if self.price is None or not self.value:
            return None
        return self.price / 3600 / self.value * 1e6


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The second environment's edge over the first's, and its cost of a request over the first's."""

    value: float
    low: float
    high: float
    cost: float | None = None
    cost_low: float | None = None
    cost_high: float | None = None


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """All that a search came to; `capacity.json` or `margin.json`."""

    version: int = 1
    kind: Literal["capacity", "margin"]
    scenario: str
    title: str
    started: str = ""  # ISO 8601, UTC: the first trial
    knob: Knob
    least: float  # the levels that might be tried, base units
    most: float
    resolution: float
    confidence: float
    faults: tuple[str, ...] = ()  # injected in every trial
    sides: tuple[Side, ...]
    ratio: Ratio | None = None
    outcome: Outcome
    sentences: tuple[str, ...]  # what an owner can act on; the first decides
    again: str = ""  # the command
