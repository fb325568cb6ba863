"""What a search found, in sentences that an owner can act on."""

from __future__ import annotations

from collections.abc import Iterator

from runner.report.words import digits, quantity
from runner.search_record import Knob, Ratio, Searched, Side
from runner.statistics.edge import CONFIDENCE
from runner.verdict.record import Outcome

_UNITS = {
    "duration": "seconds",
    "rate": "per second",
    "share": "share",
    "size": "bytes",
    "bandwidth": "bytes",
    "cores": "cores",
    "count": "count",
}
_SURE = f"{CONFIDENCE:.0%}".replace("%", " %")


def said_level(knob: Knob, level: float) -> str:
    """Say a level: `118/s`, `180 ms`, `31 %`."""
    text = quantity(level, _UNITS[knob.kind])
    return f"{text}/s" if knob.kind == "bandwidth" else text


def sentences(
    knob: Knob, sides: tuple[Side, ...], ratio: Ratio | None, faults: tuple[str, ...], *, resolution: float
) -> tuple[str, ...]:
    """Say it all; the comparison comes first where there is one."""
    found = [_side(knob, side, faults, resolution) for side in sides]
    if ratio is not None:
        found.insert(0, _compared(knob, sides, ratio, faults))
    return tuple(found)


def outcome_of(sides: tuple[Side, ...]) -> Outcome:
    """Found, or cannot tell."""
    return Outcome.PASSED if all(side.found for side in sides) else Outcome.INCONCLUSIVE


def answer_line(searched: Searched, folder: str) -> str:
    """Write the last line of the output."""
    word = "found" if searched.outcome is Outcome.PASSED else searched.outcome.value
    return f"{word}: {searched.sentences[0]}, {folder}"


def explained(searched: Searched, side: Side) -> Iterator[str]:
    """What the Universal Scalability Law says of the trials, and what a million requests cost."""
    law = side.scaling
    if law is not None and law.knee is not None and law.low is not None:
        upto = f"{digits(law.low)} to {digits(law.high)}" if law.high else f"at least {digits(law.low)}"
        yield (
            f"Universal Scalability Law: throughput stops growing with {digits(law.knee)} requests under way"
            f" ({_SURE}: {upto}), at {digits(law.peak or 0)}/s; contention {digits(100 * (law.contention or 0))} %,"
            f" coherency {digits(100 * (law.coherency or 0))} %"
        )
    elif law is not None:
        yield f"Universal Scalability Law: no knee is claimed: {law.why}"
    if side.cost is not None and searched.kind == "capacity":
        yield f"a million requests at that rate cost {side.cost:.2f} {side.currency}, at {side.price:g} {side.currency} an hour"
    if side.spread is not None and side.found:
        yield f"from trial to trial the edge varied by about {digits(100 * side.spread)} %"


def _side(knob: Knob, side: Side, faults: tuple[str, ...], resolution: float) -> str:
    where = f"{_does(knob, side.environment)}"
    breaking = f"before `{side.breaks}` breaks" if side.breaks else "before an assertion breaks"
    trials = f"{len(side.shots)} trials"
    if side.value is None:
        return f"{side.environment}: no trial said anything about it: {side.why or 'there was none'}"
    if side.found and side.low is not None and side.high is not None:
        between = f"({_SURE}: {said_level(knob, side.low)} to {said_level(knob, side.high)})"
        return (
            f"{where} {_way(knob)} {said_level(knob, side.value)} {between}{_with(knob, faults)} {breaking}"
        )
    worst, best = (side.high, side.low) if knob.larger_is_worse else (side.low, side.high)
    return (
        f"{where} {_bound(knob, side, best, worst, trials, resolution)}{_with(knob, faults)}{_because(side)}"
    )


def _bound(
    knob: Knob, side: Side, best: float | None, worst: float | None, trials: str, resolution: float
) -> str:
    """One-sided, or wider than was asked for. *best*: the level that it bears for certain."""
    more, less = ("more than", "less than") if knob.larger_is_worse else ("less than", "more than")
    if best is not None and worst is not None:
        return (
            f"{_way(knob)} somewhere between {said_level(knob, min(best, worst))} and"
            f" {said_level(knob, max(best, worst))} ({_SURE}) after {trials}, wider than the ±{resolution:.0%} asked for"
        )
    if best is not None and side.ceiling is not None:
        ceiling = said_level(knob, side.ceiling)
        return f"{more} {said_level(knob, best)} ({_SURE}): the load generator cannot offer {ceiling}, so what lies beyond is not known"
    if best is not None:
        return f"{more} {said_level(knob, best)} ({_SURE}): the most that was tried still held"
    if worst is not None:
        return f"{less} {said_level(knob, worst)} ({_SURE}): the least that was tried breaks `{side.breaks or 'an assertion'}`"
    return f"an unknown level after {trials}"


def _because(side: Side) -> str:
    return f"; {side.why}" if side.why else ""


def _does(knob: Knob, environment: str) -> str:
    return f"{environment} serves" if knob.of_load else f"{environment} bears {_article(knob.name)}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _way(knob: Knob) -> str:
    return "up to" if knob.larger_is_worse else "down to"


def _with(knob: Knob, faults: tuple[str, ...]) -> str:
    return f", with {' and '.join(faults)}," if faults and knob.of_load else ""


def _compared(knob: Knob, sides: tuple[Side, ...], ratio: Ratio, faults: tuple[str, ...]) -> str:
    baseline, variant = sides
    what = "the rate" if knob.of_load else f"the {knob.name}"
    same = baseline.breaks and baseline.breaks == variant.breaks
    where = f" before `{baseline.breaks}` breaks" if same else " before an assertion breaks"
    between = f"({_SURE}: {_times(ratio.low)} to {_times(ratio.high)})"
    verb = "serves" if knob.of_load else "bears"
    text = f"{variant.environment} {verb} {_times(ratio.value)}x {what} of {baseline.environment} {between}{_with(knob, faults)}{where}"
    if ratio.cost is None or ratio.cost_low is None or ratio.cost_high is None or not knob.of_load:
        return text
    return f"{text}, at {_times(ratio.cost)}x the cost per request ({_times(ratio.cost_low)} to {_times(ratio.cost_high)})"


def _times(factor: float) -> str:
    return f"{factor:.2f}"
