"""One shape for each word of a verdict, so that colour never stands alone."""

from __future__ import annotations

_CIRCLE = '<circle cx="12" cy="12" r="11" fill="{fill}"/>'
_SQUARE = '<rect x="1.5" y="1.5" width="21" height="21" rx="3.5" fill="{fill}"/>'
_DIAMOND = '<path d="M12 .5L23.5 12L12 23.5L.5 12Z" fill="{fill}"/>'
_OCTAGON = '<path d="M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4Z" fill="{fill}"/>'
_TRIANGLE = '<path d="M12 1.5L23.5 22H.5Z" fill="{fill}"/>'
_HEXAGON = '<path d="M6.3 2h11.4L23.4 12L17.7 22H6.3L.6 12Z" fill="{fill}"/>'

_CHECK = '<path d="M6.5 12.5l3.8 3.8l7.2-8" {stroke}/>'
_CROSS = '<path d="M7.5 7.5l9 9m0-9l-9 9" {stroke}/>'
_QUESTION = '<path d="M9.3 9.3a2.8 2.8 0 1 1 4.2 2.4c-1 .6-1.5 1.1-1.5 2.3M12 17.2v.1" {stroke}/>'
_BAR = '<path d="M7 12h10" {stroke}/>'
_BANG = '<path d="M12 9v5.5M12 18.4v.1" {stroke}/>'
_SLASH = '<path d="M7 17L17 7" {stroke}/>'

GREEN, RED, YELLOW, ORANGE, GREY, INK = "#23884f", "#8e1b16", "#f2b632", "#b45309", "#5a6675", "#1c2430"

_SHAPES = {
    "passed": (_CIRCLE, _CHECK, GREEN),
    "held": (_CIRCLE, _CHECK, GREEN),
    "yes": (_CIRCLE, _CHECK, GREEN),
    "failed": (_SQUARE, _CROSS, RED),
    "broken": (_SQUARE, _CROSS, RED),
    "no": (_SQUARE, _CROSS, RED),
    "inconclusive": (_DIAMOND, _QUESTION, YELLOW),
    "unknown": (_DIAMOND, _QUESTION, YELLOW),
    "halted": (_OCTAGON, _BAR, ORANGE),
    "dirty": (_TRIANGLE, _BANG, RED),
    "defect": (_HEXAGON, _BANG, GREY),
    "refused": (_CIRCLE, _SLASH, GREY),
}


def icon(name: str, size: int = 16) -> str:
    """Draw the shape of a word; the word itself stands beside it, so it is hidden from readers."""
    shape, glyph, fill = _SHAPES[name]
    pen = INK if fill == YELLOW else "#ffffff"
    stroke = f'fill="none" stroke="{pen}" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"'
    return (
        f'<svg class="icon i-{name}" width="{size}" height="{size}" viewBox="0 0 24 24" aria-hidden="true" '
        f'focusable="false">{shape.format(fill=fill)}{glyph.format(stroke=stroke)}</svg>'
    )
