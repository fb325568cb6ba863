"""Write the reports of one run into its folder."""

from __future__ import annotations

from pathlib import Path

from runner.report.evidence import read_evidence
from runner.report.html import page
from runner.report.junit import junit
from runner.report.text import text


def write_reports(folder: Path) -> None:
    """Make report.txt, report.html and junit.xml from the folder alone. Raises RecordUnreadable without a verdict."""
    evidence = read_evidence(folder)
    _replace(folder / "report.txt", text(evidence.verdict, again=evidence.again, files=evidence.files))
    _replace(folder / "junit.xml", junit([evidence.verdict], [str(folder)]))
    _replace(folder / "report.html", page(evidence))


def _replace(path: Path, content: str) -> None:
    """Put a whole file in place at once: a reader never sees half of it."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
