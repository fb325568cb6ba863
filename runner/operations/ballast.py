"""A ballast: memory that is really taken from the machine while a hand holds it."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Iterator
from pathlib import Path

from runner.errors import OperationFailed
from runner.operations.record import Ballast, Reading

SPARED = 0.1  # share of the memory that must stay available: the guardian lives there too
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_FIRST_TO_DIE = "1000"


class Weight:
    """Touched pages, given back by release or by the end of the hand."""

    def __init__(self, operation: Ballast) -> None:
        self._score_before = _swap_score(_FIRST_TO_DIE)  # memory runs out: take the ballast, not the target
        self._pages: mmap.mmap | None = mmap.mmap(
            -1, operation.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        touched = range(0, operation.size, mmap.PAGESIZE)
        self._pages[:: mmap.PAGESIZE] = b"\1" * len(touched)
        self.reading = Reading(evidence=f"holds {operation.size} bytes of memory, every page touched")

    def tick(self) -> float:
        """Nothing is ever due: memory stays where it is."""
        return math.inf

    def release(self) -> None:
        """Give the memory back."""
        if self._pages is not None:
            self._pages.close()
            self._pages = None
            _swap_score(self._score_before)


def perform_ballast(operation: Ballast) -> Weight:
    """Take the memory. Raises OperationFailed where too little would be left."""
    for where, total, available in _rooms():
        if available - operation.size < SPARED * total:
            raise OperationFailed(
                f"a ballast of {operation.size} bytes leaves less than {SPARED:.0%} of {where} available"
                f" ({available} of {total} bytes are): make it smaller"
            )
    try:
        return Weight(operation)
    except (OSError, MemoryError, ValueError) as error:
        raise OperationFailed(f"{operation.size} bytes cannot be had: {error}") from error


def _rooms() -> Iterator[tuple[str, int, int]]:
    """Every bound on our memory: what it bounds, bytes in all, bytes available."""
    facts = {
        name: value
        for name, _, value in (line.partition(":") for line in _read("/proc/meminfo").splitlines())
    }
    total, available = (int(facts[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    yield "the machine", total, available
    for line in _read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if not names:
            yield from _cgroup_rooms(Path("/sys/fs/cgroup"), path, ("memory.max", "memory.current"))
        elif "memory" in names.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            yield from _cgroup_rooms(Path("/sys/fs/cgroup/memory"), path, files)


def _cgroup_rooms(root: Path, path: str, files: tuple[str, str]) -> Iterator[tuple[str, int, int]]:
    level = root / path.lstrip("/")
    while level.is_relative_to(root):
        limit, used = (_read(level / name).strip() for name in files)
        if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:  # beyond: version 1 says unlimited
            yield f"cgroup {path}", int(limit), int(limit) - int(used)
        level = level.parent


def _swap_score(score: str) -> str:
    before = _read(_OOM_SCORE).strip()
    with contextlib.suppress(OSError):  # a hint to the kernel, no more
        _OOM_SCORE.write_text(score, encoding="ascii")
    return before


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
