"""`python -m runner.cli` is `squall`."""

from runner.cli import main

main()
