"""Operations on kernel files, as values. `cgroup:/NAME` is that file of the container that a helper was posted to."""

from __future__ import annotations

from typing import Literal

import msgspec

from runner.operations.record_base import BaseOperation


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held at the moment: the number in a kernel file, or the sum of those of its lines *keys* that are there."""

    path: str
    of: Literal["memory", "processes"]
    keys: tuple[str, ...] = ()


class WriteFile(BaseOperation, frozen=True, kw_only=True, tag="write-file"):
    """Write *value* to an existing kernel file (cgroup), only where it reads *expect* (None: whatever).

    Of a file with a line for each *key* (`254:0` in io.max), only that line is meant; without one the value is
    what the kernel then takes (`0`, or `max` of everything). A value that is neither *expect* nor *value* is left
    alone and reported. *strict*: so is *value* itself where it stands already; somebody else wrote that, too.
    A limit is not written below what is *held* just then.
    """

    path: str
    value: str
    expect: str | None = None
    key: str = ""
    gone_is_fine: bool = False
    strict: bool = False
    held: Holding | None = None


class CheckFile(BaseOperation, frozen=True, kw_only=True, tag="check-file"):
    """Read a kernel file, or its line of *key*, and expect a value."""

    path: str
    expect: str
    key: str = ""


class CheckCounter(BaseOperation, frozen=True, kw_only=True, tag="check-counter"):
    """Read a counter of the kernel: True where it moved, no faster than *fastest* a second (0: however fast).

    None where it stood still since this process first read it. *burst*: so much more than *fastest* allows may come
    at once, and is made up for later. With *keys* there is a counter in each of these lines: that which moved most
    is judged, and a line that is not there yet reads 0. *fields* (`rbytes=`): those of a line are summed.
    The first reading takes *window* seconds.
    """

    path: str
    keys: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    fastest: float = 0.0
    burst: float = 0.0
    window: float = 0.25


class CheckMost(BaseOperation, frozen=True, kw_only=True, tag="check-most"):
    """Read a number in a kernel file (of *key*'s line): True where at most *most*."""

    path: str
    key: str = ""
    most: float
