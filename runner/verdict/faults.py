"""What was done to whom, from the events of the acts: confirmed or not, undone by whom, dirty or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from runner.journal_copy import JOURNAL, Last
from runner.plan_record import Plan
from runner.record import Record
from runner.timeline import ActChanged, Confirmed, Control, Escaped
from runner.verdict.record import FaultReport

_TOUCHED = {"injecting", "injected", "failed"}
_ROLLBACK = "look at it by hand, then run squall rollback"


def fault_reports(plan: Plan, record: Record) -> tuple[FaultReport, ...]:
    """One report for each occurrence of a fault that was at least armed, in the order of time."""
    uses = {use.name: use for use in plan.scenario.faults}
    changes: dict[tuple[str, int], list[ActChanged]] = {}
    readings: dict[tuple[str, int], list[Confirmed]] = {}
    beside: dict[tuple[str, int], list[Escaped | Control]] = {}
    for event in record.events:
        if isinstance(event, ActChanged) and event.fault in uses:
            changes.setdefault((event.fault, event.occurrence), []).append(event)
        elif isinstance(event, Confirmed):
            readings.setdefault((event.fault, event.occurrence), []).append(event)
        elif isinstance(event, Escaped | Control):
            beside.setdefault((event.fault, event.occurrence), []).append(event)
    undone = frozenset(one.act for one in record.journal.untold(record.events) if one.state == "clean")
    does = {harm.fault: harm.does for harm in plan.harms}
    return tuple(
        _with_others(
            _report(
                changes[name],
                readings.get(name, []),
                does=does.get(name[0], ""),
                undone=undone,
                is_limit=uses[name[0]].fault.is_limit,
            ),
            beside.get(name, []),
            plan.known_as,
        )
        for name in changes
    )


def left_dirty(record: Record) -> tuple[str, ...]:
    """What is not as it was after other acts than faults: managed processes and links."""
    last: dict[str, ActChanged] = {}
    for event in record.events:
        if isinstance(event, ActChanged):
            last[event.act] = event
    found = [_mend(event) for event in last.values() if event.state == "dirty"]
    left = [one for one in record.journal.untold(record.events) if _is_left(one, last.get(one.act))]
    return (*found, *(f"{one.instance}: {JOURNAL} says that {one.said}; {_ROLLBACK}" for one in left))


def _is_left(one: Last, told: ActChanged | None) -> bool:
    """Tell whether the journal alone knows that it was done and not undone; what the timeline knows, it says itself."""
    if one.state == "dirty":
        return True
    return bool(one.fault) and one.state not in {"armed", "clean"} and (told is None or told.state == "armed")


def _report(
    changes: list[ActChanged], readings: list[Confirmed], *, does: str, undone: frozenset[str], is_limit: bool
) -> FaultReport:
    """*undone*: acts that only the journal knows to be. *is_limit*: where it was looked at, never to be reached is an answer."""
    first = changes[0]
    acts = {event.act: event.instance for event in changes}
    last = {event.act: event for event in changes}
    confirmed, unseen, evidence = _confirmation(acts, changes, readings)
    touched = {event.act for event in changes if event.state in _TOUCHED}
    dirty = [_mend(event) for event in last.values() if event.state == "dirty"]
    left = {act for act in touched if last[act].state not in {"clean", "dirty"}}
    dirty += [_unknown(last[act]) for act in sorted(left - undone)]
    clean = [event for event in last.values() if event.state == "clean"]
    final = max(clean, key=lambda event: event.at, default=None)
    reverted = final if final is not None and not dirty and not left else None
    begun = [event.at for event in changes if event.state in {"injected", "failed"}]
    started = [event.at for event in changes if event.state == "injecting"]
    return FaultReport(
        name=first.fault,
        kind=first.kind,
        does=does,
        occurrence=first.occurrence,
        instances=tuple(sorted(set(acts.values()))),
        confirmed=confirmed,
        unseen=unseen and not (is_limit and any(reading.looked for reading in readings)),
        evidence=evidence,
        injected_at=min(begun or started, default=None),
        reverted_at=reverted.at if reverted else None,
        reverted_by=reverted.by if reverted else "" if dirty or not left else JOURNAL,
        dirty="; ".join(dirty),
    )


def _with_others(
    report: FaultReport, events: list[Escaped | Control], known_as: Mapping[str, str]
) -> FaultReport:
    """Add real names, who came while it lasted, and what was seen of those that it must not touch."""
    names = tuple(known_as.get(name, "") for name in report.instances)
    came = [event for event in events if isinstance(event, Escaped)]
    seen = [event for event in events if isinstance(event, Control)]
    joined = tuple(name for event in came if event.joined for name in event.instances)
    escaped = tuple(name for event in came if not event.joined for name in event.instances)
    spared = tuple(event.instance for event in seen if event.leaked is False)
    said = [f"{len(joined)} came later and joined it"] if joined else []
    said += [f"{len(escaped)} came later and escaped it: {', '.join(escaped)}"] if escaped else []
    said += [f"{', '.join(spared)} was left alone"] if spared else []
    said += [
        f"whether {one.instance} was left alone cannot be told: {one.evidence}"
        for one in seen
        if one.leaked is None
    ]
    return msgspec.structs.replace(
        report,
        known_as=names if any(names) else (),
        joined=joined,
        escaped=escaped,
        spared=spared,
        leaked="; ".join(f"{event.instance}: {event.evidence}" for event in seen if event.leaked),
        evidence="; ".join([report.evidence, *said]),
    )


def _confirmation(
    acts: dict[str, str], changes: list[ActChanged], readings: list[Confirmed]
) -> tuple[bool | None, bool, str]:
    """Merge the acts: False where any had no effect or failed, None where any cannot be told, else True.

    Whether it was looked for and nowhere seen comes second: who was seen to be hurt makes up for those that were idle.
    """
    said: dict[str, Confirmed] = {}
    for reading in readings:
        if reading.ok is not None or reading.act not in said:
            said[reading.act] = reading
    failed = {event.act: event for event in changes if event.state == "failed"}
    verdicts = [False if act in failed else said[act].ok if act in said else None for act in acts]
    parts = [f"{event.instance}: {event.evidence or 'it could not be done'}" for event in failed.values()]
    parts += [
        f"{one.instance}: {one.evidence}" for one in said.values() if one.act not in failed and one.evidence
    ]
    if not any(event.state in _TOUCHED for event in changes):
        return None, False, "it was armed, never injected"
    merged = False if False in verdicts else None if None in verdicts else True
    unseen = merged is None and bool(said) and not any(one.ok for one in said.values())
    return merged, unseen, "; ".join(_distinct(parts)) or "nothing confirmed it"


def _mend(event: ActChanged) -> str:
    what = event.evidence or "it is not as it was"
    return f"{event.instance}: {what}" + (f"; {event.remedy}" if event.remedy else "")


def _unknown(event: ActChanged) -> str:
    return f"{event.instance}: nothing on record says that {event.act} was undone; {_ROLLBACK}"


def _distinct(parts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(parts))
