"""What a plan says a run can prove, and what its halt rules let happen, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from runner.plan_record import Harmful, Plan, Proof
from runner.planning.endings import LEAST, endings
from runner.verdict.wording import said, span


def proving(plan: Plan) -> Iterator[str]:
    """One assertion after the other, then one halt rule after the other."""
    if plan.proofs:
        yield ""
        yield "What this run can prove (finds, is sure: in four of five such runs)"
        for proof in plan.proofs:
            yield f"  {proof.when}: {proof.assertion}"
            yield f"      {_proof(proof)}"
        yield from (f"  {line}" for line in (*_altogether(plan), *_bases(plan)))
    if plan.scenario.stop_when_decided:
        yield ""
        yield f"What ends as soon as all about it is decided (after {LEAST:g} s at the soonest)"
        yield from (f"  {line}" for line in _endings(plan))
    if plan.harmful:
        yield ""
        yield "What happens before each halt (on average, from the moment that so many requests turn bad)"
        for rule in dict.fromkeys(one.rule for one in plan.harmful):
            yield f"  {rule}"
            yield from (f"      {_harm(one)}" for one in plan.harmful if one.rule == rule)


def _endings(plan: Plan) -> Iterator[str]:
    several = {one.fault for one in plan.windows if one.occurrence}
    for one in endings(plan):
        name = f"{one.fault} {one.occurrence + 1}" if one.fault in several else one.fault or "the time after"
        what = (
            f"lasts its {span(one.seconds)}: {one.kept}"
            if one.kept
            else ", ".join(asked.text for asked in one.asked)
        )
        yield f"{name}: {what}"


def _proof(proof: Proof) -> str:
    sees = "" if proof.requests is None else f"{_count(proof.requests)} requests in {span(proof.seconds)}"
    if proof.limit is None:
        return ": ".join(filter(None, [sees, proof.why]))
    parts = [_ends(proof)]
    if proof.finds is not None:
        parts.append(f"finds a true {said(proof.finds, 'share')}")
    if proof.needs_seconds is not None:
        parts.append(f"is sure of half and of twice the limit in {span(proof.needs_seconds)}")
    return f"{sees}: {'; '.join(parts)}"


def _bases(plan: Plan) -> Iterator[str]:
    """What the numbers rest on: said once, where it is the same for all."""
    found = dict.fromkeys(proof.basis for proof in plan.proofs if proof.limit is not None)
    for basis in found:
        of = [proof for proof in plan.proofs if proof.basis == basis and proof.limit is not None]
        which = "" if len(found) == 1 else f" ({', '.join(dict.fromkeys(one.assertion for one in of))})"
        yield f"rests on {basis}{which}"


def _ends(proof: Proof) -> str:
    """Up to which number of bad ones it is held, from which it is broken; the other way round for one that asks for harm."""
    asks_for_harm = proof.least is None and (proof.held or 0) > (proof.broken or 0)
    to, since = ("broken", "held") if asks_for_harm else ("held", "broken")
    under, over = (proof.broken, proof.held) if asks_for_harm else (proof.held, proof.broken)
    low = f"cannot be {to}" if under is None else f"{to} with up to {_some(proof, under)}"
    high = f"cannot be {since}" if over is None else f"{since} from {_some(proof, over)}"
    return f"{low}, {high}"


def _some(proof: Proof, number: int) -> str:
    share = f" ({said(number / (proof.requests or 1.0), 'share')})" if number else ""
    bad = proof.bad if number != 1 else proof.bad.replace("errors", "error").replace("requests", "request")
    return f"{number:,} {bad}{share}"


def _altogether(plan: Plan) -> Iterator[str]:
    """How much longer the run must be to decide all."""
    short = [
        one
        for one in plan.proofs
        if one.limit is not None and (one.needs_seconds is None or one.needs_seconds > one.seconds * 1.001)
    ]
    if not short:
        return
    worst = max(short, key=lambda one: one.needs_seconds or float("inf"))
    if worst.needs_seconds is None:
        yield f"no length of run decides `{worst.assertion}` {worst.when}"
        return
    yield (
        f"to decide all, also near their limits, {worst.when} must last {span(worst.needs_seconds)}"
        f" instead of {span(worst.seconds)} (`{worst.assertion}` needs most)"
    )


def _harm(one: Harmful) -> str:
    if one.why:
        return f"not foreseen: {one.why}"
    times = "all" if one.times is None else f"{one.times:g}x, {said(one.share, 'share')} of them"
    if one.seconds is None or one.requests is None or one.bad is None:
        return f"{times}: not stopped within the {span(one.within)} that a fault lasts"
    rest = (
        ""
        if one.stopped > 0.995
        else f", in {said(one.stopped, 'share')} of the faults of {span(one.within)}"
    )
    return f"{times}: stops after {span(one.seconds)}, {_count(one.requests)} requests, {_count(one.bad)} of them bad{rest}"


def _count(number: float) -> str:
    return f"{number:,.0f}"
