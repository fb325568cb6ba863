"""What one trial shows: the system bears the level, breaks at it, or the trial says nothing, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runner.assertions import Assertion, When
from runner.search_record import Knob, Shot, Shows
from runner.statistics.comparison import holds, looks_up
from runner.statistics.flow import Flow, flow
from runner.verdict.case import Case
from runner.verdict.doubting import doubts_of
from runner.verdict.record import Finding, Outcome, Verdict
from runner.verdict.windows import windows

BEHIND = 0.95  # a system that answers less than this share of what is offered does not bear it, whatever else holds
_STEADY_BEFORE = "steady state before"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a trial shows and why; *assertion*: which one broke."""

    shows: Shows
    reason: str
    assertion: str = ""


def shot_of(case: Case, verdict: Verdict, *, knob: Knob, level: float, label: str, folder: str) -> Shot:
    """Read a trial at *level* as evidence."""
    seen = _flow(case)
    shown = _shown(case, verdict, seen, of_load=knob.of_load)
    return Shot(
        label=label,
        folder=folder,
        level=level,
        shows=shown.shows,
        reason=shown.reason,
        assertion=shown.assertion,
        saturated=shown.shows == "nothing" and bool(case.doubts.swollen),
        offered=seen.offered if seen else None,
        answered=seen.answered if seen else None,
        served=seen.served if seen else None,
        in_flight=seen.in_flight if seen else None,
    )


def _shown(case: Case, verdict: Verdict, seen: Flow | None, *, of_load: bool) -> Shown:
    if case.doubts.swollen:
        return Shown("nothing", case.doubts.swollen[0])
    unsteady = _first(verdict, "broken", steady=True)
    if unsteady is not None and not of_load:
        return Shown("nothing", verdict.reason)  # the fault cannot have done that: it was not there yet
    broken = unsteady or _first(verdict, "broken")
    if broken is not None and verdict.outcome is not Outcome.PASSED:
        return Shown("breaks", broken.reason, _named(broken))
    if verdict.outcome is Outcome.HALTED:
        return Shown("breaks", verdict.reason, "halt")
    if verdict.outcome is Outcome.PASSED:
        return _kept_up(seen) or Shown("bears", verdict.reason)
    leaning = _leaning(case, verdict)
    if leaning is not None and leaning.shows == "bears":
        return _kept_up(seen) or leaning
    return leaning or Shown("nothing", verdict.reason)


def _kept_up(seen: Flow | None) -> Shown | None:
    """Open model: what is offered must come out again, or a queue grows that no assertion has seen yet."""
    if seen is None or seen.offered is None or seen.answered >= BEHIND * seen.offered:
        return None
    share = seen.answered / seen.offered
    return Shown(
        "breaks", f"it answered only {share:.0%} of the {seen.offered:.3g}/s that were offered", "keeps up"
    )


def _leaning(case: Case, verdict: Verdict) -> Shown | None:
    """Count a trial whose intervals hold their limits on the side of its values: the search allows for that noise.

    None where anything else is unknown: then the trial says nothing.
    """
    if doubts_of(case):
        return None
    open_ones = [finding for finding in verdict.findings if finding.outcome == "inconclusive"]
    asked = {one.text: one for one in (*case.plan.scenario.expect, *case.plan.scenario.steady_state)}
    for finding in open_ones:
        assertion = asked.get(finding.assertion)
        side = _side(finding, assertion) if assertion is not None else None
        if side is None:
            return None
        if not side:
            return Shown("breaks", f"by a hair: {finding.reason}", _named(finding))
    return Shown("bears", f"by a hair: {verdict.reason}") if open_ones else None


def _side(finding: Finding, assertion: Assertion) -> bool | None:
    """Whether the value by itself holds, where only the interval around it leaves that open; else None."""
    unmeasured = finding.low is None and finding.high is None and finding.confidence is None
    if finding.value is None or finding.limit is None or unmeasured:
        return None
    low = -math.inf if finding.low is None else finding.low
    high = math.inf if finding.high is None else finding.high
    if not low <= finding.limit <= high or assertion.within is not None or assertion.lasting is not None:
        return None
    if finding.confidence is None and finding.high is None and looks_up(assertion.op):
        return False  # some were never answered
    return holds(assertion.op, finding.value, finding.limit)


def _first(verdict: Verdict, outcome: str, *, steady: bool = False) -> Finding | None:
    return next(
        (
            finding
            for finding in verdict.findings
            if finding.outcome == outcome and (not steady or finding.when == _STEADY_BEFORE)
        ),
        None,
    )


def _named(finding: Finding) -> str:
    """Name an assertion so that the same one of several trials counts as one."""
    when = {"steady state before": "", "steady state after": "", "halt": "", "always": ""}.get(
        finding.when, finding.when
    )
    return f"{when}: {finding.assertion}" if when else finding.assertion


def _flow(case: Case) -> Flow | None:
    """From the end of the warm-up to the end of the load."""
    (window,) = windows(When(kind="always"), case.moments)
    return None if window.why else flow(case.record.frames, window.stretches[0])
