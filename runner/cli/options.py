"""Options that several verbs share."""

from __future__ import annotations

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


def settings_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split K=V pairs. Raises Refused where there is no `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise Refused(f"--set {pair}: write --set NAME=VALUE, as in --set rate=80/s")
    return dict(pair.split("=", 1) for pair in pairs)
