"""What a plan foresees of its run: what can be proved, and how much harm each halt rule lets happen first. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from runner.assertions import WHOLE_RUN, Assertion
from runner.plan_record import Harmful, Plan
from runner.planning.earlier import Earlier
from runner.planning.expected import pace
from runner.planning.proofs import noise_of, proofs, warnings_about
from runner.statistics.evidence import weights
from runner.statistics.harm import Rule, due, harm
from runner.statistics.question import Question, question_of
from runner.verdict.calibration import effect_of

LATELY, ENOUGH = 5.0, 20  # what a plain rule looks at, where it does not say
TIMES = (2.0, 5.0, 20.0)
_SEED = 1


def with_foresight(plan: Plan, earlier: Earlier) -> Plan:
    """Add to a plan what it can prove, what its halts let happen, and warnings of what nothing can decide."""
    found = tuple(proofs(plan, earlier))
    warnings = (*plan.warnings, *(warning for proof in found for warning in warnings_about(proof)))
    harmful = tuple(_harmful(plan, earlier))
    return msgspec.structs.replace(plan, proofs=found, harmful=harmful, warnings=warnings)


def _harmful(plan: Plan, earlier: Earlier) -> Iterator[Harmful]:
    longest = max([one.end - one.start for one in plan.windows], default=plan.ends)
    for asked in plan.scenario.halt:
        if asked.no_data is not None:
            continue
        blank = Harmful(rule=asked.text, within=longest, file=asked.place.file, line=asked.place.line)
        expected = pace(plan, earlier, asked, [(0.0, longest)])
        question = question_of(asked)
        counts = asked.term.name == "errors" and asked.bound.value is not None and asked.op in {">", ">="}
        if not counts and (question is None or question.below):
            yield msgspec.structs.replace(
                blank, why="it does not ask for a share of the requests against a value"
            )
        elif not expected.number or longest <= 0:
            yield msgspec.structs.replace(blank, why=expected.basis)
        elif question is None:
            yield _counted(asked, blank, rate=expected.number / longest)
        else:
            yield from _foreseen(plan, earlier, asked, question, blank, rate=expected.number / longest)


def _counted(asked: Assertion, blank: Harmful, *, rate: float) -> Harmful:
    """A rule on the number of errors, where every request fails."""
    most = math.floor(asked.bound.value or 0.0) + (asked.op == ">")
    seconds = most / rate + (asked.lasting or 0.0)
    looked = LATELY if asked.over is None else asked.over
    if seconds > min(looked, blank.within):
        return blank
    return msgspec.structs.replace(
        blank, stopped=1.0, seconds=seconds, requests=seconds * rate, bad=seconds * rate
    )


def _foreseen(
    plan: Plan, earlier: Earlier, asked: Assertion, question: Question, blank: Harmful, *, rate: float
) -> Iterator[Harmful]:
    """At twice, five and twenty times the limit; what comes to all requests is said once."""
    rule = _rule(plan, earlier, asked, question, rate=rate)
    for times in TIMES:
        share = min(1.0, times * question.limit)
        found = harm(rule, rate=rate, share=share, within=blank.within)
        yield msgspec.structs.replace(
            blank,
            times=times if share < 1 else None,
            share=share,
            stopped=found.stopped,
            seconds=found.seconds,
            requests=found.requests,
            bad=found.bad,
        )
        if share == 1:
            return


def _rule(plan: Plan, earlier: Earlier, asked: Assertion, question: Question, *, rate: float) -> Rule:
    late = question.slow or 0.0
    if asked.confidence:
        return Rule(
            limit=question.limit,
            late=late,
            log_evidence=_evidence(plan, asked.confidence),
            effect=_effect(plan, earlier, asked, question, rate=rate),
        )
    return Rule(
        limit=question.limit,
        width=LATELY if asked.over is None else math.inf if asked.over == WHOLE_RUN else asked.over,
        enough=ENOUGH,
        lasting=asked.lasting or 0.0,
        late=late,
        before=plan.scenario.before,
    )


def _evidence(plan: Plan, confidence: float) -> float:
    """The logarithm of E since the fault began at which such a rule trips: it shares its bound, and E has its weight."""
    sharing = sum(1 for other in plan.scenario.halt if other.confidence)
    planned = weights(faults=len(plan.windows), seconds=plan.ends)
    return math.log(sharing) - math.log1p(-confidence) - math.log(planned.start or planned.grid)


def _effect(plan: Plan, earlier: Earlier, asked: Assertion, question: Question, *, rate: float) -> float:
    """The design effect that the time before will show the rule: of independent requests, or that of the A/A runs."""
    noise, _ = noise_of(earlier, asked.term)
    found = earlier.calibration.noise if earlier.calibration is not None else ()
    usual = next((one.value for one in found if one.term == asked.term.text), 0.0)
    shares = (
        [usual] if question.slow is None else [question.limit, 0.0]
    )  # at the quantile itself, and beyond the bound
    total, chance = due(rate, plan.scenario.before).astype(np.float64), np.random.default_rng(_SEED)
    bad = [chance.binomial(total.astype(np.int64), share).astype(np.float64) for share in shares]
    alpha = 1 - (asked.confidence or 0.0)
    return max([noise.effect, *(effect_of(each, total, alpha) for each in bad)])
