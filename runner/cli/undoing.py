"""`squall rollback` and `squall halt`: the ways back, from another terminal or another day."""

from __future__ import annotations

import click

from runner import clock
from runner.control import ask_to_halt
from runner.guardian.rollback import rollback
from runner.guardian.state import MachineLock, armed_runs, state_folder
from runner.shown import shown


@click.command("rollback")
def rollback_verb() -> int:
    """Undo what interrupted runs left armed on this machine; safe to repeat. Exit 0: all clean; 5: something is not as it was."""
    lock = MachineLock.take(state_folder(), "rollback")
    try:
        runs = armed_runs(lock.folder)
        if not runs:
            click.echo("nothing is armed on this machine")
        clean = True
        for run in runs:
            result = rollback(lock.folder, run=run, anchor=clock.anchor())
            for line in result.lines():
                click.echo(shown(line))
            clean = clean and result.clean
        return 0 if clean else 5
    finally:
        lock.release()


@click.command("halt")
@click.argument("run", required=False)
def halt_verb(run: str | None) -> int:
    """Stop the living run (or RUN): its faults are undone at once, it ends with exit code 4."""
    click.echo(f"halting {shown(ask_to_halt(state_folder(), run))}")
    return 0
