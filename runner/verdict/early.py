"""What the record of a window that was ended early decides: the evidence, worked out anew from every request in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from runner.assertions import Assertion, Term
from runner.load.frames import SLOT
from runner.plan_record import Plan
from runner.planning.endings import LEAST, Ending
from runner.planning.expected import windows
from runner.record import Record
from runner.statistics.comparison import Standing
from runner.statistics.cutting import VALUES, Cut, cut, joined
from runner.statistics.frames import Real
from runner.statistics.question import Question, question_of
from runner.statistics.sequential import Evidence, evidence, needed
from runner.statistics.sureness import by_slot, requests_by_slot
from runner.verdict.calibration import effect_of
from runner.verdict.case import Case, case_of
from runner.verdict.measuring import see, unit_of
from runner.verdict.saying import against, name_of
from runner.verdict.windows import Window, after, before, harmed_by
from runner.verdict.wording import counted, said, span

MARGIN = 0.7  # more evidence, a factor of two, than the verdict will ask for: what has no answer yet may turn out bad


def is_decided(plan: Plan, record: Record, ending: Ending, *, until: float) -> bool:
    """Whether what began before a moment, on the record of a run that goes on, decides all that is asked about a window."""
    case = case_of(plan, record, live=True)
    window = after(case.moments)
    if ending.fault:
        mine = [
            one
            for one in case.moments.occurrences
            if (one.fault, one.number) == (ending.fault, ending.occurrence)
        ]
        if not mine:
            return False
        window = harmed_by(mine[0], case.moments)
    if window.why:
        return False
    found = [evidence_of(case, asked, asked.term, window, until=until) for asked in ending.asked]
    return all(one is not None and one.decides(margin=MARGIN) for one in found)


def effects_before(plan: Plan, record: Record, asked: Sequence[Assertion]) -> list[float]:
    """The design effect of each assertion's bad requests in the time before."""
    case = case_of(plan, record, live=True)
    return [
        _effect(case, one, one.term, question, before(case.moments))
        for one in asked
        if (question := question_of(one)) is not None
    ]


def evidence_of(case: Case, asked: Assertion, term: Term, window: Window, *, until: float) -> Evidence | None:
    """The evidence of what began before a moment; None where the assertion asks for no share.

    Where an assertion looks at several windows, any of them may break it, and all have to hold: evidence that one is broken
    has to be as much stronger.
    """
    question = question_of(asked)
    confidence = case.doubt(asked).asked
    if question is None or not confidence:
        return None
    held, broken = needed(confidence), needed(confidence, among=max(1, len(windows(case.plan, asked.when))))
    under, over = (held, broken) if question.below else (broken, held)
    last = round(until / SLOT)
    kept = [
        replace(stretch, last=min(stretch.last, last)) for stretch in window.stretches if stretch.first < last
    ]
    window = replace(window, stretches=tuple(kept))
    if not kept:
        return Evidence(-math.inf, -math.inf, under, over, 0)
    one = _cut(case, term, window)
    total = requests_by_slot(one)
    spans = before(case.moments), window
    effect = max(_effect(case, asked, term, question, each) for each in spans)
    waiting = np.bincount(one.waiting_slot, weights=one.waiting_count, minlength=one.stretch.slots)
    bad = _bad(one, question)
    return evidence(
        bad + _overdue(one, question),
        bad + waiting,
        total,
        limit=question.limit,
        effect=effect,
        needed_under=under,
        needed_over=over,
        skip=round(LEAST / SLOT) - 1,
    )


def decided(case: Case, asked: Assertion, term: Term, window: Window) -> tuple[Standing, str] | None:
    """How an assertion stands in a window that was ended early, and why; None where evidence does not decide such."""
    question = question_of(asked)
    if question is None or window.early is None:
        return None
    found = evidence_of(case, asked, term, window, until=window.early.until)
    if found is None:
        return None
    sooner = f"{span(window.early.seconds)} earlier than planned"
    if not found.decides():
        return (
            "inconclusive",
            f"{name_of(term)} was cut short {sooner}, but its record does not decide it: {_said(found)}",
        )
    stands: Standing = "held" if found.is_under() == question.below else "broken"
    value = see(case.plan, case.record, term, window).measured.value
    unit = unit_of(case.plan, term)
    was = "" if value is None else f"{name_of(term)} was {said(value, unit)}, "
    limit = against(stands, asked.op, asked.bound.value or 0.0, unit)
    return stands, f"{was}{limit}: decided after {counted(found.requests)}, {sooner} ({_said(found)})"


def _said(found: Evidence) -> str:
    strongest, wanted = max(
        (found.under, found.needed_under), (found.over, found.needed_over), key=lambda pair: pair[0] - pair[1]
    )
    return f"E = {math.exp(min(strongest, 600.0)):,.3g} of {math.exp(wanted):,.3g} needed"


def _cut(case: Case, term: Term, window: Window) -> Cut:
    return joined([cut(case.record.frames, term, stretch) for stretch in window.stretches])


def _effect(case: Case, asked: Assertion, term: Term, question: Question, window: Window) -> float:
    if not window.stretches:
        return 1.0
    one = _cut(case, term, window)
    return effect_of(_bad(one, question), by_slot(one), 1 - case.doubt(asked).asked)


def _bad(one: Cut, question: Question) -> Real:
    """Ended requests of each slot that are bad ones."""
    if question.slow is None:
        return by_slot(one, one.bad)
    last_good = int(np.searchsorted(VALUES, question.slow, side="left" if question.reached else "right")) - 1
    return by_slot(one, one.bucket > last_good)


def _overdue(one: Cut, question: Question) -> Real:
    """Of what has no answer, what is bad already: it took too long. An error it is only once it is one."""
    late = np.full(len(one.waiting_age), fill_value=False)
    if question.slow is not None:
        late = one.waiting_age > question.slow
    found = np.bincount(one.waiting_slot[late], weights=one.waiting_count[late], minlength=one.stretch.slots)
    return found.astype(np.float64)
