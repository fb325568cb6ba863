"""Halt rules with a confidence: they trip on evidence, not on a level, however often they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.assertions import Assertion
from runner.halts.counts import Counts
from runner.live import HaltReading, LiveWindow
from runner.live.window import Row
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import EvidenceSeen, HaltPulled
from runner.units import written

if (
    TYPE_CHECKING
):  # numpy and scipy come with the first calibration, while the load runs: not when a run starts
    from runner.statistics.evidence import Judging, Restarts
    from runner.verdict.calibration import Calibration

_LATECOMERS = 0.1  # the part of the bound that is kept for names of `each` that were not there before


@dataclass(slots=True)
class _Case:
    """The evidence against one population. *share*: its part of the rule's false-halt bound."""

    found: Calibration
    restarts: Restarts
    share: float
    counts: tuple[float, ...]

    @property
    def needed(self) -> float:
        """The natural logarithm of the E at which it alone halts, for a whole bound of 1."""
        return -math.log(self.share * self.found.risk)


class ConfidentRule:
    """One rule. *part*: its part of the false-halt bound, where several rules share it."""

    def __init__(self, asked: Assertion, *, part: float) -> None:
        self.asked, self.part = asked, part
        self.alpha = 1 - (asked.confidence or 0.0)
        self.reading = HaltReading(asked.text, None, None, "share")
        self.problems: list[str] = []
        self._mine = Counts(asked.term)
        self._other = Counts(asked.bound.term) if asked.bound.term is not None else None
        self._found: dict[str, Calibration] = {}
        self._cases: dict[str, _Case] = {}
        self._late = 0
        self._given = 0.0  # weight of all restarts so far: a latecomer counts from them all
        self._from: int | None = None
        self._loudest: tuple[str, _Case] | None = None

    def calibrate(self, plan: Plan, record: Record) -> None:
        """Learn from the time before what is allowed and how clustered the bad ones come."""
        from runner.verdict.calibration import calibrations  # noqa: PLC0415 - see above

        self._found = calibrations(plan, record, self.asked)
        self.problems = [
            f"{name}: {one.why}" if name else one.why for name, one in self._found.items() if one.why
        ]
        names = {name: (one.slow, one.overdue) for name, one in self._found.items()}
        self._mine.begin(names)
        if self._other is not None:
            self._other.begin({"": names[""]})

    def judge(self, window: LiveWindow, news: list[list[Row]], at: float, *, weight: float) -> float:
        """Take the news; return the sum of E, each by its part of the bound: at 1 it halts. *weight*: of a restart now."""
        if not self._found or window.is_over(self.asked.term.selector.load):
            return 0.0
        if self._from is None:
            self._from = int(at / SLOT)
        self._restart(at, weight)
        for counts in (self._mine, self._other):
            if counts is not None:
                counts.take(window, news, not_before=self._from)
                counts.notice_waiting(window)
        whole, most = 0.0, -math.inf
        for name in self._mine.names:
            case = self._case(window, name, at)
            if case is None:
                continue
            case.counts = self._counts(window, name)
            log = case.restarts.look(case.counts) - case.needed
            whole += math.exp(min(log, 600.0))
            if log > most:
                most, self._loudest = log, (name, case)
        self._read()
        return whole * self.alpha * self.part

    def seen(self, at: float) -> EvidenceSeen | None:
        """The evidence of what speaks loudest, for the record."""
        if self._loudest is None:
            return None
        name, case = self._loudest
        since, counts = case.restarts.loudest()
        bad, total = counts[:2] if counts else (0.0, 0.0)
        return EvidenceSeen(
            at=at,
            rule=self.asked.text,
            who=name,
            log10=round(case.restarts.log_e / math.log(10), 6),
            needed=round(self._needed(case) / math.log(10), 6),
            bad=round(bad),
            requests=round(total),
            since=since,
            limit=case.found.limit,
            effect=case.found.effect,
        )

    def pulled(self, at: float, *, together: float) -> HaltPulled:
        """Say why it trips. *together*: the sum over all rules, of 1 needed."""
        seen = self.seen(at)
        assert seen is not None
        value = seen.bad / seen.requests if seen.requests else 0.0
        return HaltPulled(
            at=at,
            cause="rule",
            reason=self._reason(seen, together),
            rule=self.asked.text,
            value=value,
            limit=seen.limit,
            requests=seen.requests,
            confidence=self.asked.confidence,
            log10_evidence=seen.log10,
            log10_needed=seen.needed,
        )

    @property
    def log10_nearest(self) -> float:
        """By how many powers of ten the evidence exceeds what is needed."""
        if self._loudest is None:
            return -math.inf
        case = self._loudest[1]
        return (case.restarts.log_e - self._needed(case)) / math.log(10)

    def _needed(self, case: _Case) -> float:
        return case.needed - math.log(self.alpha * self.part)

    def _restart(self, at: float, weight: float) -> None:
        if weight:
            self._given += weight
            for case in self._cases.values():
                case.restarts.restart(at, case.counts, weight)

    def _case(self, window: LiveWindow, name: str, at: float) -> _Case | None:
        """The case of a name, opened when it is first seen: a latecomer has no part but in what is kept for such."""
        if name not in self._cases:
            from runner.statistics.evidence import Restarts  # noqa: PLC0415 - see above

            found = self._found.get(name, self._found[""])
            if found.why:
                return None
            counts = self._counts(window, name) if not name or name in self._found else (0.0, 0.0)
            case = _Case(found, Restarts(self._judging(found), len(counts)), self._share(name), counts)
            case.restarts.restart(at, counts, self._given)
            self._cases[name] = case
        return self._cases[name]

    def _judging(self, found: Calibration) -> Judging:
        from runner.statistics.evidence import against, compared  # noqa: PLC0415 - see above

        return (against if self._other is None else compared)(found.limit, found.effect)

    def _share(self, name: str) -> float:
        known = len(self._found) - 1
        if not self.asked.term.selector.each:
            return 1.0
        if name in self._found:
            return (1 - _LATECOMERS) / known
        self._late += 1  # 1/2 + 1/6 + 1/12 + ... = 1
        return (_LATECOMERS if known else 1.0) / (self._late * (self._late + 1))

    def _counts(self, window: LiveWindow, name: str) -> tuple[float, ...]:
        mine = self._mine.now(window, name)
        return mine if self._other is None else (*mine, *self._other.now(window, ""))

    def _read(self) -> None:
        if self._loudest is None:
            return
        case = self._loudest[1]
        bad, total = case.counts[:2]
        self.reading = HaltReading(
            self.asked.text,
            bad / total if total else None,
            case.found.limit if self._other is None else None,
            "share",
            log10_evidence=case.restarts.log_e / math.log(10),
            log10_needed=self._needed(case) / math.log(10),
        )

    def _reason(self, seen: EvidenceSeen, together: float) -> str:
        assert self._loudest is not None
        found = self._loudest[1].found
        who = f" of {seen.who}" if seen.who else ""
        what = "failed" if found.slow is None else f"took over {written('duration', found.slow)}"
        allowed = f"{written('share', float(f'{found.limit:.3g}'))} may"
        if self.asked.bound.term is not None:
            allowed = f"{found.limit:g} times the share of {self.asked.bound.term.text} may"
        more = (
            ""
            if seen.log10 >= seen.needed
            else f", and with the other rules {together:.3g} times what is needed"
        )
        return (
            f"{seen.bad:,} of {seen.requests:,} requests{who} {what}, where {allowed}: "
            f"E = {said(seen.log10)} of {said(seen.needed)} needed{more}"
        )


def said(log10: float) -> str:
    """Say E: `163`, `1.2e+19`."""
    return f"{10**log10:,.0f}" if 2 <= log10 < 6 else f"{10 ** min(log10, 300.0):.3g}"
