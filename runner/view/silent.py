"""The view of a run among many: it shows nothing, a campaign says one line for each."""

from __future__ import annotations

from pathlib import Path

from runner.live import Snapshot
from runner.timeline import Event
from runner.verdict.record import Verdict


class Silent:
    """Is told everything and says nothing."""

    def event(self, event: Event) -> None:
        """Take no notice."""

    def draw(self, snapshot: Snapshot) -> None:
        """Draw nothing."""

    def close(self, verdict: Verdict | None, folder: Path | None = None) -> None:
        """Leave nothing to close."""
