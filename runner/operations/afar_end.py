"""The end of an effect at another place: who undid it is read, or it is undone by a fresh helper; then none is left."""

from __future__ import annotations

import functools
import select
from dataclasses import dataclass

import msgspec

from runner import clock
from runner.errors import OperationFailed
from runner.helper.posting import Ground, Standing, ground, labels_of, name_of
from runner.helper.protocol import ROLES, Orders, Report, Role, line, read_report
from runner.operations.at_once import at_once
from runner.operations.record import AfarGone, CheckAfar, Reading
from runner.remote.calling import ApiError
from runner.remote.stream import Stream

LOOK = 0.05  # seconds between two looks
BEYOND = 3.0  # seconds that a helper has to undo when its lease is over
FIRST = 2.0  # seconds for the first look of a hand helper
_LAST = ("clean", "dirty")  # after these a helper does nothing any more
FRESH = 15.0  # seconds for a fresh helper to be there and to undo


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of a helper."""

    standing: Standing
    last: Report | None


def perform_afar_gone(operation: AfarGone) -> Reading:
    """Verify that all is undone, and take the helpers away. Raises OperationFailed where it cannot be told."""
    try:
        return _gone(operation)
    except ApiError as error:
        if error.status:
            raise
        raise OperationFailed(
            f"nobody can tell us whether it is undone ({error}); helpers undo by themselves when they"
            f" hear nothing for {operation.lease:g} s"
        ) from error


def _gone(operation: AfarGone) -> Reading:
    place = ground(operation.post)
    record = name_of(operation.run, operation.act, "record")
    until = clock.now() + operation.lease + BEYOND
    hand = _left(place, operation, "hand", until)
    evidence = _by_hand(hand)
    if not evidence:
        warden = _left(place, operation, "warden", until, after_other=hand.standing == "gone")
        if hand.standing == warden.standing == "gone" and place.recorded(record) is False:
            evidence = "nothing is left there: neither helpers nor a record of what they did"
        else:
            evidence = _by_warden(warden) or place.target_gone() or _fresh(place, operation)
    names = [name_of(operation.run, operation.act, role) for role in ROLES]
    for problem in at_once(functools.partial(place.remove, name, wait=False) for name in names):
        raise problem
    place.forget(record)
    return Reading(evidence=evidence)


def perform_check_afar(operation: CheckAfar) -> Reading:
    """Read what the hand helper's own checks saw last; wait a moment for its first."""
    place = ground(operation.post)
    name = name_of(operation.run, operation.act, "hand")
    until = clock.now() + FIRST
    while True:
        reports = place.reports(name)
        if reports and reports[-1].state == "seen":
            seen = reports[-1]
            if seen.problem or not seen.readings:
                said = seen.problem or "the helper looks at nothing"
                return Reading(ok=None, evidence=said, looked=False)
            return together(seen.readings, "")
        if reports and reports[-1].state in ("failed", "clean", "dirty"):
            return Reading(
                ok=False, evidence=f"the helper undid it already: {reports[-1].problem}".rstrip(": ")
            )
        if clock.now() >= until:
            return Reading(ok=None, evidence=f"the helper {name} has not looked yet", looked=False)
        select.select((), (), (), LOOK)


def together(readings: tuple[Reading, ...], otherwise: str) -> Reading:
    """Make one reading of several: the worst counts."""
    oks = [reading.ok for reading in readings]
    ok = False if False in oks else None if None in oks else True
    return Reading(
        ok=ok, evidence="; ".join(each.evidence for each in readings if each.evidence) or otherwise
    )


def _left(
    place: Ground, operation: AfarGone, role: Role, until: float, *, after_other: bool = False
) -> _Left:
    """Wait for a helper's end: it comes when its lease is over, if not before; one without orders is given ours."""
    name = name_of(operation.run, operation.act, role)
    while (standing := place.standing(name)) == "running" and clock.now() < until:
        reports = place.reports(name)
        if reports and reports[-1].state in _LAST:  # its node may take seconds to tell that it ended
            return _Left("ended", reports[-1])
        if not reports and (said := _idle(place, operation, name, until)):
            return _Left("ended", msgspec.structs.replace(said, after_other=after_other))
        select.select((), (), (), LOOK)
    if standing == "gone":
        return _Left("gone", None)
    reports = place.reports(name)
    if standing == "running":
        place.remove(name)  # it hangs: from here on it does no harm
    return _Left(standing, reports[-1] if reports else None)


def _idle(place: Ground, operation: AfarGone, name: str, until: float) -> Report | None:
    """Let a helper that nobody gave orders undo: from then on it does nothing else. None where it did not."""
    try:
        return _undone_by(place.attach(name), operation, until)[0]
    except OperationFailed:
        return None


def _by_hand(hand: _Left) -> str:
    """Say that the hand helper undid, or did nothing; nothing where that is not certain."""
    if hand.standing == "ended" and hand.last is None:
        return "the hand helper never began"
    if hand.last and hand.last.why == "nothing done":
        return f"the hand helper did nothing: {hand.last.problem}"
    if hand.standing == "ended" and hand.last and hand.last.state == "clean":
        return f"the hand helper undid it ({_why(hand.last)}): {_evidence(hand.last)}"
    return ""


def _by_warden(warden: _Left) -> str:
    """Say that the warden undid; what it undid before the hand helper's end may have been done again."""
    if warden.last and warden.last.state == "clean" and warden.last.after_other:
        return f"the warden undid it, the hand helper was gone: {_evidence(warden.last)}"
    return ""


def _fresh(place: Ground, operation: AfarGone) -> str:
    """Undo by a helper that is posted now."""
    name = name_of(operation.run, operation.act, "undo")
    place.remove(name)
    try:
        stream = place.post(name, labels_of(operation.run, operation.act, "undo"))
    except OperationFailed:
        if gone := place.target_gone():  # it went meanwhile: there is nothing to stand beside
            return gone
        raise
    last, complaint = _undone_by(stream, operation, clock.now() + FRESH)
    if last is None:
        raise OperationFailed(
            f"a fresh helper did not undo within {FRESH:g} s: {complaint or 'it said nothing'}"
        )
    if last.state == "dirty":
        raise OperationFailed(last.problem)
    return f"a fresh helper undid it: {_evidence(last)}"


def _undone_by(stream: Stream, operation: AfarGone, until: float) -> tuple[Report | None, str]:
    """Order a helper to undo and nothing else; return how that ended, and what it complained of last."""
    try:
        stream.send(
            line(Orders(role="undo", post=operation.post, undo=operation.undo, lease=operation.lease))
        )
        last, failed = None, ""
        while last is None and clock.now() < until and not stream.ended:
            select.select((stream,), (), (), LOOK)
            reports = [report for text in stream.lines() if (report := read_report(text))]
            last = next((each for each in reports if each.state in _LAST), None)
            failed = next((each.problem for each in reversed(reports) if each.state == "failed"), failed)
        return last, failed or getattr(stream, "trouble", b"").decode(errors="replace").strip()
    finally:
        stream.close()


def _why(report: Report) -> str:
    return {"told": "when told", "hung up": "when we hung up", "silence": "when its lease was over"}.get(
        report.why, f"because of {report.why or 'no reason it gave'}"
    )


def _evidence(report: Report) -> str:
    return "; ".join(each.evidence for each in report.readings if each.evidence) or "nothing to undo"
