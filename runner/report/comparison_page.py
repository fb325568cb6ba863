"""A comparison as one page that needs nothing else: the sentence, the guardrails, the pairs, the trials."""

from __future__ import annotations

import functools

import jinja2
from markupsafe import Markup

from runner.report import words
from runner.report.comparison import cost_line, middles
from runner.report.comparison_svg import forest, paired_values
from runner.report.html import part, policy, template
from runner.verdict.compared import Comparison
from runner.verdict.guardrails import effect, spread

_ICONS = {"pass": "yes", "fail": "no", "inconclusive": "unknown"}
_WORDS = {"pass": "as good", "fail": "worse", "inconclusive": "cannot tell"}


def comparison_page(comparison: Comparison) -> str:
    """Write the page."""
    css = part("page.css")
    names = (comparison.baseline, comparison.variant)
    return _template().render(
        comparison=comparison,
        word=words.OUTCOME_WORDS[comparison.outcome],
        cost=cost_line(comparison) if comparison.cost else "",
        forest=Markup(forest(comparison)) if comparison.guardrails else "",  # noqa: S704 - drawn by us, every text in it escaped
        figures=[
            (rail.term, Markup(paired_values(rail, number, comparison.unit, names)))  # noqa: S704 - the same
            for number, rail in enumerate(comparison.guardrails)
            if rail.pairs
        ],
        css=Markup(css),  # noqa: S704 - a file of ours
        policy=policy(css, []),
    )


@functools.cache
def _template() -> jinja2.Template:
    return template(
        "comparison.html.j2", effect=effect, spread=spread, middles=middles, icons=_ICONS, judgements=_WORDS
    )
