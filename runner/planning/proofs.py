"""What a run can prove, said before it: for each assertion what will decide it, and whether anything can. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runner.assertions import Assertion, Term
from runner.plan_record import Plan, Proof
from runner.planning.earlier import Earlier
from runner.planning.expected import pace, recovering, seconds_of, shortest
from runner.statistics.foresight import Asked, Noise, least, needed, ratio_found, reach
from runner.statistics.question import Question, question_of
from runner.statistics.recovery import fewest
from runner.statistics.selection import is_of_load
from runner.verdict.wording import said, span

SPREAD = 0.6  # of the logarithm of latencies, where nothing is known


def proofs(plan: Plan, earlier: Earlier) -> Iterator[Proof]:
    """One for each assertion, in the order in which they are judged."""
    sides = {"before": "steady state before", "after": "steady state after"}
    for kind, text in sides.items():
        for asked in plan.scenario.steady_state:
            when = msgspec.structs.replace(asked.when, kind=kind, text=text)
            yield _proof(plan, earlier, msgspec.structs.replace(asked, when=when))
    for asked in plan.scenario.expect:
        yield _proof(plan, earlier, asked)


def _proof(plan: Plan, earlier: Earlier, asked: Assertion) -> Proof:
    spans = shortest(plan, asked.when)
    seconds = seconds_of(spans)
    confidence = plan.scenario.confidence if asked.confidence is None else asked.confidence
    proof = Proof(
        assertion=asked.text,
        when=asked.when.text,
        seconds=seconds,
        confidence=confidence,
        file=asked.place.file,
        line=asked.place.line,
    )
    if asked.term.name == "recovery":
        return _of_recovery(plan, earlier, asked, proof)
    if not is_of_load(asked.term):
        return msgspec.structs.replace(proof, why=_of_time(plan, asked, seconds))
    expected = pace(plan, earlier, asked, spans)
    noise, known = noise_of(earlier, asked.term)
    basis = f"{expected.basis}; {known}"
    proof = msgspec.structs.replace(proof, requests=expected.number, basis=basis)
    if not confidence:
        return msgspec.structs.replace(proof, why="judged by the point alone, as confidence: none asks for")
    question = question_of(asked)
    if question is None or asked.lasting is not None:
        return msgspec.structs.replace(proof, why=_unasked(plan, earlier, asked, noise, confidence))
    if not expected.number or not seconds:
        return msgspec.structs.replace(proof, why=expected.basis if seconds else "it has no time")
    rate = expected.number / seconds
    looked = seconds if asked.over is None else min(asked.over, seconds)
    each = (
        1 - (1 - confidence) * looked / seconds
    )  # all windows together are to have the confidence asked for
    proof = msgspec.structs.replace(proof, confidence=each)
    return _decided(proof, question, noise, rate=rate, seconds=looked)


def _of_recovery(plan: Plan, earlier: Earlier, asked: Assertion, proof: Proof) -> Proof:
    """That it is itself again is sure once each line of the steady state is seen to hold; the tightest needs most."""
    spans = recovering(plan, asked.when)
    seconds = seconds_of(spans)
    proof = msgspec.structs.replace(
        proof, seconds=seconds, why=f"seen to the second, for up to {span(seconds)}"
    )
    lines = [(question.limit, line) for line in plan.scenario.steady_state
             if (question := question_of(line)) is not None and question.below]  # fmt: skip
    if not lines or not proof.confidence or not seconds:
        return proof
    limit, line = min(lines, key=lambda pair: pair[0])
    expected = pace(plan, earlier, line, spans)
    if not expected.number:
        return proof
    needs = fewest(limit, proof.confidence)
    time = span(needs * seconds / expected.number)
    why = f"{proof.why}; sure after {needs:,} requests ({time}) if none breaks `{line.text}`"
    return msgspec.structs.replace(
        proof, requests=expected.number, basis=expected.basis, least=needs, why=why
    )


def _decided(proof: Proof, question: Question, noise: Noise, *, rate: float, seconds: float) -> Proof:
    """*seconds*: that one look covers; of several the worst decides."""
    asked = Asked(question.limit, question.slow is not None, proof.confidence, noise)
    found = reach(asked, rate * seconds, seconds)
    needs = needed(asked, rate)
    return msgspec.structs.replace(
        proof,
        seconds=seconds,
        requests=rate * seconds,
        bad=_bad(question),
        limit=question.limit,
        held=found.under if question.below else found.over,
        broken=found.over if question.below else found.under,
        finds=found.finds if question.below else found.shows,
        least=least(asked, rate) if question.below else None,
        needs=needs,
        needs_seconds=None if needs is None else needs / rate,
    )


def _bad(question: Question) -> str:
    if question.slow is None:
        return "errors"
    return f"requests of {'at least' if question.reached else 'more than'} {said(question.slow, 'seconds')}"


def noise_of(earlier: Earlier, term: Term) -> tuple[Noise, str]:
    """The noise of a term in the A/A runs, else of the noisiest of them, else none at all."""
    found = earlier.calibration.noise if earlier.calibration is not None else ()
    if not found:
        return Noise(), "as if requests were independent, which is optimistic: squall aa measures it"
    named = [one for one in found if one.term == term.text] or list(found)
    worst = max(named, key=lambda one: one.design_effect)
    return Noise(
        worst.design_effect, worst.correlation
    ), f"design effect {worst.design_effect:.3g} by the A/A runs"


def _of_time(plan: Plan, asked: Assertion, seconds: float) -> str:
    """Of what is no count of requests, say how much there will be to see."""
    name = asked.term.of or asked.term.name
    own = (*plan.scenario.indicators, *plan.environment.indicators)
    every = next((one.every for one in own if one.name == name), 1.0)
    return f"about {seconds / every:.0f} samples of {name}"


def _unasked(plan: Plan, earlier: Earlier, asked: Assertion, noise: Noise, confidence: float) -> str:
    """Of what is compared with another measured value, say the change that is found; of the rest, how it is judged."""
    term = asked.term
    relative = asked.within is not None or asked.bound.factor is not None
    if not relative:
        sampled = term.name in {"mean", "rps"}
        return (
            "its interval rests on a spread that is not known before"
            if sampled
            else "a fact: judged as it is counted"
        )
    if term.name != "quantile" or term.quantile is None:
        return "compared with what is measured then"
    calm = pace(plan, earlier, asked, [(-plan.scenario.before, 0.0)]).number or 0.0
    seen = pace(plan, earlier, asked, shortest(plan, asked.when)).number or 0.0
    change = ratio_found(term.quantile, (calm, seen), noise=noise, confidence=confidence, spread=SPREAD)
    if change is None:
        return "there are no requests to compare"
    return (
        f"a change of {said(change, 'share')} beyond the bound is found in four of five runs,"
        f" if latencies spread like exp({SPREAD:g} z)"
    )


def warnings_about(proof: Proof) -> Iterator[str]:
    """Of what cannot be held whatever is seen: with no bad request at all."""
    if proof.requests is None or proof.held is not None:
        return
    where = f"{proof.file}:{proof.line}: `{proof.assertion}` {proof.when}"
    sure = said(proof.confidence, "share")
    if proof.limit is None:
        if proof.least is not None and proof.requests < proof.least:
            yield (
                f"{where} cannot be held: {proof.requests:,.0f} requests are too few to show at {sure} that the"
                f" steady state holds again; it takes {proof.least:,} ({span(proof.least * proof.seconds / proof.requests)})"
            )
        return
    if proof.least is None:
        yield f"{where} cannot be decided: {proof.requests:,.0f} requests are too few at {sure}"
        return
    rate = proof.requests / proof.seconds
    yield (
        f"{where} cannot be held: even 0 {proof.bad} in {proof.requests:,.0f} cannot show"
        f" < {said(proof.limit, 'share')} at {sure}; it takes {proof.least:,} ({span(proof.least / rate)})"
    )
