"""Several calls to an engine or a cluster at once: each takes its time, and they do not wait for one another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


def at_once(calls: Iterable[Callable[[], object]]) -> list[Exception]:
    """Make all calls, each on a thread of its own; return what they raised when the last is over."""
    problems: list[Exception] = []

    def one(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - for whoever asked
            problems.append(error)

    threads = [threading.Thread(target=one, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems
