"""What is looked at before a run: helpers that cannot look, and clusters as they read."""

from __future__ import annotations

import contextlib

import pytest

from runner.errors import Mistake, OperationFailed, Place, Refused
from runner.faults.cpu import Cpu
from runner.faults.record import Instance
from runner.language import read_environment, read_scenario
from runner.places import Cluster, Engine, Post
from runner.planning import clearance, scouting
from runner.planning.permissions import Right
from runner.planning.plan import work_out
from runner.planning.scouting import Draft, left_standing, made_up, scout, with_facts
from runner.remote.calling import ApiError
from runner.scenario import Helper
from tests.cluster_made import budget, endpoints, node, pod, served, workload

HELPER = Helper(image="busybox:local", place=Place(file="environments/x.yaml", line=3))
BODY = Instance(
    target="c",
    name="c.0",
    known_as="c",
    platform="container",
    container="c" * 64,
    engine=Engine(),
    post=Post(engine=Engine(), image=HELPER.image, container="c" * 64),
)
RUNC = (
    "POST /containers/ab/start: 400, failed to create task for container: failed to create shim task: OCI runtime"
    " create failed: runc create failed: unable to start container process: error during container init:"
    ' exec: "python3": executable file not found in $PATH: unknown'
)
BARE = (
    "the helper that was to look at the engine said nothing: /usr/local/bin/python3: Error while finding module"
    " specification for 'runner.helper' (ModuleNotFoundError: No module named 'runner')"
)
SILENT = "the helper that was to look at the engine said nothing within 30 s"


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (RUNC, "busybox:local is no helper image: it has no python3; make one as README says under Helpers"),
        (BARE, "busybox:local is no helper image: it has no Python module runner; make one as README says"),
        (SILENT, f"no helper of busybox:local could look at unix://.*, for c.0: {SILENT}; see whether"),
    ],
)
def test_a_helper_that_cannot_look_leads_to_its_image(cause, says, monkeypatch):
    def look(*_):
        raise OperationFailed(cause)

    monkeypatch.setattr(scouting, "look", look)
    draft = Draft(None, BODY, Cpu(limit=0.2).compile(made_up(BODY)))
    with pytest.raises(Refused, match=f"^environments/x.yaml:3: helper.image: {says}"):
        with_facts([draft], {"c": (BODY,)}, HELPER)


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (
            "",
            "whether we may do what this run needs cannot be asked: that needs `create selfsubjectaccessreviews`",
        ),
        (
            "squall:reverter",
            "whether service account squall:reverter may do what it has to undo cannot be asked",
        ),
    ],
    ids=["ours", "the reverter's"],
)
def test_a_right_that_cannot_be_asked_for_is_not_called_allowed(account, says, monkeypatch):
    right = Right(cluster=Cluster(uid="u"), verb="get", resource="pods", account=account)
    monkeypatch.setattr(clearance, "rights", lambda _: iter([right]))
    monkeypatch.setattr(clearance, "client_of", lambda _: NobodyToAsk())
    found = clearance.ask({"hurt": []}, (), (), {})
    assert [warning[: len(says)] for warning in found.warnings] == [says]


def test_a_fault_and_an_indicator_of_one_name_are_both_asked_for(monkeypatch):
    cluster = Cluster(uid="u")
    kill = Right(cluster=cluster, verb="delete", resource="pods", namespace="shop")
    read = Right(cluster=cluster, verb="get", resource="nodes/proxy", name="n1")
    monkeypatch.setattr(clearance, "rights", lambda _: iter([kill]))
    monkeypatch.setattr(clearance, "client_of", lambda _: NothingAllowed())
    with pytest.raises(Refused) as refused:
        clearance.ask({"cpu": []}, (), (), {"cpu": [read]})
    assert str(refused.value).splitlines() == [
        "cpu: we are not allowed to delete pods in namespace shop; grant it, or use another identity",
        "cpu: we are not allowed to get nodes/proxy n1; grant it, or use another identity",
    ]


class NothingAllowed:
    """A cluster that lets us do nothing."""

    def post(self, *_):
        return {"status": {"allowed": False}}


class NobodyToAsk:
    """A cluster that lets us ask nothing."""

    def post(self, path, _):
        raise ApiError(403, f"POST {path}: 403, forbidden")


# --- what would be left of a cluster ---------------------------------------------------------------------------------


@pytest.fixture
def standing(tmp_path):
    """Say what faults would leave standing of clusters that consist of objects, all with a pool of nodes `nodes`."""

    def standing(faults, targets, limits="", **clusters):
        places = "".join(
            f"  {name}: {{kubernetes: {{kubeconfig: {cluster}, {which}}}}}\n"
            for name, (cluster, which) in targets.items()
        )
        (tmp_path / "here.yaml").write_text(
            f"targets:\n{places}helper: {{image: 'squall:1', service_account: undoer}}\n{limits}"
        )
        (tmp_path / "s.yaml").write_text(f"faults:\n  {faults}\n")
        with contextlib.ExitStack() as stack:
            for name, objects in clusters.items():
                stack.enter_context(served(tmp_path, name, *objects))
            place = read_environment(str(tmp_path / "here.yaml"), tmp_path / "s.yaml")
            [scenario] = read_scenario(tmp_path / "s.yaml", place, {})
            found = scout(scenario, place)
            names = {target: tuple(one.name for one in ones) for target, ones in found.instances.items()}
            bodies = {one.name: one for ones in found.instances.values() for one in ones}
            plan = work_out(scenario, found.environment, names, run="r", bodies=bodies)
            lines, warnings = left_standing(plan, found.instances)
            assert not warnings
            return lines

    return standing


NODES = [node("n1", zone="north"), node("n2", zone="south"), node("n3", zone="south")]
AGENT = workload("DaemonSet", "agent", updateStrategy={"type": "OnDelete"})
AGENTS = [AGENT, *(pod(f"agent-{number}", AGENT, node=f"n{number}") for number in (1, 2))]


def test_a_drain_is_not_refused_for_pods_that_it_leaves_alone(standing):
    mirror = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "node-n1"}}
    objects = [*NODES, *AGENTS, pod("proxy-n1", mirror), pod("alone-1", None)]
    targets = {
        "agent": ("c", "namespace: shop, workload: daemonset/agent"),
        "proxy": ("c", "namespace: shop, selector: app=proxy"),
        "alone": ("c", "namespace: shop, selector: app=alone"),
        "nodes": ("c", "nodes: '*'"),
    }
    drain = "a: {kind: drain, target: nodes, pick: [nodes.0], for: 2s}"
    lines = standing(drain, targets, "limits: {ready: 1}", c=objects)
    assert not any("leaves" in line for line in lines)
    with pytest.raises(Mistake, match="1 of 2 ready instances of agent would remain"):
        standing(drain.replace("drain", "taint, effect: NoExecute"), targets, "limits: {ready: 2}", c=objects)


SET = workload(
    "StatefulSet",
    "web",
    replicas=2,
    updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
)
WEB = [pod("web-0", SET, node="n1"), pod("web-1", SET, node="n2")]


def test_what_bears_the_same_name_in_two_clusters_is_told_apart(standing):
    objects = {
        "one": [*NODES, SET, *WEB, budget("web", allowed=1, healthy=2), endpoints("web", *WEB)],
        "two": [*NODES, SET, *WEB, budget("web", allowed=0, healthy=2), endpoints("web", *WEB)],
    }
    which = "namespace: shop, workload: statefulset/web"
    targets = {"web": ("one", which), "eb": ("two", which), "nodes": ("one", "nodes: '*'")}
    kill = "%s: {kind: kill, target: %s, pick: 1, for: 2s}"
    lines = standing(f"{kill % ('a', 'web')}\n  {kill % ('b', 'eb')}", targets, **objects)
    zone = "zone north keeps 0 of 1 of the targets' pods"
    assert lines == [
        "a: leaves 1 of 2 ready web",
        "a: service web keeps 1 of 2 ready endpoints",
        f"a: {zone}",
        "b: leaves 1 of 2 ready eb",
        "b: budget web would be violated, and this does not ask it: 2 of 2 healthy pods have to stay, 0 may go, 1 would be hit",
        "b: service web keeps 1 of 2 ready endpoints",
        f"b: {zone}",
    ]
    drain = "a: {kind: drain, target: nodes, pick: [nodes.0], for: 2s}"
    assert not any("eb" in line.split() for line in standing(drain, targets, **objects))


def test_a_drain_shows_the_budgets_and_services_of_the_pods_that_it_empties_the_node_of(standing):
    twin = workload("StatefulSet", "web", space="other", replicas=1, updateStrategy={"type": "RollingUpdate"})
    theirs = [
        pod("web-0", twin, node="n1", space="other"),
        budget("web", allowed=0, healthy=1, space="other"),
    ]
    ours = [SET, *WEB, budget("web", allowed=0, healthy=2), endpoints("web", *WEB)]
    targets = {
        "web": ("c", "namespace: shop, workload: statefulset/web"),
        "eb": ("c", "namespace: other, workload: statefulset/web"),
        "nodes": ("c", "nodes: '*'"),
    }
    drain = "a: {kind: drain, target: nodes, pick: [nodes.0], for: 2s}"
    assert standing(drain, targets, c=[*NODES, *ours, twin, *theirs]) == [
        "a: leaves 1 of 2 ready web",
        "a: leaves 0 of 1 ready eb",
        "a: budget web would refuse evictions: 2 of 2 healthy pods have to stay, 0 may go, 1 would",
        "a: budget web would refuse evictions: 1 of 1 healthy pods have to stay, 0 may go, 1 would",
        "a: service web keeps 1 of 2 ready endpoints",
        "a: zone north keeps 0 of 2 of the targets' pods",
    ]
    with pytest.raises(Mistake, match="1 of 2 web is 50%; here allows 40%"):
        standing(drain, targets, "limits: {pick: 40%}", c=[*NODES, *ours, twin, *theirs])


def test_a_zone_keeps_the_pods_on_its_nodes_that_are_not_hurt_too(standing):
    nodes = [node("n1", zone="north"), node("n2", zone="north")]
    kill = "a: {kind: kill, target: web, pick: [web.0], for: 2s}"
    lines = standing(kill, {"web": ("c", "namespace: shop, selector: app=web")}, c=[*nodes, SET, *WEB])
    assert "a: zone north keeps 1 of 2 of the targets' pods" in lines


def test_endpoints_that_only_name_their_pods_are_theirs_too(standing):
    by_hand = endpoints("web", *WEB)
    for address in by_hand["subsets"][0]["addresses"]:
        address["targetRef"] = {"kind": "Pod", "name": address["targetRef"]["name"]}
    kill = "a: {kind: kill, target: web, pick: [web.0], for: 2s}"
    lines = standing(
        kill, {"web": ("c", "namespace: shop, selector: app=web")}, c=[*NODES, SET, *WEB, by_hand]
    )
    assert "a: service web keeps 1 of 2 ready endpoints" in lines


@pytest.mark.parametrize(("selector", "of_them"), [({}, True), (None, False)])
def test_a_budget_without_a_selector_is_nobodys_and_one_with_an_empty_selector_everybodys(
    standing, selector, of_them
):
    odd = budget("odd", allowed=0, healthy=2)
    odd["spec"] = {"minAvailable": 2} | ({"selector": selector} if selector is not None else {})
    kill = "a: {kind: kill, target: web, pick: [web.0], for: 2s}"
    lines = standing(kill, {"web": ("c", "namespace: shop, selector: app=web")}, c=[*NODES, SET, *WEB, odd])
    assert any("budget odd would be violated" in line for line in lines) is of_them
