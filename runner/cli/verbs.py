"""The command line: verbs only; each lives in a module of its own that is imported when it is called."""

from __future__ import annotations

import errno
import importlib
import sys
import traceback

import click

from runner import __version__
from runner.cli.output import open_output
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

_MORE_THAN_PRINT = [[verb] for verb in VERBS if verb not in ("plan", "list", "schema", "faults")]
UNREAD, UNWRITTEN = 141, 74  # exit codes: as of who dies of SIGPIPE; EX_IOERR


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

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:  # click would exit with 1, which says that an assertion is broken
            raise RuntimeError("a pipe of our own broke") from error

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="squall %(version)s")
def squall() -> None:
    """Does it hold? Break a service on purpose, under load, and get a verdict with evidence."""


def enter() -> int:
    """Run the verb that was asked for, and return its exit code. Raises KeyboardInterrupt."""
    output = open_output()
    code = _code()
    sys.stdout.flush()
    return code if output.error is None else _cut_off(code, output.error)


def _code() -> int:
    try:
        return squall(standalone_mode=False) or 0
    except click.exceptions.Abort as interrupt:
        raise KeyboardInterrupt(*interrupt.args) from interrupt
    except click.ClickException as error:
        error.show()
        return 2
    except SquallError as error:
        click.echo(f"refused: {error}", err=True)
        return 2
    except Exception as defect:  # noqa: BLE001 - a defect of ours has an exit code of its own
        traceback.print_exc()
        click.echo(
            f"defect: {type(defect).__name__}: {defect}; this is Squall's own, please report it", err=True
        )
        return 70


def _cut_off(code: int, error: OSError) -> int:
    """Say that the output is not whole, unless nobody reads it; a verb that only prints has failed then."""
    if error.errno != errno.EPIPE:
        click.echo(f"the output could not be written: {error.strerror}", err=True)
    if code or sys.argv[1:2] in _MORE_THAN_PRINT:
        return code
    return UNREAD if error.errno == errno.EPIPE else UNWRITTEN
