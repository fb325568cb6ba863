"""The reports of a search: its record as JSON, plain text and one self-contained page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner.report import words
from runner.report.search_words import explained, said_level
from runner.search_record import Searched, Side
from runner.shown import shown
from runner.verdict.record import Outcome

_STATES = {"bears": ("held", "held"), "breaks": ("broken", "broke"), "nothing": ("inconclusive", "nothing")}
METHOD = (
    "Every trial is a whole run at one level, faults included, and comes out as held or broken; one whose interval holds"
    " its limit counts on the side of its value. A trial at a level breaks with a probability that rises like a normal"
    " distribution function of the logarithm of the level, about the edge, over the run-to-run spread; both are unknown"
    " and have flat priors on their logarithms. 1 % of trials may come out either way. The next level is the one whose"
    " outcome is expected to tell most about the edge; the search ends when the interval is as narrow as was asked for,"
    " or the edge lies beyond the levels allowed. A trial in which the load generator was saturated is no evidence."
)


def write_search(searched: Searched, folder: Path) -> None:
    """Write capacity.json or margin.json, report.txt and report.html into *folder*."""
    (folder / f"{searched.kind}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(searched), indent=1)
    )
    (folder / "report.txt").write_text(text(searched), encoding="utf-8")
    (folder / "report.html").write_text(page(searched), encoding="utf-8")


def word_of(outcome: Outcome) -> str:
    """The word for how a search ended: found, or as runs do."""
    return "Found" if outcome is Outcome.PASSED else words.OUTCOME_WORDS[outcome]


def text(searched: Searched) -> str:
    """Write the report in plain text."""
    lines = [f"{word_of(searched.outcome).upper()}: {searched.kind} of {shown(searched.title)}"]
    for sentence in searched.sentences:
        lines += textwrap.wrap(
            shown(sentence, 2400), 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
        )
    lines += ["", *(f"{name:<12} {shown(value, 600)}" for name, value in _facts(searched))]
    for side in searched.sides:
        lines += ["", f"Trials in {shown(side.environment)}", *_trials(searched, side)]
        lines += [f"  {shown(line, 600)}" for line in explained(searched, side)]
    lines += [
        "",
        "How this was found",
        *textwrap.wrap(METHOD, 100, initial_indent="  ", subsequent_indent="  "),
    ]
    return "\n".join([*lines, "", "Again", f"  {shown(searched.again, 2400)}", ""])


def page(searched: Searched) -> str:
    """Write the page."""
    from markupsafe import Markup  # noqa: PLC0415 - jinja2 and numpy cost what `squall --version` may not take

    from runner.report.html import part, policy, template  # noqa: PLC0415 - the same
    from runner.report.search_figures import draw_path, draw_scaling  # noqa: PLC0415 - the same

    css = part("page.css")
    sides = [
        {
            "environment": side.environment,
            "path": Markup(draw_path(searched, side)),  # noqa: S704 - drawn by us, every text in it escaped
            "scaling": Markup(draw_scaling(side)),  # noqa: S704 - the same
            "explained": list(explained(searched, side)),
            "rows": [_row(searched, side, number) for number in range(len(side.shots))],
        }
        for side in searched.sides
    ]
    return template("search.html.j2").render(
        searched=searched,
        word=word_of(searched.outcome),
        facts=_facts(searched),
        sides=sides,
        method=METHOD,
        css=Markup(css),  # noqa: S704 - a file of ours
        policy=policy(css, []),
    )


def _facts(searched: Searched) -> list[tuple[str, str]]:
    knob = searched.knob
    facts = [
        ("scenario", searched.scenario),
        ("environment", ", ".join(side.environment for side in searched.sides)),
        ("knob", f"{knob.name}, {'larger' if knob.larger_is_worse else 'smaller'} is worse"),
        ("levels", f"{said_level(knob, searched.least)} to {said_level(knob, searched.most)}"),
        ("resolution", f"±{searched.resolution:.1%} at {searched.confidence:.0%} confidence"),
        ("faults", ", ".join(searched.faults) or "none"),
        ("started", words.moment(searched.started)),
        ("exit code", str(searched.outcome.exit_code)),
    ]
    return [(name, value) for name, value in facts if value]


def _trials(searched: Searched, side: Side) -> Iterator[str]:
    if not side.shots:
        yield "  none"
    for number in range(len(side.shots)):
        row = _row(searched, side, number)
        flow = f"{row['offered']} offered, {row['answered']} answered, {row['served']} well, {row['in_flight']} under way"
        yield f"  {row['number']:>3}  {row['level']:>10}  {row['word']:<8} {flow}"
        if row["word"] != "held":
            why = f"{row['assertion']}: {row['reason']}" if row["assertion"] else row["reason"]
            yield f"       {shown(why, 300)}"


def _row(searched: Searched, side: Side, number: int) -> dict[str, Any]:
    shot = side.shots[number]
    state, word = _STATES[shot.shows]
    return {
        "number": number + 1,
        "state": state,
        "word": word,
        "level": said_level(searched.knob, shot.level),
        "offered": words.quantity(shot.offered, "per second"),
        "answered": words.quantity(shot.answered, "per second"),
        "served": words.quantity(shot.served, "per second"),
        "in_flight": words.quantity(shot.in_flight),
        "assertion": shot.assertion,
        "reason": shot.reason,
        "folder": shot.folder,
    }
