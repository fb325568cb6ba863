"""Write the reports of one run into its folder."""

from __future__ import annotations

from pathlib import Path

from runner.plan_record import Plan
from runner.record import Record
from runner.report.comparison import write_comparison
from runner.report.evidence import read_evidence
from runner.report.html import page
from runner.report.junit import junit
from runner.report.text import text
from runner.verdict.case import case_of


def write_reports(folder: Path) -> None:
    """Make report.txt, report.html and junit.xml from the folder alone. Raises RecordUnreadable without a verdict."""
    evidence = read_evidence(folder)
    _replace(folder / "report.txt", text(evidence.verdict, again=evidence.again, files=evidence.files))
    _replace(folder / "junit.xml", junit([evidence.verdict], [str(folder)]))
    _replace(folder / "report.html", page(evidence))
    if evidence.plan is not None and evidence.plan.scenario.compare and evidence.plan.scenario.compare.arms:
        write_arms(folder, evidence.plan)


def write_arms(folder: Path, plan: Plan) -> None:
    """Make comparison.json, comparison.txt and comparison.html of a run whose two sides ran beside each other."""
    # scipy: most runs compare nothing
    from runner.verdict.arms import compared_arms  # noqa: PLC0415

    found = compared_arms(case_of(plan, Record.load(folder)))
    if found is not None:
        write_comparison(found, folder)


def _replace(path: Path, content: str) -> None:
    """Put a whole file in place at once: a reader never sees half of it."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
