"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

from runner.errors import Refused

environment_option = click.option(
    "--env",
    "environment",
    default="local",
    show_default=True,
    metavar="NAME|PATH",
    help="NAME is environments/NAME.yaml beside the scenario.",
)
settings_option = click.option(
    "--set", "settings", multiple=True, metavar="K=V", help="Set a parameter; a comma list is a sweep."
)
report_option = click.option(
    "--report",
    "reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    help="Folder of the records (reports).",
)
resume_option = click.option(
    "--resume", type=click.Path(path_type=Path), metavar="FOLDER", help="Go on with what was interrupted."
)


def settings_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split K=V pairs. Raises Refused where there is no `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise Refused(f"--set {pair}: write --set NAME=VALUE, as in --set rate=80/s")
    return dict(pair.split("=", 1) for pair in pairs)
