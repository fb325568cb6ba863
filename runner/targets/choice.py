"""Which instances a pick means: the same seed and names choose the same ones, on every machine."""

from __future__ import annotations

import hashlib

from runner.errors import Refused
from runner.scenario import Pick


def choose(pick: Pick, names: tuple[str, ...]) -> tuple[str, ...]:
    """Choose among *names*, in their order. Raises Refused where the pick asks for what is not there."""
    if pick.everything:
        return names
    if pick.names:
        return _named(pick.names, names)
    if not names:
        raise Refused("pick: the target has no instances to pick from")
    drawn = set(sorted(names, key=lambda name: _lot(pick.seed, name))[: _count(pick, len(names))])
    return tuple(name for name in names if name in drawn)


def _named(wanted: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    for name in wanted:
        if name not in names:
            known = ", ".join(names) or "none"
            raise Refused(f"pick: no instance is named {name}; the target's instances are: {known}")
    return tuple(name for name in names if name in wanted)


def _count(pick: Pick, available: int) -> int:
    if pick.count is None:
        share = pick.share or 0.0
        return min(available, max(1, int(share * available + 1e-9)))  # 0.29 * 100 is 28.999…
    if pick.count > available:
        raise Refused(
            f"pick: {pick.count} instances are wanted, the target has {available}; pick at most {available}"
        )
    return pick.count


def _lot(seed: int, name: str) -> bytes:
    """A hash, not `random`: its draws may change with the version of Python."""
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
