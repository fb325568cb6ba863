"""What the halt rules with a confidence saw: the strongest evidence that each came to."""

from __future__ import annotations

from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import EvidenceSeen
from runner.verdict.record import Watched


def watched(plan: Plan, record: Record) -> tuple[Watched, ...]:
    """One for each rule that was armed, in the order of the file."""
    strongest: dict[str, EvidenceSeen] = {}
    for event in record.events:
        if isinstance(event, EvidenceSeen):
            known = strongest.get(event.rule)
            if known is None or event.log10 - event.needed > known.log10 - known.needed:
                strongest[event.rule] = event
    return tuple(
        Watched(
            rule=rule.text,
            confidence=rule.confidence or 0.0,
            who=seen.who,
            log10=seen.log10,
            needed=seen.needed,
            at=seen.at,
            bad=seen.bad,
            requests=seen.requests,
            effect=seen.effect,
        )
        for rule in plan.scenario.halt
        if (seen := strongest.get(rule.text)) is not None
    )
