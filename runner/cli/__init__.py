"""The command line's door: what is slow to import comes in behind it, where an interrupt is heard."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a verb. Exit codes: 0 passed, 1 failed, 2 refused, 3 inconclusive, 4 halted, 5 dirty, 70 our defect.

    Of a verb that only prints: 141 where its reader went away, 74 where its output could not be written.
    """
    try:
        from runner.cli.verbs import enter  # noqa: PLC0415 - click alone takes 0.1 s

        code = enter()
    except KeyboardInterrupt as interrupt:
        print(f"halted: {str(interrupt) or 'interrupted before anything was injected'}", file=sys.stderr)
        code = 4
    sys.exit(code)
