"""Faults of pods, workloads and nodes against a real cluster: felt, confirmed, and undone as it was."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from runner.errors import NothingDone, OperationFailed, Place
from runner.faults.cpu import Cpu
from runner.faults.kill import Kill
from runner.faults.nodes import Cordon, DrainNode, Taint
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault, Instance, Pod
from runner.faults.workloads import Restart, Scale
from runner.operations import Context, perform
from runner.operations.record import Act, Afar, AfarGone, Operation, Reading
from runner.places import Cluster, Post
from runner.planning.scouting import _looked_at
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.scenario import Helper, Pods, TargetSpec
from runner.targets import pods as pod_targets
from tests import fingerprints, helper_image
from tests.cluster_api import trust
from tests.cluster_parts import MINE, container_of, deployment, namespace, pods, until
from tests.held_parts import act_of, confirmed, held, undone


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    return helper_image.build()


@pytest.fixture(scope="module")
def place(cluster: Any) -> Cluster:
    return Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context, uid=cluster.uid)


@pytest.fixture(scope="module")
def space(cluster: Any) -> Iterator[str]:
    """A namespace for helpers, whose reverter may do everything: which rights suffice is shown elsewhere."""
    import kubernetes

    rights = kubernetes.client.RbacAuthorizationV1Api(cluster.core.api_client)
    with namespace(cluster) as name:
        trust(cluster.core, name)
        subject = {"kind": "ServiceAccount", "name": "default", "namespace": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        rights.create_cluster_role_binding(
            {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
        )
        try:
            yield name
        finally:
            rights.delete_cluster_role_binding(name)


@pytest.fixture
def web(cluster: Any) -> Iterator[Any]:
    with deployment(cluster, "sh", "-c", "while :; do :; done", replicas=2) as made:
        yield made


def instances_of(made: Any, place: Cluster, image: str, space: str) -> list[Instance]:
    """What the plan knows of a Deployment's pods."""
    wanted = Pods(
        cluster=place, namespace=made.metadata.namespace, workload=f"deployment/{made.metadata.name}"
    )
    spec = TargetSpec(name="shop", kubernetes=wanted, place=Place("here", 1))
    return pod_targets.resolve(
        spec, Helper(image=image, namespace=space, service_account="default", lease=3.0)
    )


def with_facts(instance: Instance) -> Instance:
    return _looked_at([instance])[instance.name]


def here(act: Act, cluster: Cluster) -> Act:
    """The same act, as if the helper in the cluster were this process."""

    def inner(operations: tuple[Operation, ...], part: str) -> tuple[Operation, ...]:
        found: list[Operation] = []
        for each in operations:
            found += getattr(each, part) if isinstance(each, Afar | AfarGone) else ()
        return tuple(msgspec.structs.replace(each, cluster=cluster) for each in found)

    return msgspec.structs.replace(
        act, do=inner(act.do, "do"), undo=inner(act.undo, "undo"), confirm=inner(act.do, "confirm")
    )


def done(act: Act) -> list[Reading]:
    return [each for each in (perform(one, Context()) for one in act.do) if isinstance(each, Reading)]


def budget(place: Cluster, where: str, *, minimum: int, app: str) -> Callable[[], dict[str, Any]]:
    """Let so many be kept; return how its status is read. Old and new clusters know different versions."""
    client = ClusterClient(place)
    spec = {"minAvailable": minimum, "selector": {"matchLabels": {"app": app}}}
    for version in ("v1", "v1beta1"):
        path = f"/apis/policy/{version}/namespaces/{where}/poddisruptionbudgets"
        with contextlib.suppress(ApiError):
            client.post(path, {"metadata": {"name": "some"}, "spec": spec})
            return lambda: client.get(f"{path}/some").get("status", {})
    raise AssertionError("no version of budgets is known there")


# --- life ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["delete", "evict"])
def test_a_pod_is_killed_confirmed_and_awaited(cluster, web, place, how):
    victim, other = instances_of(web, place, "", "")
    act = act_of(Kill(how=how), victim, "kill")
    assert not confirmed(act)
    began = time.monotonic()
    assert all(reading.ok for reading in done(act))
    until(lambda: confirmed(act))
    print(f"{how}: confirmed after {time.monotonic() - began:.2f} s")
    assert undone(act)
    until(lambda: len(instances_of(web, place, "", "")) == 2, every=0.2)
    after = instances_of(web, place, "", "")
    assert other.pod.uid in {each.pod.uid for each in after}
    assert victim.pod.uid not in {each.pod.uid for each in after}
    assert undone(act)


def test_a_pod_is_back_also_where_a_rollout_was_paused_halfway(cluster, web, place):
    """No pod is of the newest template then, and none will be: as many as were ready is all there can be."""
    victim, _ = instances_of(web, place, "", "")
    name, space = web.metadata.name, web.metadata.namespace
    template = {"metadata": {"annotations": {"newest": "yes"}}}
    cluster.apps.patch_namespaced_deployment(name, space, {"spec": {"paused": True, "template": template}})
    act = act_of(Kill(how="delete"), victim, "kill")
    assert all(reading.ok for reading in done(act))
    until(lambda: confirmed(act))
    assert undone(act)
    assert victim.pod.uid not in {each.pod.uid for each in instances_of(web, place, "", "")}


def test_who_is_slow_to_come_back_is_awaited_as_long_as_the_fault_says(cluster, web, place):
    victim, name = instances_of(web, place, "", "")[0], web.metadata.namespace
    full = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    cluster.core.create_namespaced_resource_quota(name, full)
    until(lambda: cluster.core.read_namespaced_resource_quota("full", name).status.used)
    act = act_of(Kill(back_within=1), victim, "kill")
    assert all(reading.ok for reading in done(act))
    (reading,) = [perform(each, Context()) for each in act.undo]
    assert reading.ok is False
    assert "after 1 s; back_within" in reading.evidence
    cluster.core.delete_namespaced_resource_quota("full", name)
    assert undone(act_of(Kill(), victim, "kill"))


def test_an_eviction_that_a_budget_forbids_is_not_done_and_says_so(cluster, web, place):
    budgets = budget(place, web.metadata.namespace, minimum=2, app="web")
    until(lambda: budgets().get("currentHealthy") == 2, every=0.2)
    victim = instances_of(web, place, "", "")[0]
    act = act_of(Kill(how="evict"), victim, "kill")
    (reading,) = done(act)
    assert reading.ok is False
    assert "budget" in reading.evidence
    assert victim.pod.uid in {each.pod.uid for each in instances_of(web, place, "", "")}
    assert not confirmed(act)


def test_the_process_in_a_pod_is_killed_and_the_pod_stays(cluster, web, place, image, space):
    victim = instances_of(web, place, image, space)[0]
    act = act_of(Kill(how="sigkill"), victim, "kill")
    with held(act.do):
        until(lambda: confirmed(act))  # the kernel takes a moment to end what it was told to kill
    assert undone(act)

    def again() -> bool:
        found = [each for each in instances_of(web, place, "", "") if each.pod.uid == victim.pod.uid]
        return bool(found) and found[0].container != victim.container

    until(again, every=0.2)


@pytest.mark.long
def test_a_rollout_replaces_every_pod_and_is_awaited(cluster, web, place):
    before = instances_of(web, place, "", "")
    act = act_of(Restart(), before[0], "restart")
    assert all(reading.ok for reading in done(act))
    until(lambda: confirmed(act), every=0.3)
    assert undone(act)
    after = {each.pod.uid for each in instances_of(web, place, "", "")}
    assert not after & {each.pod.uid for each in before}


# --- limits and replicas, held by helpers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Pause(), id="pause"),
        pytest.param(Cpu(limit=0.1), id="cpu", marks=pytest.mark.long),
        pytest.param(Pids(headroom=3), id="pids", marks=pytest.mark.long),
    ],
)
def test_a_pod_is_limited_by_a_helper_and_free_when_its_hand_is_killed(
    engine, cluster, place, image, space, fault
):
    with pods(cluster, "sh", "-c", "while :; do :; done", labels={"app": "alone"}) as (pod,):
        wanted = Pods(cluster=place, namespace=pod.metadata.namespace, selector="app=alone")
        spec = TargetSpec(name="shop", kubernetes=wanted, place=Place("here", 1))
        (victim,) = pod_targets.resolve(spec, Helper(image=image, namespace=space, lease=3.0))
        before = fingerprints.of_container(engine, container_of(pod))
        act = act_of(fault, with_facts(victim), "limit")
        with held(act.do) as hand:
            until(lambda: confirmed(act), within=15)
            assert fingerprints.difference(before, fingerprints.of_container(engine, container_of(pod)))
            hand.kill()
            until(
                lambda: (
                    not fingerprints.difference(before, fingerprints.of_container(engine, container_of(pod)))
                ),
                within=8,
            )
        assert undone(act)


def test_replicas_come_back_when_the_hand_is_killed(cluster, web, place, image, space):
    act = act_of(Scale(replicas=1), instances_of(web, place, image, space)[0], "scale")

    def replicas() -> int:
        return cluster.apps.read_namespaced_deployment(
            web.metadata.name, web.metadata.namespace
        ).spec.replicas

    with held(act.do) as hand:
        assert confirmed(act)
        assert replicas() == 1
        hand.kill()
        until(lambda: replicas() == 2, within=10)
    assert undone(act)


def test_a_number_that_somebody_else_wrote_is_left_alone(cluster, web, place):
    victim = msgspec.structs.replace(
        instances_of(web, place, "", "")[0], reverter=Post(cluster=place, image="any")
    )
    act = here(act_of(Scale(replicas=1), victim, "scale"), place)
    assert all(reading.ok for reading in done(act))
    assert confirmed(act)
    cluster.apps.patch_namespaced_deployment(
        web.metadata.name, web.metadata.namespace, {"spec": {"replicas": 0}}
    )
    (reading,) = (perform(each, Context()) for each in act.undo)
    assert reading.ok is False
    assert "somebody else" in reading.evidence


@pytest.mark.parametrize("theirs", [1, 3], ids=["the same", "another"])
def test_a_number_that_somebody_else_wrote_before_us_is_not_ours(cluster, web, place, theirs):
    victim = msgspec.structs.replace(
        instances_of(web, place, "", "")[0], reverter=Post(cluster=place, image="any")
    )
    act = here(act_of(Scale(replicas=1), victim, "scale"), place)
    name, space = web.metadata.name, web.metadata.namespace
    cluster.apps.patch_namespaced_deployment(name, space, {"spec": {"replicas": theirs}})
    with pytest.raises(NothingDone, match="left alone"):
        perform(act.do[0], Context())
    assert cluster.apps.read_namespaced_deployment(name, space).spec.replicas == theirs


# --- nodes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def spare(cluster: Any) -> Iterator[Any]:
    """A node of which nobody is afraid: there is no machine behind it, and the cluster takes it for a good one for a while."""
    name = f"squall-test-{uuid.uuid4().hex[:8]}"
    body = {
        "metadata": {"name": name, "labels": {**MINE, "spare": name}},
        "spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]},
    }
    made = cluster.core.create_node(body)
    room = {"cpu": "8", "memory": "8Gi", "pods": "50"}
    now = made.metadata.creation_timestamp.isoformat()
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "reason": "Test", "message": "test"}
    cluster.core.patch_node_status(
        name, {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
    )
    try:
        yield cluster.core.read_node(name)
    finally:
        cluster.core.delete_node(name)


def node_instance(node: Any, place: Cluster, image: str = "any", space: str = "") -> Instance:
    return Instance(
        target="nodes",
        name="nodes.0",
        platform="node",
        pod=Pod(
            cluster=place,
            node=node.metadata.name,
            node_uid=node.metadata.uid,
            taints=json.dumps([{"key": each.key, "effect": each.effect} for each in node.spec.taints or []]),
        ),
        reverter=Post(
            cluster=place, image=image, shape="api", namespace=space, service_account="default", node="node-1"
        ),
        lease=3.0,
    )


def of_node(cluster: Any, node: Any) -> tuple[bool, list[str]]:
    """What the test looks at; what the cluster itself thinks of a node without a machine left out."""
    found = cluster.core.read_node(node.metadata.name)
    taints = sorted(
        f"{each.key}={each.value}:{each.effect}"
        for each in found.spec.taints or []
        if not each.key.startswith("node.kubernetes.io/")
    )
    return bool(found.spec.unschedulable), taints


@pytest.mark.parametrize("fault", [Cordon(), Taint(value="x"), DrainNode()], ids=["cordon", "taint", "drain"])
def test_a_node_is_as_it_was_afterwards(cluster, spare, place, fault):
    before = of_node(cluster, spare)
    act = here(act_of(fault, node_instance(spare, place), "node"), place)
    assert undone(act), "without do it is harmless"
    assert of_node(cluster, spare) == before
    assert not confirmed(act)
    assert all(reading.ok for reading in done(act))
    assert confirmed(act)
    assert of_node(cluster, spare) != before
    for _ in range(2):
        assert undone(act)
        assert of_node(cluster, spare) == before


@pytest.mark.parametrize(
    "fault", [pytest.param(Cordon(), id="cordon"), pytest.param(Taint(), id="taint", marks=pytest.mark.long)]
)
def test_a_node_heals_when_the_hand_is_killed(cluster, spare, place, image, space, fault: Fault):
    before = of_node(cluster, spare)
    act = act_of(fault, node_instance(spare, place, image, space), "node")
    with held(act.do) as hand:
        assert confirmed(act)
        assert of_node(cluster, spare) != before
        hand.kill()
        until(lambda: of_node(cluster, spare) == before, within=10)
    assert undone(act)


@pytest.mark.parametrize("fault", [Cordon(), Taint(value="x"), DrainNode()], ids=["cordon", "taint", "drain"])
def test_what_somebody_else_did_to_a_node_meanwhile_is_not_ours(cluster, spare, place, fault):
    act = here(act_of(fault, node_instance(spare, place), "node"), place)
    theirs = msgspec.structs.replace(act.do[0], strict=False)
    assert perform(theirs, Context()).ok
    before = of_node(cluster, spare)
    with pytest.raises(NothingDone, match="somebody else did that; left alone"):
        perform(act.do[0], Context())
    assert of_node(cluster, spare) == before


def test_a_node_that_was_cordoned_while_its_helper_came_stays_so(cluster, spare, place, image, space):
    act = act_of(Cordon(), node_instance(spare, place, image, space), "node")
    cluster.core.patch_node(spare.metadata.name, {"spec": {"unschedulable": True}})
    before = of_node(cluster, spare)
    with pytest.raises(OperationFailed, match="somebody else did that; left alone"):
        perform(act.do[0], Context())
    assert undone(act)
    assert of_node(cluster, spare) == before


@contextlib.contextmanager
def lodgers(cluster: Any, node: Any, *, kind: str) -> Iterator[str]:
    """Pods on the spare node, brought back by a workload or by nobody."""
    tolerations = [
        {"key": "dedicated", "operator": "Exists"},
        *({"key": f"node.kubernetes.io/{why}", "operator": "Exists"} for why in ("not-ready", "unreachable")),
    ]
    spec = {
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {"spare": node.metadata.name},
        "tolerations": tolerations,
        "containers": [{"name": "main", "image": "busybox:local", "command": ["sleep", "1000"]}],
    }
    labels = {**MINE, "app": "lodger"}
    with namespace(cluster) as where:
        if kind == "alone":
            cluster.core.create_namespaced_pod(
                where, {"metadata": {"name": "alone", "labels": labels}, "spec": spec}
            )
        else:
            template = {"metadata": {"labels": labels}, "spec": spec}
            body = {
                "metadata": {"name": "lodgers"},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "lodger"}}, "template": template},
            }
            cluster.apps.create_namespaced_deployment(where, body)
        until(lambda: len(living_on(cluster, where, node)) == (1 if kind == "alone" else 3), every=0.2)
        yield where


def living_on(cluster: Any, where: str, node: Any) -> set[str]:
    return {
        each.metadata.uid
        for each in cluster.core.list_namespaced_pod(where).items
        if each.spec.node_name == node.metadata.name and not each.metadata.deletion_timestamp
    }


@pytest.mark.long
def test_a_drained_node_is_left_by_those_who_come_back_elsewhere(cluster, spare, place):
    with lodgers(cluster, spare, kind="deployment") as where:
        act = here(act_of(DrainNode(), node_instance(spare, place), "drain"), place)
        perform(act.do[0], Context())
        held_ = perform(act.do[1], Context())
        until(lambda: (held_.tick(), confirmed(act))[1], every=0.3)
        assert not living_on(cluster, where, spare)
        assert "3 pods evicted" in held_.reading.evidence
        held_.release()
        assert undone(act)
        until(lambda: len(living_on(cluster, where, spare)) == 3, every=0.3)


@pytest.mark.long
def test_a_drain_evicts_one_pod_at_a_time_so_that_a_halt_spares_the_others(cluster, spare, place):
    with lodgers(cluster, spare, kind="deployment") as where:
        act = here(act_of(DrainNode(), node_instance(spare, place), "drain"), place)
        perform(act.do[0], Context())
        drain = perform(act.do[1], Context())
        assert "1 pods evicted" in drain.reading.evidence
        assert drain.tick() == 0.0, "the next is due at once"
        assert "2 pods evicted" in drain.reading.evidence
        drain.release()
        assert len(living_on(cluster, where, spare)) == 1
        assert undone(act)


@pytest.mark.long
def test_a_pod_that_nobody_brings_back_is_never_evicted(cluster, spare, place):
    with lodgers(cluster, spare, kind="alone") as where:
        act = here(act_of(DrainNode(), node_instance(spare, place), "drain"), place)
        done(act)
        assert confirmed(act), "nobody is left that may go"
        assert len(living_on(cluster, where, spare)) == 1
        assert undone(act)


@pytest.mark.long
def test_a_drain_goes_on_as_a_budget_allows_and_says_who_waits(cluster, spare, place):
    with lodgers(cluster, spare, kind="deployment") as where:
        for each in cluster.core.list_namespaced_pod(
            where
        ).items:  # a pod that does not run yet may always go
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            cluster.core.patch_namespaced_pod_status(each.metadata.name, where, {"status": ready})
        status = budget(place, where, minimum=3, app="lodger")
        until(lambda: status().get("currentHealthy") == 3, every=0.2)
        act = here(act_of(DrainNode(), node_instance(spare, place), "drain"), place)
        perform(act.do[0], Context())
        drain = perform(act.do[1], Context())
        drain.tick()
        assert "may not go yet" in drain.reading.evidence
        assert len(living_on(cluster, where, spare)) == 3
        assert perform(act.confirm[1], Context()).ok is None, "who waits is neither gone nor forgotten"
        assert undone(act)
