"""`squall plan`: the timetable, whom it hits, the very operations, what is executed; touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from runner.cli.options import environment_option, settings_of, settings_option
from runner.cli.proving import proving
from runner.halts.meaning import meaning_of
from runner.operations.record import (
    Act,
    Afar,
    AfarGone,
    Await,
    CheckAfar,
    DockerCall,
    KubeCall,
    Operation,
    Run,
)
from runner.places import Post
from runner.plan_record import Plan
from runner.planning.blast import empties
from runner.planning.earlier import earlier
from runner.planning.permissions import posts
from runner.planning.preparation import prepare, slug
from runner.shown import shown


@click.command("plan")
@click.argument("scenario", type=click.Path(path_type=Path))
@environment_option
@settings_option
@click.option(
    "--report",
    "reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    help="Folder of earlier records: what they tell of noise and pace (reports).",
)
@click.option(
    "--allow-plugins",
    is_flag=True,
    help="Run the exec plugins, and send the token files, of kubeconfigs that the environment names, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole plan as JSON.")
def plan_verb(
    *,
    scenario: Path,
    environment: str,
    settings: tuple[str, ...],
    reports: Path,
    allow_plugins: bool,
    as_json: bool,
) -> int:
    """Show what a run of SCENARIO would do and undo, to whom, when. Touches nothing, and executes nothing but the
    exec plugin of your own kubeconfig (KUBECONFIG, ~/.kube/config) that a cluster is asked with.
    """
    from runner.planning.foresight import with_foresight  # noqa: PLC0415 - scipy: only where a plan is printed

    for prepared in prepare(
        scenario, environment=environment, settings=settings_of(settings), cautious=not allow_plugins
    ):
        plan = with_foresight(
            prepared.plan, earlier(reports / slug(prepared.plan.scenario.name), prepared.plan)
        )
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(plan), indent=1))
        else:
            for line in described(plan):
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
        yield f"  {name}: {', '.join(_named(plan, each) for each in instances) or 'no instances (load and probes only)'}"
    yield from _elsewhere(plan)
    yield ""
    yield "Operations (what is done; what undoes it, on record before it is done; what confirms it)"
    for harm in plan.harms:
        yield f"  {harm.fault}: {harm.does}"
        for act in harm.acts:
            yield from _operations(plan, act)
    yield from _evidence(plan)
    yield from proving(plan)
    if plan.executes:
        yield ""
        yield "Executes code that scenario, environment and kubeconfigs bring"
        yield from (f"  {line}" for line in plan.executes)
    yield from (f"warning: {warning}" for warning in plan.warnings)
    yield ""
    yield _promise(plan)


def _elsewhere(plan: Plan) -> Iterator[str]:
    """Engines and clusters: who we are there, what a fault leaves of them, and what this plan did to know it."""
    if plan.acts_as:
        yield ""
        yield "Engines and clusters (asked; nothing that will be needed is refused)"
        yield from (f"  {line}" for line in plan.acts_as)
        if looked := sorted({_place(post) for post in _posts(plan) if post.shape != "api"}):
            yield f"  looked at by helpers, which read and are gone again: {', '.join(looked)}"
    if plan.leaves:
        yield ""
        yield "Leaves standing"
        yield from (f"  {line}" for line in plan.leaves)


def _posts(plan: Plan) -> Iterator[Post]:
    for harm in plan.harms:
        for act in harm.acts:
            yield from posts(act.do)


def _place(post: Post) -> str:
    return f"node {post.node}" if post.node else f"the engine at {post.engine.url}" if post.engine else "?"


def _named(plan: Plan, instance: str) -> str:
    real = plan.known_as.get(instance)
    return f"{instance} ({real})" if real else instance


def _timetable(plan: Plan) -> Iterator[str]:
    rows = [(stage.start, stage.end, f"load {stage.load}: {stage.stage}") for stage in plan.stages]
    rows += [
        (w.start, w.end, f"{w.fault} on {', '.join(_named(plan, each) for each in w.instances)}")
        for w in plan.windows
    ]
    for start, end, what in sorted(rows):
        yield f"  {start:8.1f}s to {end:6.1f}s  {what}"
    yield f"  {plan.ends:8.1f}s            the run ends"


def _operations(plan: Plan, act: Act) -> Iterator[str]:
    yield f"    {_named(plan, act.instance)} (owns {act.owns})"
    for title, operations in (("do", act.do), ("undo", act.undo), ("confirm", act.confirm)):
        for operation in operations:
            yield f"      {title:8}{_said(operation)}"
            if isinstance(operation, Afar):
                yield from _inner(operation)


def _inner(afar: Afar) -> Iterator[str]:
    """What the helpers themselves do, and undo when they are told, hung up on, or hear nothing for too long."""
    for title, operations in (("do", afar.do), ("undo", afar.undo), ("confirm", afar.confirm)):
        yield from (f"        there {title:8}{_said(each)}" for each in operations)


def _said(operation: Operation) -> str:
    match operation:
        case Afar(post=post, lease=lease):
            return f"two helpers of {post.image} {_beside(post)}; they undo by themselves after {lease:g}s unheard"
        case AfarGone(post=post):
            return (
                f"both helpers {_beside(post)} undo and leave; where they cannot say so, a fresh one undoes"
            )
        case CheckAfar():
            return "what the helper itself reads"
        case Await(check=check, within=within):
            return f"wait up to {within:g}s until {_said(check)}"
        case _:
            return _fields_of(operation)


def _beside(post: Post) -> str:
    if post.shape == "api":
        return f"in namespace {post.namespace} as service account {post.service_account}"
    where = f" on node {post.node}, namespace {post.namespace}" if post.node else ""
    return f"({post.shape}) beside container {post.container[:12]}{where}"


def _fields_of(operation: Operation) -> str:
    fields = msgspec.to_builtins(operation)
    name = fields.pop("op")
    processes = [*fields.pop("processes", ()), *filter(None, [fields.pop("process", None)])]
    pids = " ".join(f"pid={process['pid'] or 'as started'}" for process in processes)
    fields.pop("env", None)
    if engine := fields.pop("engine", None):
        fields["engine"] = engine["url"]
    if cluster := fields.pop("cluster", None):
        fields["cluster"] = cluster["uid"] or cluster["context"] or cluster["kubeconfig"]
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
        if meaning := meaning_of(assertion, plan):
            yield f"        {meaning}"
    if (compare := scenario.compare) is not None:
        sides = "both arms of this run" if compare.arms else f"{compare.pairs} pairs of two environments"
        margins = ", ".join(f"{margin.term.text} {margin.text}" for margin in compare.margins)
        yield f"  compare {compare.when.text}, {sides}: {margins}"


def _promise(plan: Plan) -> str:
    if not plan.windows:
        return "Touches nothing but its own load."
    everyone = sum(len(names) for names in plan.instances.values())
    longest = max(window.end - window.start for window in plan.windows)
    acts = [act for harm in plan.harms for act in harm.acts]
    lease = max((each.lease for act in acts for each in act.do if isinstance(each, Afar)), default=0.0)
    there = f"; the helpers there undo {lease:g}s after they last heard of us, at the latest" if lease else ""
    return (
        f"Touches {len(plan.touches)} of {everyone} instances ({', '.join(plan.touches)}){_more(plan)},"
        f" each for at most {longest:g}s; {_undone(acts)}{there}."
    )


def _more(plan: Plan) -> str:
    """Whom a plan cannot name: who comes later, and the pods of nobody's target."""
    uses = plan.scenario.faults
    nodes = " and what else runs on its nodes" if any(empties(use.fault) for use in uses) else ""
    follows = any(use.follow and use.fault.recovers_from == "undo" for use in uses)
    return nodes + (" and those that come meanwhile" if follows else "")


def _undone(acts: list[Act]) -> str:
    slow = {
        act.fault: most for act in acts if (most := max((_wait(act, each) for each in act.undo), default=0))
    }
    if not slow:
        return "undone within 2 s even if this terminal dies"
    return (
        f"the undo begins within 2 s even if this terminal dies, and of {', '.join(slow)} waits up to"
        f" {max(slow.values()):g}s for an engine, a cluster or a command"
    )


def _wait(act: Act, operation: Operation) -> float:
    """Seconds that an operation of an undo may wait for somebody else's answer."""
    match operation:
        case Await(within=seconds) | Run(timeout=seconds):
            return seconds
        case AfarGone() | DockerCall() | KubeCall():
            return act.deadline
        case _:
            return 0.0
