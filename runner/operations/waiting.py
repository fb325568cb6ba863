"""Short waits between two looks at something that is not there yet."""

from __future__ import annotations

import select


def pause(seconds: float) -> None:
    """Wait a moment; a signal may end it early."""
    select.select((), (), (), seconds)
