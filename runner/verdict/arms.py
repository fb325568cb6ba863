"""Both sides of a comparison in one run: segment by segment, the requests of one against those of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from runner.assertions import Selector, Term
from runner.comparison import Arms, Compare, Margin
from runner.load.frames import SLOT
from runner.statistics.balance import MISMATCH, split
from runner.statistics.comparison import Measured, Standing
from runner.statistics.cutting import Cut, Stretch, cut, joined
from runner.statistics.design_effect import clustering
from runner.statistics.frames import Truth
from runner.statistics.measures import measure
from runner.statistics.sureness import by_slot, requests_by_slot
from runner.timeline import HaltPulled
from runner.verdict.case import Case
from runner.verdict.compared import Comparison
from runner.verdict.comparing import EXPLORED, concluded, disagreements, explorations
from runner.verdict.guardrails import Pair, guarded
from runner.verdict.measuring import unit_of
from runner.verdict.record import Finding, Outcome
from runner.verdict.windows import Window, together, windows
from runner.verdict.wording import said

FEWEST = 6  # segments
_TIMES = 4  # correlation times that a segment lasts, so that one hardly knows of the next
_TAIL = 2  # requests that a segment must have beyond a quantile
_LEAST = 20  # requests of the smaller side in a segment
_REQUESTS = Term(name="requests", text="requests")


@dataclass(frozen=True, slots=True)
class _Cutting:
    """The segments that the window is cut into. *why*: too few of them to say anything."""

    seconds: float
    segments: tuple[Stretch, ...]
    why: str = ""


def compared_arms(case: Case) -> Comparison | None:
    """Judge the sides that ran beside each other; None where the scenario has none."""
    compare = case.plan.scenario.compare
    if compare is None or compare.arms is None:
        return None
    arms = compare.arms
    window = _steady_part(case, together(windows(compare.when, case.moments)))
    whole = tuple(Stretch(stretch.first, stretch.last) for stretch in window.stretches)
    cutting = _cut(case, compare, arms, whole, window.why)
    rails = [
        guarded(
            margin,
            _pairs(case, arms, margin.term, cutting.segments),
            unit=unit_of(case.plan, margin.term),
            things="segments",
        )
        for margin in compare.margins
    ]
    named = {margin.term.text for margin in compare.margins}
    terms = [
        (term, _pairs(case, arms, term, cutting.segments)) for term in EXPLORED if term.text not in named
    ]
    invalid = (cutting.why,) if cutting.why else _unequal(case, arms, whole)
    head = Comparison(
        scenario=case.plan.scenario.name,
        title=case.plan.scenario.title,
        when=compare.when.text,
        baseline=_name(arms.baseline),
        variant=_name(arms.variant),
        outcome=_halted(case),
        sentence=next((one.reason for one in case.record.events if isinstance(one, HaltPulled)), ""),
        unit="segments",
        planned=len(cutting.segments),
        used=len(cutting.segments),
        guardrails=tuple(rails),
        explored=tuple(explorations(terms)),
        invalid=(*case.doubts.all, *invalid),
        notes=(*_rates(case, arms, whole), *disagreements(rails)),
    )
    return concluded(head)


def arms_findings(case: Case) -> tuple[Finding, ...]:
    """The guardrails as findings of the run."""
    compare, found = case.plan.scenario.compare, compared_arms(case)
    if compare is None or found is None:
        return ()
    words: dict[str, Standing] = {"pass": "held", "fail": "broken", "inconclusive": "inconclusive"}
    why = found.invalid[0] if found.invalid else ""
    window = together(windows(compare.when, case.moments))
    return tuple(
        Finding(
            assertion=f"{rail.term} of {found.variant} against {found.baseline}: {rail.margin}",
            when=found.when,
            outcome="inconclusive" if why else words[rail.judgement],
            reason=why or rail.reason,
            value=rail.estimate,
            limit=rail.ceiling if rail.ceiling is not None else rail.floor,
            unit="count" if rail.relative else rail.unit,
            low=rail.low,
            high=rail.high,
            start=window.start,
            end=window.end,
            file=rail.file,
            line=rail.line,
        )
        for rail in found.guardrails
    )


def _halted(case: Case) -> Outcome:
    return (
        Outcome.HALTED if any(isinstance(one, HaltPulled) for one in case.record.events) else Outcome.PASSED
    )


def _steady_part(case: Case, window: Window) -> Window:
    """While an act shifts the share there, and back, it is neither: look from when it was done to when its undo began."""
    if window.why or not window.faults:
        return window
    lengths = {(one.fault, one.occurrence): one.end - one.start for one in case.plan.windows}
    spans = [
        (
            one.injected,
            min(
                case.moments.end if one.end is None else one.end,
                one.injected + lengths[one.fault, one.number],
            ),
        )
        for one in window.faults
    ]
    stretches = tuple(Stretch(math.ceil(start / SLOT), math.floor(end / SLOT)) for start, end in spans)
    return Window(window.start, window.end, stretches, tuple(spans), faults=window.faults)


def _cut(case: Case, compare: Compare, arms: Arms, whole: tuple[Stretch, ...], why: str) -> _Cutting:
    """Cut into segments long enough to be as good as independent, and to hold enough requests of both sides."""
    total = sum(stretch.seconds for stretch in whole)
    if why or not total:
        return _Cutting(0.0, (), why or "there was no time to measure in")
    counts = [_count(case, selector, whole) for selector in (arms.baseline, arms.variant)]
    if not all(counts):
        name = _name(arms.variant if counts[0] else arms.baseline)
        return _Cutting(0.0, (), f"no request of {name} was made {compare.when.text}")
    needed = max(_needed(margin) for margin in compare.margins) / (min(counts) / total)
    alike = max(_correlation(case, arms, margin.term, whole) for margin in compare.margins)
    seconds = compare.segment or max(1.0, needed, _TIMES * alike)
    width = max(1, math.ceil(seconds / SLOT - 1e-6))
    segments = tuple(
        Stretch(first, first + width)
        for stretch in whole
        for first in range(stretch.first, stretch.last - width + 1, width)
    )
    if len(segments) < FEWEST:
        return _Cutting(
            seconds,
            segments,
            f"{len(segments)} segments of {said(width * SLOT, 'seconds')} say too little; with {FEWEST * width * SLOT:.0f} s"
            f" {compare.when.text} there would be {FEWEST}",
        )
    return _Cutting(seconds, segments)


def _needed(margin: Margin) -> float:
    q = margin.term.quantile
    return max(_LEAST, _TAIL / (1 - q)) if q is not None else _LEAST


def _correlation(case: Case, arms: Arms, term: Term, whole: tuple[Stretch, ...]) -> float:
    """Over how many seconds the difference of the two sides stays alike; what befalls both is in neither's favour."""
    excess, variance, events = np.zeros(0), 0.0, math.inf
    for sign, selector in ((1, arms.variant), (-1, arms.baseline)):
        one = joined([cut(case.record.frames, _of(term, selector), stretch) for stretch in whole])
        bad, total = by_slot(one, _bad(one, term)), requests_by_slot(one)
        share, requests = bad.sum() / total.sum(), total.sum()
        own = sign * (bad - share * total) / requests
        excess = own + excess if len(excess) else own
        variance += share * (1 - share) / requests
        events = min(events, float(bad.sum()))
    if variance <= 0 or events <= 0:
        return 0.0
    return clustering(excess, variance, events=events, slot=SLOT).correlation


def _bad(one: Cut, term: Term) -> Truth:
    """The errors; of a latency, what is slower than its own quantile (or than most)."""
    if term.name in ("error_rate", "success_rate"):
        return one.bad
    order = np.sort(np.repeat(one.bucket, one.count))
    place = min(len(order) - 1, int((term.quantile or 0.5) * len(order))) if len(order) else 0
    return np.asarray(one.bucket > order[place] if len(order) else one.bad)


def _pairs(case: Case, arms: Arms, term: Term, segments: Sequence[Stretch]) -> list[Pair]:
    return [_pair(case, arms, term, segment) for segment in segments]


def _pair(case: Case, arms: Arms, term: Term, segment: Stretch) -> Pair:
    """Both values of one segment. A quantile of few requests lies lower than one of many: both are taken as of the few."""
    sides = (arms.baseline, arms.variant)
    if term.quantile is not None:
        fewest = min(_count(case, selector, (segment,)) for selector in sides)
        same = math.ceil(term.quantile * fewest - 1e-9) / (fewest + 1) if fewest else term.quantile
        term = msgspec.structs.replace(term, quantile=same)
    one, other = (_measured(case, term, selector, segment) for selector in sides)
    return one, other


def _measured(case: Case, term: Term, selector: Selector, segment: Stretch) -> Measured:
    return measure(case.record.frames, _of(term, selector), (segment,))


def _count(case: Case, selector: Selector, whole: tuple[Stretch, ...]) -> int:
    return measure(case.record.frames, _of(_REQUESTS, selector), whole).requests


def _of(term: Term, side: Selector) -> Term:
    """The term among the requests of one side."""
    own = term.selector
    selector = msgspec.structs.replace(
        own,
        load=side.load or own.load,
        request=side.request or own.request,
        labels={**own.labels, **side.labels},
    )
    return msgspec.structs.replace(term, selector=selector)


def _unequal(case: Case, arms: Arms, whole: tuple[Stretch, ...]) -> tuple[str, ...]:
    """Say whether the requests were shared otherwise than planned: then the sides are not alike."""
    if arms.share is None:
        return ()
    counts = [_count(case, selector, whole) for selector in (arms.baseline, arms.variant)]
    p = split(counts, [1 - arms.share, arms.share])
    if p >= MISMATCH:
        return ()
    share = counts[1] / sum(counts)
    return (
        f"{_name(arms.variant)} got {said(share, 'share')} of the requests, and {said(arms.share, 'share')} was planned (p = {p:.1g})",
    )


def _rates(case: Case, arms: Arms, whole: tuple[Stretch, ...]) -> list[str]:
    seconds = sum(stretch.seconds for stretch in whole)
    counts = {_name(one): _count(case, one, whole) for one in (arms.baseline, arms.variant)}
    if not seconds or not all(counts.values()):
        return []
    told = [
        f"{name}: {count:,} requests, {said(count / seconds, 'per second')}" for name, count in counts.items()
    ]
    every = measure(case.record.frames, _REQUESTS, whole).requests
    left = every - sum(counts.values())
    return [
        *told,
        *(
            [f"{left:,} requests belong to neither side: they have no answer, or one without the label"]
            if left > 0
            else []
        ),
    ]


def _name(selector: Selector) -> str:
    """Name a side as it was written."""
    parts = [f"{key}={value}" for key, value in selector.labels.items()]
    parts += [f"load={selector.load}"] if selector.load else []
    return ",".join([*parts, *([selector.request] if selector.request else [])])
