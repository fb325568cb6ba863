"""The verdict of a comparison, purely from the records of its trials: guardrails, checks, cost and one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from runner.assertions import Term
from runner.comparison import Compare
from runner.statistics.paired import Judgement, holm, interval
from runner.verdict.case import Case
from runner.verdict.compared import Comparison, Cost, Explored, Guardrail, TrialSeen
from runner.verdict.doubting import doubts_of
from runner.verdict.fairness import achieved, drifted, unequal
from runner.verdict.guardrails import Pair, explored, guarded
from runner.verdict.measuring import unit_of
from runner.verdict.record import Outcome
from runner.verdict.windows import together, windows
from runner.verdict.wording import said

_MOST_UNUSED = 0.25  # of the pairs: what is left out may be what would have told most
_OUTCOMES: dict[Judgement, Outcome] = {
    "fail": Outcome.FAILED,
    "inconclusive": Outcome.INCONCLUSIVE,
    "pass": Outcome.PASSED,
}
EXPLORED = (
    *(Term(name="quantile", quantile=q / 100, text=f"p{q}") for q in (50, 95, 99)),
    *(Term(name=name, text=name) for name in ("error_rate", "rps")),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: what is said of it, and what it measured (None: nothing can be read)."""

    seen: TrialSeen
    case: Case | None


def usable(case: Case, compare: Compare) -> str:
    """Say why a trial says nothing; empty where it does."""
    if doubts := doubts_of(case):
        return doubts[0]
    window = together(windows(compare.when, case.moments))
    return window.why or case.unconfirmed(window)


def compared(compare: Compare, pairs: Sequence[tuple[Trial, Trial]], head: Comparison) -> Comparison:
    """Judge pairs of trials of which each was a whole run. *head* names the two sides."""
    good = [pair for pair in pairs if not any(one.seen.unused or one.case is None for one in pair)]
    cases = [(one.case, other.case) for one, other in good if one.case and other.case]
    seen = tuple(trial.seen for pair in pairs for trial in pair)
    unused = len(pairs) - len(good)
    invalid = unequal(cases, compare.when)
    if unused > _MOST_UNUSED * len(pairs):
        first = next(one.unused for one in seen if one.unused)
        invalid = (f"{unused} of {len(pairs)} pairs cannot be used: {first}", *invalid)
    rails, found, notes = [], [], list[str]()
    for margin in compare.margins:
        unit = unit_of(cases[0][0].plan, margin.term) if cases else ""
        rail = guarded(margin, _measured(compare, cases, margin.term), unit=unit)
        rails.append(rail)
        moved, is_too_much = drifted(margin, [one.seen for one, _ in good], rail)
        notes += [moved] if moved and not is_too_much else []
        invalid += (moved,) if is_too_much else ()
    if unused and not invalid:
        notes.append(f"{unused} of {len(pairs)} pairs were left out")
    named = {margin.term.text for margin in compare.margins}
    if cases and cases[0][0].plan.scenario.loads:
        found = explorations(
            [(term, _measured(compare, cases, term)) for term in EXPLORED if term.text not in named]
        )
    notes += disagreements(rails)
    made = msgspec.structs.replace(
        head,
        used=len(good),
        guardrails=tuple(rails),
        explored=tuple(found),
        cost=_cost(compare, cases, head),
        invalid=invalid,
        notes=tuple(dict.fromkeys([*notes, *achieved(cases, compare.when)])),
        trials=seen,
    )
    return concluded(made)


def concluded(made: Comparison) -> Comparison:
    """Add the outcome and the sentence, unless the head already says what stopped it."""
    if made.outcome is not Outcome.PASSED:
        return made
    order: list[Judgement] = ["fail", "inconclusive", "pass"]
    rails = sorted(made.guardrails, key=lambda rail: order.index(rail.judgement))
    outcome = Outcome.INCONCLUSIVE if made.invalid else _OUTCOMES[rails[0].judgement]
    said_of = "; ".join(rail.reason for rail in rails[:3])
    said_of += f"; and {len(rails) - 3} more" if len(rails) > 3 else ""
    match outcome:
        case _ if made.invalid:
            text = f"cannot tell: {made.invalid[0]}"
        case Outcome.FAILED:
            text = f"{made.variant} is worse than {made.baseline} {made.when}: {said_of}"
        case Outcome.INCONCLUSIVE:
            text = (
                f"cannot tell whether {made.variant} does as well as {made.baseline} {made.when}: {said_of}"
            )
        case _:
            text = f"{made.variant} serves the same load as {made.baseline} {made.when}: {said_of}"
    if made.cost is not None and not made.invalid:
        text += f"; at {_costs(made.cost)}"
    return msgspec.structs.replace(made, outcome=outcome, sentence=text)


def explorations(terms: Sequence[tuple[Term, Sequence[Pair]]]) -> list[Explored]:
    """Look at terms without margins, all together."""
    found = [
        made
        for term, pairs in terms
        if (made := explored(term.text, pairs, unit=_unit(term), relative=term.name != "error_rate"))
    ]
    adjusted = holm([one.p for one, _ in found])
    return [msgspec.structs.replace(one, p=p) for (one, _), p in zip(found, adjusted, strict=True)]


def disagreements(rails: Sequence[Guardrail]) -> list[str]:
    """Name the guardrails of which the exact test does not say what the t interval says."""
    return [
        f"{rail.term}: the permutation test alone would not pass it (p = {rail.exact:.2g}): a pair lies far from the others"
        for rail in rails
        if rail.judgement == "pass" and rail.exact is not None and rail.exact >= 0.05
    ]


def _unit(term: Term) -> str:
    return {"quantile": "seconds", "error_rate": "share", "rps": "per second"}[term.name]


def _measured(compare: Compare, cases: Sequence[tuple[Case, Case]], term: Term) -> list[Pair]:
    return [(one.measured(term, compare.when), other.measured(term, compare.when)) for one, other in cases]


def _cost(compare: Compare, cases: Sequence[tuple[Case, Case]], head: Comparison) -> Cost | None:
    """Compare what a million good requests cost: prices are constants, so the interval is that of the throughput."""
    if len(cases) < 2:
        return None
    prices, currency = [], compare.currency
    for name, case in zip((head.baseline, head.variant), cases[0], strict=True):
        own = case.plan.environment.price
        price = compare.prices.get(name, own.value if own else None)
        if price is None:
            return None
        currency = compare.currency or (own.currency if own else "")
        prices.append(price)
    rates = [[_good_rate(compare, case) for case in pair] for pair in cases]
    if not all(rate > 0 for pair in rates for rate in pair):
        return None
    seen = interval([math.log(variant / base) for base, variant in rates])
    ratio = prices[1] / prices[0]
    base, variant = (
        prices[side] / 3600 / (math.fsum(pair[side] for pair in rates) / len(rates)) * 1e6 for side in (0, 1)
    )
    same = all(load.model == "rate" for load in cases[0][0].plan.scenario.loads)
    return Cost(
        currency=currency,
        baseline=base,
        variant=variant,
        ratio=ratio / math.exp(seen.estimate),
        low=ratio / math.exp(seen.high),
        high=ratio / math.exp(seen.low),
        note="both were offered the same rate, so this is little more than the ratio of the prices;"
        " what each can bear says `squall capacity`"
        if same
        else "",
    )


def _good_rate(compare: Compare, case: Case) -> float:
    rate, bad = (case.measured(Term(name=name), compare.when).value for name in ("rps", "error_rate"))
    return (rate or 0.0) * (1 - (bad or 0.0))


def _costs(cost: Cost) -> str:
    variant, base = (f"{said(value, 'count')} {cost.currency}" for value in (cost.variant, cost.baseline))
    return f"{cost.ratio:.2f}x the cost per million requests ({variant} instead of {base})"
