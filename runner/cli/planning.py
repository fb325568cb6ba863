"""`squall plan`: the timetable, whom it hits, the very operations, what is executed; touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from runner.cli.options import environment_option, settings_of, settings_option
from runner.operations.record import Act, Operation
from runner.plan_record import Plan
from runner.preparation import prepare
from runner.shown import shown


@click.command("plan")
@click.argument("scenario", type=click.Path(path_type=Path))
@environment_option
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole plan as JSON.")
def plan_verb(scenario: Path, environment: str, settings: tuple[str, ...], as_json: bool) -> int:
    """Show what a run of SCENARIO would do and undo, to whom, when. Executes and touches nothing."""
    for prepared in prepare(scenario, environment=environment, settings=settings_of(settings)):
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(prepared.plan), indent=1))
        else:
            for line in described(prepared.plan):
                click.echo(shown(line))
    return 0


def described(plan: Plan) -> Iterator[str]:
    """Say a plan in lines for a cautious colleague."""
    scenario = plan.scenario
    total = scenario.warmup + scenario.before + plan.ends
    yield f"{scenario.title}"
    yield f"  scenario {scenario.path}, environment {plan.environment.name} ({plan.environment.path})"
    if scenario.hypothesis:
        yield f"  hypothesis: {' '.join(scenario.hypothesis.split())}"
    yield f"  takes {total:g}s: warm-up {scenario.warmup:g}s, before {scenario.before:g}s, then from t = 0:"
    yield from _timetable(plan)
    yield ""
    yield "Targets"
    for name, instances in plan.instances.items():
        yield f"  {name}: {', '.join(instances) or 'no instances (load and probes only)'}"
    yield ""
    yield "Operations (what is done; what undoes it, on record before it is done; what confirms it)"
    for harm in plan.harms:
        yield f"  {harm.fault}: {harm.does}"
        for act in harm.acts:
            yield from _operations(act)
    yield from _evidence(plan)
    if plan.executes:
        yield ""
        yield "Executes code that the scenario and environment bring"
        yield from (f"  {line}" for line in plan.executes)
    yield from (f"warning: {warning}" for warning in plan.warnings)
    yield ""
    yield _promise(plan)


def _timetable(plan: Plan) -> Iterator[str]:
    rows = [(stage.start, stage.end, f"load {stage.load}: {stage.stage}") for stage in plan.stages]
    rows += [(w.start, w.end, f"{w.fault} on {', '.join(w.instances)}") for w in plan.windows]
    for start, end, what in sorted(rows):
        yield f"  {start:8.1f}s to {end:6.1f}s  {what}"
    yield f"  {plan.ends:8.1f}s            the run ends"


def _operations(act: Act) -> Iterator[str]:
    yield f"    {act.instance} (owns {act.owns})"
    for title, operations in (("do", act.do), ("undo", act.undo), ("confirm", act.confirm)):
        for operation in operations:
            yield f"      {title:8}{_said(operation)}"


def _said(operation: Operation) -> str:
    fields = msgspec.to_builtins(operation)
    name = fields.pop("op")
    processes = [*fields.pop("processes", ()), *filter(None, [fields.pop("process", None)])]
    pids = " ".join(f"pid={process['pid'] or 'as started'}" for process in processes)
    fields.pop("env", None)
    known = [f"{key}={value}" for key, value in fields.items() if value not in (None, "", [], (), {}, False)]
    return " ".join(filter(None, [name, pids, *known]))


def _evidence(plan: Plan) -> Iterator[str]:
    scenario = plan.scenario
    yield ""
    yield "Judged"
    for assertion in scenario.steady_state:
        yield f"  steady state before and after: {assertion.text}"
    for assertion in scenario.expect:
        yield f"  {assertion.when.text or assertion.when.kind}: {assertion.text}"
    for assertion in scenario.halt:
        yield f"  halt: {assertion.text}"


def _promise(plan: Plan) -> str:
    if not plan.windows:
        return "Touches nothing but its own load."
    touched = sorted({name for window in plan.windows for name in window.instances})
    everyone = sum(len(names) for names in plan.instances.values())
    longest = max(window.end - window.start for window in plan.windows)
    return (
        f"Touches {len(touched)} of {everyone} instances ({', '.join(touched)}), each for at most {longest:g}s;"
        " undone within 2 s even if this terminal dies."
    )
