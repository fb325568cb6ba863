"""The one door for text from outside: what a terminal, a page or a parser would obey is made visible instead."""

from __future__ import annotations

import unicodedata

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def shown(text: str, limit: int | None = None) -> str:
    """Give *text* with every control, format, surrogate and unassigned character as a visible escape.

    The result holds printable characters and spaces only, at most *limit* of them (the last is then an ellipsis).
    """
    if (limit is None or len(text) <= limit) and text.isprintable():
        return text
    whole: list[str] = []
    room = len(text) * 10 if limit is None else limit
    for character in text:
        piece = _visible(character)
        if len(piece) > room:
            return _cut(whole, limit or 0)
        whole.append(piece)
        room -= len(piece)
    return "".join(whole)


def shown_lines(text: str, limit: int | None = None) -> str:
    """Give *text* as `shown` does, but keep its line breaks: for tracebacks and remedies of several lines."""
    kept = "\n".join(shown(line) for line in text.splitlines())
    return kept if limit is None or len(kept) <= limit else (kept[: max(0, limit - 1)] + "…")[:limit]


def encodable(text: str, encoding: str | None) -> str:
    """Give *text* with what *encoding* cannot hold as visible escapes, for terminals that are not UTF-8."""
    if text.isascii():
        return text
    known = encoding or "ascii"
    return text.encode(known, "backslashreplace").decode(known)


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(pieces: list[str], limit: int) -> str:
    """Make room for the ellipsis without tearing an escape in two."""
    length = sum(map(len, pieces))
    while pieces and length > limit - 1:
        length -= len(pieces.pop())
    return ("".join(pieces) + "…")[: max(0, limit)]
