"""What a halt rule means, in one line, for whoever reads a plan."""

from __future__ import annotations

from runner.assertions import WHOLE_RUN, Assertion
from runner.plan_record import Plan
from runner.units import written


def meaning_of(rule: Assertion, plan: Plan) -> str:
    """Say what is not plain from the words of *rule* itself; empty where nothing is."""
    if rule.confidence:
        return _of_confidence(rule, plan)
    objective = plan.environment.objectives.get(rule.term.of)
    if objective is None:
        return "counted since the end of the warm-up" if rule.over == WHOLE_RUN else ""
    allowed = written("share", 1 - objective.target)
    if rule.term.name == "budget":
        return f"of {allowed} of all events in {written('duration', objective.over)}, asked from Prometheus at the start"
    return f"1 is as fast as {allowed} bad events in {written('duration', objective.over)} allow"


def _of_confidence(rule: Assertion, plan: Plan) -> str:
    sharing = sum(1 for other in plan.scenario.halt if other.confidence)
    alpha = 1 - rule.confidence if rule.confidence else 1.0
    shared = f", shared by {sharing} rules" if sharing > 1 else ""
    before = written("duration", plan.scenario.before)
    return (
        f"on evidence since t = 0, looked at all the time: halts a run in which {_bad(rule)} in at most "
        f"{written('share', float(f'{alpha:.3g}'))} of such runs{shared}; clustering as in the {before} before"
    )


def _bad(rule: Assertion) -> str:
    bound = rule.bound
    if rule.term.name == "quantile":
        slow = bound.text if bound.value is not None else f"{bound.text} (as surely bounded)"
        share = written("share", float(f"{1 - (rule.term.quantile or 0.0):.6g}"))
        return f"no more than {share} take over {slow}"
    if bound.term is not None:
        return f"no more than {bound.factor:g} times the share of {bound.term.text} fails"
    if bound.value is None:
        return f"{rule.term.text} is no worse than {bound.text} (as surely bounded)"
    allowed = bound.value if rule.term.name == "error_rate" else 1 - bound.value
    return f"no more than {written('share', float(f'{allowed:.6g}'))} fail"
