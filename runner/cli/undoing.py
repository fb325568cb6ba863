"""`squall rollback` and `squall halt`: the ways back, from another terminal or another day."""

from __future__ import annotations

from pathlib import Path

import click

from runner import clock
from runner.errors import OperationFailed
from runner.guardian.rollback import rollback
from runner.guardian.state import MachineLock, armed_runs, state_folder
from runner.running.control import ask_to_halt
from runner.shown import shown


@click.command("rollback")
@click.option(
    "--env", "environment", default="", metavar="NAME|PATH", help="also what any machine left there"
)
@click.option("--yes", is_flag=True, help="with --env: undo it without asking")
def rollback_verb(environment: str, yes: bool) -> int:
    """Undo what interrupted runs left armed; safe to repeat. Exit 0: all clean; 5: something is not as it was."""
    clean = _here()
    if environment:
        clean = _there(environment, sure=yes) and clean
    return 0 if clean else 5


def _here() -> bool:
    """What this machine's journals say."""
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
        return clean
    finally:
        lock.release()


def _there(name: str, *, sure: bool) -> bool:
    """What the engines and clusters of an environment say; a record there may be anybody's, so people decide."""
    from runner.language import read_environment  # noqa: PLC0415 - most rollbacks need no environment
    from runner.running.leftovers import leftovers  # noqa: PLC0415 - the same

    place = read_environment(name, Path("scenarios") / "any.yaml")
    try:
        found = leftovers(place)
    except OperationFailed as error:
        click.echo(shown(f"{place.name}: {error}"))
        return False
    if not found:
        click.echo(shown(f"nothing is left in {place.name}"))
    clean = True
    for each in found:
        if each.lives:
            click.echo(shown(f"{each.run}: {each.name} is held by a living run: halt it where it runs"))
        elif (
            each.operation is not None
            and not sure
            and not click.confirm(shown(f"undo {each.run}: {each.name}?"))
        ):
            click.echo(shown(f"{each.run}: {each.name} is left as it is"))
        else:
            try:
                click.echo(shown(f"{each.run}: {each.name} is clean: {each.mend()}"))
                continue
            except OperationFailed as error:
                click.echo(shown(f"{each.run}: {each.name} is dirty: {error}"))
        clean = False
    return clean


@click.command("halt")
@click.argument("run", required=False)
def halt_verb(run: str | None) -> int:
    """Stop the living run (or RUN): its faults are undone at once, it ends with exit code 4."""
    click.echo(f"halting {shown(ask_to_halt(state_folder(), run))}")
    return 0
