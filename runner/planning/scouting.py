"""What has to be known of engines and clusters before a run: who is there, and what is true of them. Changes nothing there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from runner.errors import Mistake, OperationFailed, Refused
from runner.faults.record import Instance, Steps
from runner.helper import look
from runner.helper.protocol import NodeFacts
from runner.operations.record import Operation
from runner.places import Cluster, Post
from runner.plan_record import Plan
from runner.planning.blast import Surroundings, leaves
from runner.planning.clearance import Clearance, ask
from runner.planning.neighbours import survey
from runner.planning.permissions import posts, rights_of_measure
from runner.scenario import Environment, FaultUse, Helper, Scenario, TargetSpec
from runner.targets.clients import client_of
from runner.targets.elsewhere import lives_elsewhere, resolve

Found = dict[str, tuple[Instance, ...]]  # target -> instances
_AT_ONCE = 8  # helpers that look, on as many nodes


_NO_PYTHON = re.compile(r"exec: \W*python3\W*: .*(not found|no such file)")  # as runc and containerd have it
_NO_MODULE = re.compile(r"No module named '?([\w.]+)")


class Unseen(Refused):
    """No helper could look; whoever knows the environment says where its image is written."""


@dataclass(frozen=True, slots=True)
class Scouted:
    """Who was found; *environment* names each cluster by its uid too."""

    environment: Environment
    instances: Found
    warnings: tuple[str, ...] = ()


def scout(scenario: Scenario, environment: Environment) -> Scouted:
    """Find the instances of every target that lives elsewhere. Raises Refused where one that is used is not there."""
    used = _used(scenario, environment)
    warnings: list[str] = []
    environment = _pinned(environment, warnings)
    instances: Found = {}
    for name, spec in environment.targets.items():
        if not lives_elsewhere(spec):
            continue
        try:
            instances[name] = tuple(resolve(environment, name))
        except Refused as error:
            if name in used:
                raise
            warnings.append(f"{error} (not used by this scenario)")
    return Scouted(environment, instances, tuple(warnings))


def _used(scenario: Scenario, environment: Environment) -> set[str]:
    used = {use.target for use in scenario.faults}
    used |= {indicator.target for indicator in scenario.indicators if indicator.target}
    used |= {load.target for load in scenario.loads if load.target}
    for name in list(used):
        spec = environment.targets.get(name)
        if spec is not None and spec.wire is not None:
            used |= {spec.wire.source, spec.wire.to.removeprefix("$")}
    return used


def _pinned(environment: Environment, warnings: list[str]) -> Environment:
    """Name each cluster by the uid of its kube-system: a call to another one is refused from now on."""
    uids: dict[Cluster, Cluster] = {}
    targets = {name: _pinned_target(spec, uids, warnings) for name, spec in environment.targets.items()}
    return msgspec.structs.replace(environment, targets=targets)


def _pinned_target(spec: TargetSpec, uids: dict[Cluster, Cluster], warnings: list[str]) -> TargetSpec:
    if spec.kubernetes is None:
        return spec
    cluster = spec.kubernetes.cluster
    if cluster not in uids:
        uids[cluster] = _with_uid(cluster, warnings)
    pods = msgspec.structs.replace(spec.kubernetes, cluster=uids[cluster])
    return msgspec.structs.replace(spec, kubernetes=pods)


def _with_uid(cluster: Cluster, warnings: list[str]) -> Cluster:
    try:
        return msgspec.structs.replace(cluster, uid=client_of(cluster).uid())
    except OperationFailed as error:
        if getattr(error, "status", 0) == 403:
            warnings.append(
                "the cluster cannot be told from another one: `get` on namespace kube-system is not allowed"
            )
        return cluster  # where nobody answers, resolving says so with its place


@dataclass(frozen=True, slots=True)
class Draft:
    """What a fault would do to an instance, compiled with made-up facts: what it asks for then, it asks for anyway."""

    use: FaultUse
    body: Instance
    steps: Steps

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (*self.steps.do, *self.steps.undo, *self.steps.confirm)


def drafted(plan: Plan, instances: Found) -> list[Draft]:
    """Draft every fault on every instance that lives elsewhere. Raises Mistake where it cannot be had there."""
    bodies = {one.name: one for found in instances.values() for one in found}
    uses = {use.name: use for use in plan.scenario.faults}
    names = dict.fromkeys((window.fault, name) for window in plan.windows for name in window.instances)
    return [_draft(uses[fault], bodies[name]) for fault, name in names if name in bodies]


def _draft(use: FaultUse, body: Instance) -> Draft:
    try:
        steps = use.fault.compile(made_up(body))
    except Refused as error:
        raise Mistake(use.place, f"faults.{use.name}", str(error)) from None
    shapes = {post.shape for post in posts(steps.do)}
    if "network" in shapes and body.shared_network:
        raise Mistake(
            use.place,
            f"faults.{use.name}",
            f"{body.name} ({body.known_as}) uses the network of {body.shared_network}, which would be hurt with it;"
            " pick another, or give it a network of its own",
        )
    return Draft(use, body, steps)


def cleared(scenario: Scenario, drafts: list[Draft], instances: Found) -> Clearance:
    """Ask engines and clusters whether all of it may be done and read. Raises Refused with a line for each that may not."""
    needs: dict[str, list[Operation]] = {}
    for draft in drafts:
        needs.setdefault(draft.use.name, []).extend(draft.operations)
    engines = dict.fromkeys(draft.body.engine for draft in drafts if draft.body.engine is not None)
    clusters = dict.fromkeys(draft.body.pod.cluster for draft in drafts if draft.body.pod is not None)
    reads = {
        one.name: rights_of_measure(one.measure, instances.get(one.target, ())) for one in scenario.indicators
    }
    return ask(needs, engines, clusters, reads)


def left_standing(plan: Plan, instances: Found) -> tuple[list[str], list[str]]:
    """Say in lines what each fault would leave standing; and what of that could not be read."""
    bodies = {one.name: one for found in instances.values() for one in found}
    warnings: list[str] = []
    try:
        around = survey((bodies[name] for name in plan.touches if name in bodies), bodies.values(), warnings)
    except OperationFailed as error:
        around = Surroundings()
        warnings.append(f"what stands around the targets could not be read: {error}")
    uses = {use.name: use for use in plan.scenario.faults}
    windows = {window.fault: window.instances for window in plan.windows}
    elsewhere = {target: tuple(one.name for one in found) for target, found in instances.items()}
    lines = [
        line
        for name, hit in windows.items()
        for line in leaves(name, uses[name].fault, hit, elsewhere, bodies, around)
    ]
    return lines, warnings


def with_facts(drafts: list[Draft], instances: Found, helper: Helper) -> Found:
    """Let helpers look at the instances whose faults need it, and at others that are to show that they stay spared.

    One helper on each engine or node; they only read. Raises Refused, with the place of *helper*, where one cannot.
    """
    wanted = {
        draft.body.name: draft.body
        for draft in drafts
        if any(post.shape != "api" for post in posts(draft.steps.do))
    }
    if not wanted:
        return instances
    try:
        seen = _looked_at([*wanted.values(), *_beside(wanted, instances)])
    except Unseen as error:
        raise Refused(f"{helper.place or 'helper'}: helper.image: {error}") from error
    return {target: tuple(seen.get(one.name, one) for one in found) for target, found in instances.items()}


def _beside(wanted: Mapping[str, Instance], instances: Found) -> Iterator[Instance]:
    """Others of the targets that are hurt: those where somebody looks anyway, or else one."""
    nodes = {_node(body) for body in wanted.values()}
    for found in instances.values():
        others = [one for one in found if one.name not in wanted and one.post is not None]
        if len(others) < len(found):
            yield from [one for one in others if _node(one) in nodes] or others[:1]


def made_up(body: Instance) -> Instance:
    """Give an instance the facts that a look would find at best."""
    return msgspec.structs.replace(
        body, kernel=_AnyKernel(), cgroup_version=1, held=body.held or 1, cgroup_files=_Anything()
    )


class _AnyKernel(tuple[str, ...]):
    """A kernel that has it all."""

    __slots__ = ()

    def __contains__(self, _name: object) -> bool:
        return True


class _Anything(dict[str, str]):
    """Limit files of which each is there and reads as a kernel's default."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        if name == "pids.current":
            return "1"
        if name.startswith("memory"):
            return str(2**63 - 4096)  # no limit, in version 1
        return "max 100000" if name == "cpu.max" else "100000"

    def get(self, name: str, _default: str = "") -> str:  # type: ignore[override]
        return self[name]


def _looked_at(bodies: Iterable[Instance]) -> Mapping[str, Instance]:
    nodes: dict[tuple[object, ...], list[Instance]] = {}
    for body in bodies:
        assert body.post is not None
        nodes.setdefault((body.post.engine, body.post.cluster, body.post.node), []).append(body)

    def facts(together: list[Instance]) -> list[Instance]:
        assert together[0].post is not None
        post = msgspec.structs.replace(together[0].post, shape="look")
        names = tuple(sorted({one.container for one in together if one.container}))
        node = _look(post, names, together[0])
        return [_with_facts(one, node) for one in together]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {one.name: one for seen in pool.map(facts, nodes.values()) for one in seen}


def _look(post: Post, names: tuple[str, ...], first: Instance) -> NodeFacts:
    """Look, and once more where it fails: a busy node may take its time with a helper that comes or goes."""
    try:
        return look(post, names)
    except OperationFailed:
        try:
            return look(post, names)
        except OperationFailed as error:
            raise Unseen(_unseen(post.image, first, str(error))) from error


def _unseen(image: str, first: Instance, cause: str) -> str:
    """Say what keeps a helper from looking: most often an image that is made for something else."""
    module = _NO_MODULE.search(cause)
    if _NO_PYTHON.search(cause) or module:
        lack = f"no Python module {module[1]}" if module else "no python3"
        return f"{image} is no helper image: it has {lack}; make one as README says under Helpers"
    return (
        f"no helper of {image} could look at {_node(first)}, for {first.name}: {cause};"
        " see whether it can run there, or make it anew as README says under Helpers"
    )


def _with_facts(one: Instance, node: NodeFacts) -> Instance:
    seen = node.containers.get(one.container)
    if seen is None:
        return msgspec.structs.replace(one, kernel=node.kernel)
    return msgspec.structs.replace(
        one,
        kernel=node.kernel,
        cores=seen.cores,
        held=seen.held,
        cgroup_version=seen.cgroup_version,
        cgroup_files=seen.files,
    )


def _node(one: Instance) -> str:
    if one.pod is not None:
        return f"node {one.pod.node}"
    return one.engine.url if one.engine else "its node"
