"""The report as one page that needs nothing else: complete without scripts, styles or network."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from runner.report import words
from runner.report.answers import answers, confirmed
from runner.report.chart import Figure, buckets_for, rows
from runner.report.evidence import Evidence
from runner.report.figures import figures_of
from runner.report.icons import icon
from runner.report.marks import Marks
from runner.report.sentences import Narrator
from runner.report.sequence import draw_sequence
from runner.report.svg import draw
from runner.report.tables import Table, errors_table, generator_table, requests_table
from runner.report.zoom import bundle, content_hash, packed, points
from runner.shown import shown
from runner.timeline import Started

MOST_FINDINGS = 300
MOST_FAULTS = 200
MOST_EVENTS = 300
MOST_NOTES = 50
MOST_CHANGES = 100
MOST_FILES = 40
_ORDER = {"broken": 0, "inconclusive": 1, "held": 2}  # what needs eyes comes first
_EMPTY_STYLE = content_hash(b"")  # Plotly adds an empty style element and fills it by script


def page(evidence: Evidence) -> str:
    """Write the page."""
    figures = figures_of(evidence)
    verdict, marks = evidence.verdict, evidence.marks
    css, script, packed_plotly = part("page.css"), part("zoom.js"), bundle() if figures else None
    return _template().render(
        verdict=verdict,
        word=words.OUTCOME_WORDS[verdict.outcome],
        meaning=words.OUTCOME_MEANINGS[verdict.outcome],
        facts=_facts(evidence),
        answers=answers(evidence),
        sequence=Markup(draw_sequence(evidence)),  # noqa: S704 - drawn by us, every text in it escaped
        sequence_table=_sequence_table(marks),
        findings=sorted(verdict.findings, key=lambda one: _ORDER[one.outcome])[:MOST_FINDINGS],
        more_findings=max(0, len(verdict.findings) - MOST_FINDINGS),
        faults=verdict.faults[:MOST_FAULTS],
        more_faults=max(0, len(verdict.faults) - MOST_FAULTS),
        figures=[_shown_figure(figure, marks, buckets_for(figures)) for figure in figures],
        load_figures=sum(not figure.name.startswith("indicator-") for figure in figures),
        changes=_changes_table(evidence),
        requests=requests_table(evidence),
        errors=errors_table(evidence),
        generator=generator_table(evidence),
        problems=_problems(evidence),
        notes=_notes(evidence),
        **_log(evidence),
        again=evidence.again,
        files=evidence.files[:MOST_FILES],
        more_files=max(0, len(evidence.files) - MOST_FILES),
        version=next((event.version for event in evidence.events if isinstance(event, Started)), ""),
        css=Markup(css),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        bundle=Markup(packed_plotly[0]) if packed_plotly else "",  # noqa: S704 - base64
        points=Markup(packed(points(figures, marks))),  # noqa: S704 - base64
        policy=policy(css, [content_hash(script.encode()), packed_plotly[1]] if packed_plotly else []),
    )


@functools.cache
def _template() -> jinja2.Template:
    """Compile the page once."""
    return template("page.html.j2", confirmed=confirmed)


def template(name: str, **names: Any) -> jinja2.Template:
    """Compile a page of ours, which may use *names*; everything put into it passes `shown` and is escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        words=words,
        icon=lambda name, size=16: Markup(icon(name, size)),  # noqa: S704 - drawn by us
        **names,
    )
    return environment.from_string(part(name).strip())


def clean(value: Any) -> Any:
    """Let no text into a page but by the one door."""
    return shown(value, 4000) if isinstance(value, str) and not isinstance(value, Markup) else value


def part(name: str) -> str:
    """Read a template or style of ours."""
    return resources.files("runner.report").joinpath(name).read_text(encoding="utf-8")


def policy(css: str, scripts: list[str]) -> Markup:
    """Allow nothing but our own style and scripts, by their hashes."""
    allowed = " ".join(scripts) or "'none'"
    return Markup(  # noqa: S704 - hashes only
        f"default-src 'none'; style-src {content_hash(css.encode())} {_EMPTY_STYLE}; script-src {allowed}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    verdict = evidence.verdict
    facts = [
        ("scenario", verdict.scenario),
        ("environment", verdict.environment),
        ("started", words.moment(verdict.started)),
        ("took", words.span(verdict.duration)),
        ("owner", verdict.owner),
        ("exit code", str(verdict.outcome.exit_code)),
    ]
    return [(name, value) for name, value in facts if value]


def _shown_figure(figure: Figure, marks: Marks, buckets: int) -> dict[str, Any]:
    step, cells = rows(figure, marks)
    table = Table(("From", "Then", *(line.name for line in figure.lines)), tuple(map(tuple, cells)), words=2)
    return {
        "name": figure.name,
        "title": figure.title,
        "note": figure.note,
        "svg": Markup(draw(figure, marks, buckets=buckets)),  # noqa: S704 - drawn by us, every text in it escaped
        "table": table,
        "fold": {"max": "the highest", "mean": "the mean"}[figure.fold],
        "step": words.quantity(step, "seconds"),
    }


def _sequence_table(marks: Marks) -> Table:
    moments = [(mark.at, f"phase {mark.name}", "") for mark in marks.phases]
    moments += [(mark.at, f"stage {mark.name}", "") for mark in marks.stages]
    moments += [(mark.at, "halt", "") for mark in marks.halts]
    for band in marks.bands:
        until = "not on record" if band.open else words.clock(band.end, marks.zero)
        moments.append((band.start, f"fault {band.name}", until))
    cells = tuple((words.clock(at, marks.zero), what, until) for at, what, until in sorted(moments)[:200])
    return Table(("From", "What", "Until"), cells, words=3)


def _changes_table(evidence: Evidence) -> Table:
    changes = evidence.verdict.changes
    cells = tuple(
        (
            words.clock(one.at, evidence.marks.zero),
            one.what,
            one.cause or words.UNEXPLAINED,
            words.quantity(one.before, one.unit),
            words.quantity(one.after, one.unit),
        )
        for one in changes[:MOST_CHANGES]
    )
    rest = len(changes) - MOST_CHANGES
    return Table(
        ("When", "What", "Explained by", "From", "To"),
        cells,
        f"and {rest} more in verdict.json" if rest > 0 else "",
        words=3,
    )


def _problems(evidence: Evidence) -> list[str]:
    """Why load workers ended, where it was not by order."""
    found = [worker.problem for load in evidence.loads.values() for worker in load.workers if worker.problem]
    return list(dict.fromkeys(found))[:10]


def _notes(evidence: Evidence) -> list[str]:
    notes = [*evidence.gaps, *evidence.verdict.notes, *(evidence.plan.warnings if evidence.plan else ())]
    distinct = list(dict.fromkeys(notes))
    rest = len(distinct) - MOST_NOTES
    return distinct[:MOST_NOTES] + ([f"and {rest} more notes in timeline.jsonl"] if rest > 0 else [])


def _log(evidence: Evidence) -> dict[str, Any]:
    narrator = Narrator(evidence.plan)
    told = [(event.at, said) for event in evidence.events if (said := narrator.tell(event))]
    zero = evidence.marks.zero
    log = [(words.clock(at, zero), text, tone) for at, (text, tone) in told[:MOST_EVENTS]]
    return {"log": log, "more_log": max(0, len(told) - MOST_EVENTS)}
