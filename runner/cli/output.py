"""Where Squall prints: a stream that takes no more is remembered, and stops no verb."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO


class Output(io.FileIO):
    """A descriptor whose first error is kept, not raised; after it nothing is written any more."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write some of *data*, or let it go: nobody reads is no reason to lose a verdict."""
        while self.error is None:
            try:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])  # who shares it may have made it one that does not wait
            except OSError as error:
                self.error = error
        return len(data)


def open_output() -> Output:
    """Print through an Output from now on, errors too; return that of stdout."""
    _hold_descriptors()
    output = Output(1, "w", closefd=False)
    sys.stdout = _text(output, sys.stdout)
    sys.stderr = _text(Output(2, "w", closefd=False), sys.stderr)
    return output


def _hold_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed, to nothing: a file of ours that got one would be printed into."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _text(output: Output, before: TextIO | None) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(output)
    if not isinstance(before, io.TextIOWrapper):  # None where the descriptor was closed
        return io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        buffer,
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering or before.write_through,
    )
