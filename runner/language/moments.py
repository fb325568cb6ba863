"""The small spellings of a scenario: moments, levels of load, picks and names."""

from __future__ import annotations

import re

from runner.language.written import Written
from runner.scenario import Anchor, Pick

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ANCHORED = re.compile(r"(start|end)\s+of\s+([A-Za-z_][A-Za-z0-9_-]*)\s*(?:\+\s*(\S.*))?")
_BARE_ANCHOR = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\s*(?:\+.*)?")
_ARROW = re.compile(r"->|\u2192")


def check_name(written: Written, name: str, what: str) -> None:
    """Refuse a name that the language could not refer to."""
    if not NAME.fullmatch(name):
        written.refuse_key(f'"{name}" is no name for {what}; use letters, digits, - and _, a letter first')


def read_moment(written: Written) -> Anchor:
    """Read `10s`, `start of NAME + 5s`, `end of NAME`."""
    text = written.filled().strip()
    anchored = _ANCHORED.fullmatch(text)
    if anchored:
        offset = written.part("duration", anchored[3]) if anchored[3] else 0.0
        return Anchor(base="start" if anchored[1] == "start" else "end", name=anchored[2], offset=offset)
    if text.startswith(("start of", "end of")):
        written.refuse(f'"{text}" is no moment; write {text.split()[0]} of NAME + 5s (only + is possible)')
    if _BARE_ANCHOR.fullmatch(text):
        written.refuse(f'"{text}" is no moment; write 10s, start of {text}, or end of {text}')
    return Anchor(offset=written.quantity("duration"))


def read_level(written: Written, model: str) -> tuple[float, float]:
    """Read a level of load, `X` or `X -> Y`: arrivals per second for the model `rate`, else users."""
    parts = [part.strip() for part in _ARROW.split(written.filled())]
    if len(parts) > 2:
        written.refuse("has more than one ->; write one stage for each ramp")
    levels = [_level(written, part, model) for part in parts]
    return levels[0], levels[-1]


def _level(written: Written, text: str, model: str) -> float:
    if model == "rate":
        return written.part("rate", text)
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        written.refuse(f'"{text}" is no number of users; write a whole number, or use `rate` for arrivals')
    return float(text)


def read_pick(written: Written, seed: int) -> Pick:
    """Read `1`, `30%`, `all` or `[shop.0, shop.2]`."""
    if written.is_list:
        names = tuple(item.filled().strip() for item in written.items())
        if not names:
            written.refuse("picks nobody; name instances, or write all")
        if len(set(names)) < len(names):
            written.refuse("names an instance twice")
        return Pick(names=names, seed=seed)
    text = written.filled().strip()
    if text == "all":
        return Pick(seed=seed)
    if text.isascii() and text.isdigit():
        count = written.whole()
        if count == 0:
            written.refuse("0 picks nobody; write at least 1, or remove the fault")
        return Pick(count=count, seed=seed)
    if not text[0].isdigit():
        written.refuse(f'"{text}" is no pick; write 1, 30%, all, or a list such as [shop.0]')
    share = written.quantity("share")
    if not 0 < share <= 1:
        written.refuse(f"{text} is no share of the instances; write more than 0% and at most 100%")
    return Pick(share=share, seed=seed)
