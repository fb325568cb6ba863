"""Where the live picture goes: its size, its glyphs, and cutting rows to fit."""

from __future__ import annotations

from dataclasses import dataclass

from runner.shown import encodable, shown

Piece = tuple[str, str]  # text, style
Row = list[Piece]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the picture is drawn with."""

    full: str = "█"
    planned: str = "░"
    now: str = "│"
    done: str = "━"
    ahead: str = "─"
    over: str = "▲"
    bad: str = "■"
    ellipsis: str = "…"


ASCII = Glyphs(full="#", planned=".", now="|", done="=", ahead="-", over="^", bad="!", ellipsis="~")


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the picture goes."""

    width: int
    height: int
    glyphs: Glyphs = Glyphs()


def fit(row: Row, canvas: Canvas) -> Row:
    """Cut a row at the width of the screen, wide letters counted as two."""
    left, kept = canvas.width, list[Piece]()
    for text, style in row:
        clean = shown(text) if canvas.glyphs is not ASCII else encodable(shown(text), "ascii")
        clean = clean[:left]  # no letter takes less than one cell
        while _cells(clean) > left:
            clean = clean[:-1]
        if clean:
            kept.append((clean, style))
        left -= _cells(clean)
        if left <= 0:
            break
    return kept


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - rich is loaded with the live view only

    return cell_len(text)
