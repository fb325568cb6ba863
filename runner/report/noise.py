"""What A/A runs taught, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from runner.planning.calibration import Calibration, Noise
from runner.report.words import count, quantity, span
from runner.shown import shown

_HEAD = ("term", "when", "value", "requests", "design effect", "correlation", "run to run", "detectable")


def noise_lines(calibration: Calibration, units: dict[str, str]) -> Iterator[str]:
    """Write a table of the terms, then the halt rules. *units*: term -> unit."""
    rows = [_HEAD, *(_row(one, units.get(one.term, "")) for one in calibration.noise)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    yield f"{count(len(calibration.runs), 'run')}, {span(calibration.seconds)} judged"
    yield ""
    for row in rows:
        cells = (
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield shown("  " + "  ".join(cells).rstrip())
    if calibration.halts:
        yield ""
        for halt in calibration.halts:
            yield shown(f"  halt: {halt.rule}: tripped in {halt.halted} of {count(halt.runs, 'run')}")


def _row(one: Noise, unit: str) -> tuple[str, ...]:
    return (
        one.term,
        one.when,
        quantity(one.value, unit),
        f"{one.requests:.0f}",
        f"{one.design_effect:.2f}",
        f"{one.correlation:.1f} s",
        f"{one.spread * 100:.1f} %",
        "-" if one.detectable is None else f"{one.detectable * 100:.0f} %",
    )
