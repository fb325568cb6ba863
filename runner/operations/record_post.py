"""Operations that only a helper at its post performs, as values."""

from __future__ import annotations

from typing import Literal

from runner.operations.record_base import BaseOperation


class SignalTarget(BaseOperation, frozen=True, kw_only=True, tag="signal-target"):
    """Signal the main process of the container that a helper was posted to; only at a post."""

    signal: Literal["KILL", "STOP", "CONT"]


class CheckTarget(BaseOperation, frozen=True, kw_only=True, tag="check-target"):
    """Read that main process: is it as expected?"""

    expect: Literal["gone", "stopped", "running"]


class Fill(BaseOperation, frozen=True, kw_only=True, tag="fill"):
    """Fill the file system that holds *folder* (of the target) up to *share* with one file called *name*.

    1 % of it always stays free, of one below 6.25 GiB 64 MiB or 5 %, whichever is less.
    """

    folder: str
    name: str
    share: float


class FillGone(BaseOperation, frozen=True, kw_only=True, tag="fill-gone"):
    """Remove that file; verified by looking."""

    folder: str
    name: str


class CheckFill(BaseOperation, frozen=True, kw_only=True, tag="check-fill"):
    """Read how full the file system is: True where at least *share*, or all but what a fill leaves free."""

    folder: str
    share: float
