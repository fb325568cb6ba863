"""What all operations share, and the identity of a process."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One process, for ever: a pid is reused, this is not. *inode* is the pidfd's (Linux 6.9+, else 0)."""

    pid: int
    started: int  # field 22 of /proc/PID/stat, clock ticks since boot
    boot: str
    inode: int = 0


class BaseOperation(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """What all operations share: a tag in JSON."""

    holds: ClassVar[bool] = False  # whether its effect lasts only while a hand holds it
