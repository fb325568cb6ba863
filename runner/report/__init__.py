"""Reports of a run, made from its folder alone: text, one page, JUnit."""

from __future__ import annotations

from pathlib import Path

from runner.report.junit import junit
from runner.report.text import last_line, text

__all__ = ["combined_junit", "junit", "last_line", "text", "write_reports"]

combined_junit = junit


def write_reports(folder: Path) -> None:
    """Make report.txt, report.html and junit.xml in *folder*. Raises RecordUnreadable without a verdict."""
    # numpy and jinja2 cost what `squall --version` may not take
    from runner.report.write import write_reports as write  # noqa: PLC0415

    write(folder)
