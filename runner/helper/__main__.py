"""The command of a helper: read orders, obey, undo, leave."""

from __future__ import annotations

import sys

from runner.helper.agent import main

if __name__ == "__main__":
    sys.exit(main())
