"""`squall rollback` and `squall halt`: the ways back, from another terminal or another day."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner import clock
from runner.errors import OperationFailed
from runner.guardian.rollback import rollback
from runner.guardian.state import MachineLock, armed_runs, state_folder
from runner.running.control import ask_to_halt
from runner.shown import shown

if TYPE_CHECKING:
    from runner.running.leftovers import Leftover


@click.command("rollback")
@click.option(
    "--env", "environment", default="", metavar="NAME|PATH", help="also what any machine left there"
)
@click.option("--yes", is_flag=True, help="with --env: undo it without asking")
def rollback_verb(environment: str, yes: bool) -> int:
    """Undo what interrupted runs left armed; safe to repeat. Exit 0: all clean; 5: something is not as it was."""
    try:
        clean = _here()
        if environment:
            clean = _there(environment, sure=yes) and clean
    except KeyboardInterrupt:
        click.echo(
            "interrupted: an undo that has begun goes on; `squall rollback` again says what is left", err=True
        )
        return 5
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
    questions = _Questions(sure=sure)
    ended = [_ended(each, questions) for each in found]
    return all(ended)


def _ended(each: Leftover, questions: _Questions) -> bool:
    """Undo one where that is wanted, and say what became of it; whether it is gone."""
    if each.lives:
        click.echo(shown(f"{each.run}: {each.name} is held by a living run: halt it where it runs"))
        return False
    if each.operation is not None and not questions.yes(f"undo {each.run}: {each.name}?"):
        click.echo(shown(f"{each.run}: {each.name} is left as it is"))
        return False
    try:
        click.echo(shown(f"{each.run}: {each.name} is clean: {each.mend()}"))
    except OperationFailed as error:
        click.echo(shown(f"{each.run}: {each.name} is dirty: {error}"))
        return False
    return True


class _Questions:
    """Asks until nobody answers, at the end of the input or by Ctrl-C: from then on it is a no."""

    def __init__(self, *, sure: bool) -> None:
        self._sure, self._answered = sure, True

    def yes(self, question: str) -> bool:
        """Tell whether it is wanted."""
        if self._sure or not self._answered:
            return self._sure
        try:
            if sys.stdin is not None:  # as it is where descriptor 0 was closed
                return click.confirm(shown(question))
        except click.Abort:
            click.echo()
        click.echo("nobody answers, and nothing is undone unasked: --yes undoes without asking")
        self._answered = False
        return False


@click.command("halt")
@click.argument("run", required=False)
def halt_verb(run: str | None) -> int:
    """Stop the living run (or RUN): its faults are undone at once, it ends with exit code 4."""
    click.echo(f"halting {shown(ask_to_halt(state_folder(), run))}")
    return 0
