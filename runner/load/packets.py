"""Packets from a worker's pipe: whole ones, until it closes or its process dies."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator

HEAD = 4  # bytes of little-endian length
SIZE = 1 << 20  # of the pipe, where the system allows it


def packets(pipe: int, death: int) -> Iterator[bytes]:
    """Yield packets, length included.

    The end is the pipe's, or the death of the process behind the pidfd *death*: what user code forked from it
    may hold the pipe open for ever.
    """
    os.set_blocking(pipe, False)
    ears = select.poll()
    ears.register(pipe, select.POLLIN)
    ears.register(death, select.POLLIN)
    rest = bytearray()
    while True:
        dead = any(descriptor == death for descriptor, _ in ears.poll())
        while data := _read(pipe):
            rest += data
            yield from _cut(rest)
        if dead or data == b"":
            return


def widen(pipe: int) -> None:
    """Make room in the pipe, so that a slow reader is felt later; OSError where the user may not."""
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, SIZE)


def _read(pipe: int) -> bytes | None:
    """Read what is there: None if nothing is yet, b"" at the end."""
    try:
        return os.read(pipe, 1 << 18)
    except BlockingIOError:
        return None


def _cut(rest: bytearray) -> Iterator[bytes]:
    """Cut whole packets off the front."""
    while len(rest) >= HEAD and len(rest) >= (size := HEAD + int.from_bytes(rest[:HEAD], "little")):
        yield bytes(rest[:size])
        del rest[:size]
