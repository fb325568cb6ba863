"""`squall schema` and `squall faults`: the language, described from the same types that read it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args, get_origin

import click
import msgspec

from runner.cli.possible import Here, table
from runner.faults import KINDS
from runner.language import environment_schema, schema
from runner.shown import shown
from runner.units import EXAMPLES, Quantity


@click.command("schema")
@click.argument("of", type=click.Choice(["scenario", "environment"]), default="scenario")
def schema_verb(of: str) -> int:
    """Print the JSON Schema of scenario files, or of environment files, for the editor's completion."""
    click.echo(json.dumps(schema() if of == "scenario" else environment_schema(), indent=2))
    return 0


@click.command("faults")
def faults_verb() -> int:
    """List every fault kind: where it works here and why not, then its knobs and what it does."""
    here = Here()
    for line in table(here):
        click.echo(shown(line))
    for word, kind in KINDS.items():
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        click.echo(
            f"{word}  (on a {' or '.join(sorted(kind.platforms))}; undone by {_way_back(kind.recovers_from)})"
        )
        click.echo(f"    {summary}")
        for field in msgspec.structs.fields(kind):
            needed = "needed" if field.required else f"default {_default(field)}"
            click.echo(f"    {field.encode_name}: {_spelling(field.type)} ({needed})")
    return 0


def _way_back(recovers_from: str) -> str:
    return "starting it again" if recovers_from == "injection" else "restoring what was"


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "none" if field.default in (None, msgspec.NODEFAULT, "", ()) else f"{field.default}"


def _spelling(kind: Any) -> str:
    """Say how a knob is written: an example of its quantity, or its words."""
    if get_origin(kind) is Annotated:
        quantity = next((each for each in get_args(kind)[1:] if isinstance(each, Quantity)), None)
        return f"like {EXAMPLES[quantity.kind]}" if quantity else _spelling(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list of {_spelling(get_args(kind)[0])}"
    return " or ".join(_spelling(each) for each in get_args(kind) if each is not type(None)) or getattr(
        kind, "__name__", str(kind)
    )
