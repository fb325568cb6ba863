"""What a fault would leave standing: who is struck, who remains ready, which budgets, services, zones and neighbours it meets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from runner.faults.kill import Kill
from runner.faults.nodes import DrainNode, Taint
from runner.faults.record import Fault, Instance, Pod
from runner.faults.workloads import Scale
from runner.places import Cluster

Instances = Mapping[str, tuple[str, ...]]  # target -> names of its instances
Bodies = Mapping[str, Instance]  # instance name -> who it is, where that is known before the run
Hurt = tuple[Fault, Collection[str]]  # and the names of the instances it is done to
_NAMED = 4  # names in a line


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A PodDisruptionBudget: how many of its pods may go now, how many have to stay."""

    name: str
    allowed: int
    desired: int
    healthy: int
    pods: frozenset[str]  # uids


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """A service and the pods that are ready behind it."""

    name: str
    pods: frozenset[str]  # uids


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around the pods of a run: budgets and services, and the zones of nodes."""

    budgets: tuple[Budget, ...] = ()
    fronts: tuple[Front, ...] = ()
    zones: dict[tuple[Cluster, str], str] = {}  # of a node


def identity(name: str, bodies: Bodies) -> str:
    """What an instance is, whatever the target is called that it is reached by."""
    body = bodies.get(name)
    if body is None:
        return name
    if body.pod is not None:
        return body.pod.uid or body.pod.node_uid or name
    return body.container or name


def struck(fault: Fault, names: Iterable[str], bodies: Bodies) -> frozenset[str]:
    """The identities that a fault on *names* strikes: with a node also the pods that it drives off there, of a way nobody."""
    names = [name for name in names if name not in bodies or bodies[name].platform != "wire"]
    hit = {identity(name, bodies) for name in names}
    if empties(fault):
        nodes = [pod for name in names if name in bodies and (pod := bodies[name].pod)]
        hit |= {
            identity(name, bodies)
            for name, body in bodies.items()
            if (pod := body.pod)
            and any(_on_one_node(pod, node) for node in nodes)
            and _driven_off(fault, pod)
        }
    return frozenset(hit)


def _on_one_node(one: Pod, other: Pod) -> bool:
    return one.node == other.node and not one.cluster.differs(other.cluster)


def _driven_off(fault: Fault, pod: Pod) -> bool:
    return not fault.tolerated_by(pod) if isinstance(fault, Taint) else pod.evictable


def touched(fault: Fault, names: Iterable[str], bodies: Bodies) -> frozenset[str]:
    """The names of all that a fault on *names* touches: whom it strikes, and of a workload every pod."""
    names = frozenset(names)
    hit, hurt = struck(fault, names, bodies), _workloads(fault, names, bodies)
    return names | {
        name
        for name, body in bodies.items()
        if body.platform != "wire" and (identity(name, bodies) in hit or _owner(body) in hurt)
    }


def _workloads(fault: Fault, names: Iterable[str], bodies: Bodies) -> dict[str, Pod]:
    """The workloads that a fault on *names* hurts, each by its uid and as one of its pods knows it."""
    pods = [bodies[name].pod for name in names if name in bodies] if fault.of_workload else []
    return {pod.workload_uid: pod for pod in pods if pod is not None and pod.workload_uid}


def _owner(body: Instance) -> str:
    return body.pod.workload_uid if body.pod else ""


def empties(fault: Fault) -> bool:
    """Say whether it drives the pods off a node, those of no target too."""
    return isinstance(fault, DrainNode) or (isinstance(fault, Taint) and fault.effect == "NoExecute")


def remains(ready: Collection[str], together: Iterable[Hurt], bodies: Bodies) -> int:
    """How many of the *ready* instances of a target stand at worst while all those faults last *together*.

    What takes pods of a workload may take any: others than those that are struck.
    """
    owners = {name: _owner(bodies[name]) if name in bodies else "" for name in ready}
    of, taken, hit = Counter(owners.values()), Counter[str](), set[str]()
    for fault, names in together:
        workloads = _workloads(fault, names, bodies)
        if not workloads:
            hit |= struck(fault, names, bodies)
        for uid, pod in workloads.items():
            taken[uid] += _scaled_away(fault, pod, of[uid]) if isinstance(fault, Scale) else pod.unavailable
    stand = Counter(owner for name, owner in owners.items() if identity(name, bodies) not in hit)
    return sum(max(0, count - taken[owner]) for owner, count in stand.items())


def _scaled_away(scale: Scale, pod: Pod, ready: int) -> int:
    """How many ready pods go at worst. A stateful set gives up its last ones; others first those that are not ready."""
    stateful = pod.workload.startswith("statefulset/")
    there = max(ready, pod.replicas if stateful else pod.ready_replicas)  # a target may be some of them only
    return max(0, there - scale.replicas)


def leaves(
    name: str,
    fault: Fault,
    names: tuple[str, ...],
    instances: Instances,
    bodies: Bodies,
    around: Surroundings,
) -> Iterator[str]:
    """Say in lines what the fault *name* on *names* would leave standing. Empty where that is not known."""
    known = [each for each in names if each in bodies]
    if not known:
        return
    if bodies[known[0]].platform == "wire":
        ways = sorted({f"{', '.join(bodies[each].peers)} port {bodies[each].port}" for each in known})
        yield f"{name}: only the way of {len(known)} instances to {' or '.join(ways)}"
        return
    hit, reached = struck(fault, known, bodies), touched(fault, known, bodies)
    for target, everyone in instances.items():
        if any(bodies[each].platform in ("wire", "node") for each in everyone if each in bodies):
            continue
        if reached.isdisjoint(everyone):
            continue
        ready = [each for each in everyone if each in bodies and bodies[each].ready]
        left = remains(ready, [(fault, known)], bodies)
        not_ready = f" ({len(everyone) - len(ready)} were not)" if len(ready) < len(everyone) else ""
        yield f"{name}: leaves {left} of {len(ready)} ready {target}{not_ready}{_by_whom(fault, known, bodies)}"
    pods = [pod for each in known if (pod := bodies[each].pod) is not None]
    yield from (f"{name}: {line}" for line in _in_cluster(fault, pods, hit, bodies, around))


def _by_whom(fault: Fault, names: Iterable[str], bodies: Bodies) -> str:
    said = [_so(fault, pod) for pod in _workloads(fault, names, bodies).values()]
    return f": {'; '.join(said)}" if said else ""


def _so(fault: Fault, pod: Pod) -> str:
    if isinstance(fault, Scale):
        return f"{pod.workload} goes from {pod.replicas} to {fault.replicas} replicas"
    return f"{pod.workload} replaces them as its strategy says, with at most {pod.unavailable} down at once"


def _in_cluster(
    fault: Fault, pods: list[Pod], hit: frozenset[str], bodies: Bodies, around: Surroundings
) -> Iterator[str]:
    """What is said of *pods*, which are those of one target and so of one cluster."""
    if not fault.of_workload:
        yield from _budgets(fault, hit, around.budgets)
        for front in around.fronts:
            if front.pods & hit:
                yield f"service {front.name} keeps {len(front.pods - hit)} of {len(front.pods)} ready endpoints"
    nodes = {pod.node: pod for pod in sorted(pods, key=lambda pod: pod.node) if pod.node}
    yield from _zones(nodes.values(), bodies, hit, around)
    yield from _neighbours(nodes.values(), bodies, hit)


def _budgets(fault: Fault, hit: frozenset[str], budgets: tuple[Budget, ...]) -> Iterator[str]:
    asks = isinstance(fault, DrainNode) or (isinstance(fault, Kill) and fault.how == "evict")
    for budget in budgets:
        count = len(budget.pods & hit)
        if not count or count <= budget.allowed:
            continue
        now = f"{budget.desired} of {budget.healthy} healthy pods have to stay, {budget.allowed} may go"
        if asks:
            yield f"budget {budget.name} would refuse evictions: {now}, {count} would"
        else:
            yield f"budget {budget.name} would be violated, and this does not ask it: {now}, {count} would be hit"


def _zones(nodes: Iterable[Pod], bodies: Bodies, hit: frozenset[str], around: Surroundings) -> Iterator[str]:
    hurt = {zone: node for node in nodes if (zone := _zone(node, around))}
    for zone, node in sorted(hurt.items()):
        there = {
            pod.uid
            for body in bodies.values()
            if (pod := body.pod)
            and pod.uid
            and _zone(pod, around) == zone
            and not pod.cluster.differs(node.cluster)
        }
        if there:
            yield f"zone {zone} keeps {len(there - hit)} of {len(there)} of the targets' pods"


def _zone(pod: Pod, around: Surroundings) -> str:
    return around.zones.get((pod.cluster, pod.node), "")


def _neighbours(nodes: Iterable[Pod], bodies: Bodies, hit: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        others: dict[str, str] = {}  # the first name of a pod that is a target's twice
        for name, body in bodies.items():
            if body.platform == "pod" and body.pod is not None and _on_one_node(body.pod, node):
                others.setdefault(identity(name, bodies), f"{name} ({body.known_as})")
        beside = sorted(text for whom, text in others.items() if whom not in hit)
        if beside:
            more = f" and {len(beside) - _NAMED} more" if len(beside) > _NAMED else ""
            yield f"on node {node.node} beside: {', '.join(beside[:_NAMED])}{more}"
