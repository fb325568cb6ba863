"""The command line: verbs only; each lives in a module of its own that is imported when it is called."""

from __future__ import annotations

import importlib
import sys
import traceback

import click

from runner import __version__
from runner.errors import SquallError

VERBS = {
    "run": ("runner.cli.running", "Carry scenarios out and give a verdict (the main job)."),
    "plan": ("runner.cli.planning", "Show what a run would do and undo, to whom, when; touches nothing."),
    "aa": (
        "runner.cli.calibrating",
        "Run with faults off, again and again: what is noise, and what do halts do.",
    ),
    "compare": (
        "runner.cli.comparing",
        "Say whether a variant does as well as a baseline, by pairs of runs.",
    ),
    "capacity": ("runner.cli.searching", "Find the highest rate at which the expectations hold."),
    "margin": ("runner.cli.searching", "Find the largest fault that the expectations still bear."),
    "rollback": ("runner.cli.undoing", "Undo what interrupted runs left armed; safe to repeat."),
    "halt": ("runner.cli.undoing", "Stop a run from another terminal."),
    "judge": ("runner.cli.reading", "Judge a report folder again from its record."),
    "report": ("runner.cli.reading", "Write the reports of a folder again from its record."),
    "list": ("runner.cli.reading", "List past runs."),
    "schema": ("runner.cli.describing", "Print the JSON Schema of scenario files."),
    "faults": ("runner.cli.describing", "List every fault kind, its knobs, where it works here and why not."),
}


class _Verbs(click.Group):
    """Imports a verb's module only when that verb is called: `squall --version` stays quick."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = getattr(importlib.import_module(VERBS[name][0]), f"{name}_verb")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="squall %(version)s")
def squall() -> None:
    """Does it hold? Break a service on purpose, under load, and get a verdict with evidence."""


def main() -> None:
    """Run a verb. Exit codes: 0 passed, 1 failed, 2 refused, 3 inconclusive, 4 halted, 5 dirty, 70 our defect."""
    try:
        sys.exit(squall(standalone_mode=False) or 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("halted: interrupted before anything was injected", err=True)
        sys.exit(4)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except SquallError as error:
        click.echo(f"refused: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as defect:  # noqa: BLE001 - a defect of ours has an exit code of its own
        traceback.print_exc()
        click.echo(
            f"defect: {type(defect).__name__}: {defect}; this is Squall's own, please report it", err=True
        )
        sys.exit(70)
