"""A process and its descendants: what one instance of a target consists of."""

from __future__ import annotations

from pathlib import Path


def family(pid: int) -> set[int]:
    """*pid* and its living descendants."""
    found, waiting = set(), [pid]
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(_children(parent))
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(child) for child in path.read_text(encoding="ascii").split()]
        except OSError:
            continue  # the thread ended meanwhile
    return children
