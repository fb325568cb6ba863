"""A verdict as a value: outcome, findings and faults, with the evidence for each."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec


class Outcome(Enum):
    """How a run ended; the worst of several wins, in the order written here from the worst."""

    DIRTY = "dirty"
    DEFECT = "defect"
    HALTED = "halted"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    PASSED = "passed"

    @property
    def exit_code(self) -> int:
        """The number CI sees; an interface."""
        return _EXIT_CODES[self]

    @staticmethod
    def worst(outcomes: list[Outcome]) -> Outcome:
        """The first in the order of the class; passed of none."""
        return min(outcomes, key=list(Outcome).index, default=Outcome.PASSED)


_EXIT_CODES = {
    Outcome.DIRTY: 5,
    Outcome.DEFECT: 70,
    Outcome.HALTED: 4,
    Outcome.FAILED: 1,
    Outcome.INCONCLUSIVE: 3,
    Outcome.REFUSED: 2,
    Outcome.PASSED: 0,
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one assertion came to. *value* and *limit* in base units (seconds, share, per second, bytes)."""

    assertion: str  # as written
    when: str  # as written, or `steady state before`, `steady state after`, `halt`
    outcome: Literal["held", "broken", "inconclusive"]
    reason: str  # one sentence
    value: float | None = None
    limit: float | None = None
    unit: str = ""  # seconds, share, per second, bytes, count
    low: float | None = None  # the interval the value lies in; None at an end: without end
    high: float | None = None
    confidence: float | None = None  # of the interval; None: a fact, or judged by points alone
    requests: int = 0
    effect: float | None = None  # design effect: requests / effect independent ones would tell as much
    needed_requests: int | None = None  # about how many more would tell
    needed_seconds: float | None = None  # how long they take; None where a longer run does not help
    start: float | None = None  # the window looked at, seconds since the anchor; of `over`, the worst one
    end: float | None = None
    changed_at: tuple[str, ...] = ()  # the edges of faults and stages at which what it is about changed
    file: str = ""
    line: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a level changed. *cause*: the edge of a fault or stage that explains it; empty: none does."""

    at: float  # seconds since the anchor
    what: str  # error_rate, p95, rps
    unit: str
    before: float
    after: float
    cause: str = ""


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to whom, whether it had an effect, and whether all is as it was. Times since the anchor."""

    name: str
    kind: str
    does: str = ""
    occurrence: int = 0
    instances: tuple[str, ...]
    known_as: tuple[
        str, ...
    ] = ()  # the containers', pods' or nodes' own names when the run was planned, in that order
    confirmed: bool | None
    unseen: bool = False  # it was looked for, and nowhere seen to act
    evidence: str
    injected_at: float | None = None
    reverted_at: float | None = None
    reverted_by: str = ""  # runner, guardian, rollback, lease, journal.jsonl (it says no more than that); empty: not reverted
    dirty: str = ""  # what is not as it was, and how to mend it
    joined: tuple[str, ...] = ()  # came while it lasted and were hurt too
    escaped: tuple[str, ...] = ()  # came while it lasted and were not
    spared: tuple[str, ...] = ()  # not targets, and read to be as ever while it lasted: the negative control
    leaked: str = ""  # harm to an instance that was no target: which, and what was seen there

    @property
    def doubt(self) -> str:
        """Why it counts for nothing; empty where it had an effect, or none can be measured."""
        if self.confirmed is False:
            return f"{self.name} had no effect: {self.evidence}"
        return f"{self.name} was never seen to act: {self.evidence}" if self.unseen else ""

    @property
    def whom(self) -> tuple[str, ...]:
        """The instances as people know them: `shop.0 (web-7d4b9)`."""
        own = self.known_as or ("",) * len(self.instances)
        return tuple(
            f"{name} ({known})" if known else name for name, known in zip(self.instances, own, strict=True)
        )


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """The strongest evidence that a halt rule with a confidence came to: log10 of E, and of the E at which it halts.

    *effect*: the design effect that counts were divided by, measured in the time before.
    """

    rule: str
    confidence: float
    who: str = ""  # the request, of `each`
    log10: float
    needed: float
    at: float
    bad: int
    requests: int
    effect: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of one run; a pure function of its record."""

    version: int = 1
    run: str
    scenario: str
    title: str
    hypothesis: str = ""
    owner: str = ""
    environment: str
    started: str  # ISO 8601, UTC; ?: the record does not say
    duration: float
    zero: float | None = None  # t = 0, seconds since the anchor; None: never reached
    outcome: Outcome
    reason: str  # a few words: the decisive thing
    findings: tuple[Finding, ...] = ()
    faults: tuple[FaultReport, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()
