"""What the page carries for zooming: Plotly and the figures' points, compressed, asleep until the first click."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import html
import importlib.util
import json
import math
from pathlib import Path
from typing import Any

from runner.report.chart import Figure, Line, buckets_for, thin
from runner.report.marks import Marks
from runner.report.svg import PALETTE
from runner.shown import shown

MOST_POINTS = 2_000  # of a line


@functools.cache
def bundle() -> tuple[str, str] | None:
    """Give Plotly's bundle from its wheel, packed, and the hash a page must allow; None where it is not installed."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    try:
        code = path.read_bytes()
    except OSError:
        return None
    return packed(code), content_hash(code)


def packed(content: bytes) -> str:
    """Compress to text, the same for the same content."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def content_hash(content: bytes) -> str:
    """Write the hash of a script or style as a content security policy wants it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode('ascii')}'"


def points(figures: tuple[Figure, ...], marks: Marks) -> bytes:
    """Write the points of all figures as JSON, times from t = 0."""
    most = min(MOST_POINTS, 2 * buckets_for(figures))
    told = {figure.name: _figure(figure, marks, most) for figure in figures}
    return json.dumps(told, separators=(",", ":")).encode()


def _figure(figure: Figure, marks: Marks, most: int) -> dict[str, Any]:
    factor, suffix = _unit(figure)
    return {
        "title": _plain(figure.title),
        "suffix": suffix,
        "lines": [_line(line, marks.zero, factor, most) for line in figure.lines],
        "limits": [
            {
                "text": _plain(limit.text),
                "y": _short(limit.value * factor),
                "x0": _moment(marks.start if limit.start is None else limit.start, marks),
                "x1": _moment(marks.end if limit.end is None else limit.end, marks),
            }
            for limit in figure.limits
        ],
        "bands": [
            {"text": _plain(band.name), "x0": _moment(band.start, marks), "x1": _moment(band.end, marks)}
            for band in marks.bands[:200]
        ],
        "log": figure.log,
        "halts": [_moment(halt.at, marks) for halt in marks.halts[:1]],
    }


def _line(line: Line, zero: float, factor: float, most: int) -> dict[str, Any]:
    at, values = thin(line.at, line.values, most // 2)
    return {
        "name": _plain(line.name),
        "colour": PALETTE[line.colour % len(PALETTE)],
        "dash": "dash" if line.dashed else "solid",
        "x": [round(moment - zero, 2) for moment in at.tolist()],
        "y": [_short(value * factor) for value in values.tolist()],
    }


def _unit(figure: Figure) -> tuple[float, str]:
    match figure.unit:
        case "seconds":
            return 1000.0, " ms"
        case "share":
            return 100.0, " %"
        case "per second":
            return 1.0, "/s"
        case "bytes":
            return 1.0 / 2**20, " MiB"
        case _:
            return 1.0, ""


def _short(value: float) -> float | None:
    return None if math.isnan(value) or math.isinf(value) else float(f"{value:.4g}")


def _moment(at: float, marks: Marks) -> float:
    return round(at - marks.zero, 2)


def _plain(text: str) -> str:
    """Plotly reads a little HTML in names: it must see none."""
    return html.escape(shown(text, 80), quote=False)
