"""The table of a long run: one row for each strike, as text while it runs and as Markdown for the record."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from tests.torture.world import Try

HEAD = f"{'strike':46} {'tries':>6} {'landed':>6} {'clean':>6} {'median ms':>9} {'p99 ms':>8} {'worst ms':>8}"


@dataclass
class Row:
    """What came of the tries of one strike. Times are of those tries in which harm had landed."""

    name: str
    tries: list[Try] = field(default_factory=list)

    @property
    def landed(self) -> list[Try]:
        return [each for each in self.tries if each.landed]

    @property
    def dirty(self) -> list[Try]:
        return [each for each in self.tries if not each.clean]

    @property
    def figures(self) -> tuple[int, int, int, float, float, float]:
        """Tries, landed, clean; median, p99 and worst in milliseconds."""
        times = sorted(each.seconds * 1000 for each in self.landed) or [0.0]
        p99 = times[math.ceil(0.99 * len(times)) - 1]
        clean = len(self.tries) - len(self.dirty)
        return len(self.tries), len(self.landed), clean, statistics.median(times), p99, times[-1]

    def text(self) -> str:
        tries, landed, clean, median, p99, worst = self.figures
        return f"{self.name:46} {tries:6} {landed:6} {clean:6} {median:9.0f} {p99:8.0f} {worst:8.0f}"

    def missed(self) -> str:
        """Say where the runner was in the tries in which no harm landed; nothing where it always did."""
        phases = sorted({each.phase for each in self.tries if not each.landed})
        return (
            f"no harm landed in {len(self.tries) - len(self.landed)}: {', '.join(phases)[:300]}"
            if phases
            else ""
        )


def complaint(name: str, dirty: Try) -> str:
    """Say what was not clean."""
    return f"NOT CLEAN {name} at {dirty.phase}: {dirty.why}"


def markdown(title: str, rows: list[Row]) -> str:
    """The whole table, with what was not clean below it."""
    lines = [
        title,
        "",
        "| cell | tries | landed | clean | median ms | p99 ms | worst ms |",
        "| --- " * 7 + "|",
    ]
    for row in rows:
        tries, landed, clean, median, p99, worst = row.figures
        lines.append(
            f"| {row.name} | {tries} | {landed} | {clean} | {median:.0f} | {p99:.0f} | {worst:.0f} |"
        )
    whole = Row("all", [each for row in rows for each in row.tries])
    tries, landed, clean, *_ = whole.figures
    lines += ["", f"{tries} tries in {len(rows)} cells, harm had landed in {landed}, clean were {clean}.", ""]
    lines += [f"- {complaint(row.name, each)}" for row in rows for each in row.dirty]
    return "\n".join(lines) + "\n"
