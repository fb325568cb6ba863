"""What a fault would leave standing and what it has to be allowed to do: decided from values alone."""

from __future__ import annotations

import json

import msgspec
import pytest

from runner.cli.planning import described
from runner.cli.possible import Here, sample, table
from runner.errors import Mistake, NobodyThere, OperationFailed
from runner.faults import KINDS
from runner.faults.kill import Kill
from runner.faults.nodes import DrainNode, Taint
from runner.faults.record import Instance, Pod
from runner.faults.workloads import Restart, Scale
from runner.language import read_environment, read_scenario
from runner.places import Cluster, Engine, Post
from runner.plan_record import Harm
from runner.planning import scouting
from runner.planning.blast import Budget, Front, Surroundings, leaves
from runner.planning.permissions import rights
from runner.planning.plan import work_out
from runner.planning.scouting import made_up
from runner.running.acts import compile_act
from runner.targets import lineup
from runner.targets.lineup import Lineup, Whereabouts

CLUSTER = Cluster(kubeconfig="/k", context="c", uid="u")
HELPERS = Post(cluster=CLUSTER, image="squall:1", namespace="squall", node="n1", service_account="undoer")


def pod(name, /, *, node="n1", ready=True, platform="pod", workload="deployment/web", **more):
    target = name.partition(".")[0]
    return Instance(
        target=target, name=name, known_as=f"pod-{name}", platform=platform, ready=ready, container=f"c-{name}",
        pod=Pod(cluster=CLUSTER, uid=f"uid-{name}", node=node, workload=workload, workload_uid=f"uid-{workload}",
                **{"namespace": "shop", "name": f"pod-{name}", "replicas": 3} | more),
        post=HELPERS, reverter=msgspec.structs.replace(HELPERS, shape="api", node=""),
        peers=("10.0.0.9",) if platform == "wire" else (), port=80,
    )  # fmt: skip


def node(name):
    target = name.partition(".")[0]
    place = Pod(cluster=CLUSTER, node="n1", node_uid="uid-n1")
    reverter = msgspec.structs.replace(HELPERS, shape="api")
    return Instance(target=target, name=name, known_as="n1", platform="node", pod=place, reverter=reverter)


def everyone(*bodies):
    targets = {}
    for body in bodies:
        targets.setdefault(body.target, []).append(body.name)
    return {name: tuple(names) for name, names in targets.items()}, {body.name: body for body in bodies}


THREE = [pod("web.0"), pod("web.1", node="n2"), pod("web.2", node="n2", ready=False)]


def said(fault, names, bodies=THREE, around=None):
    return list(leaves("a", fault, names, *everyone(*bodies), around or Surroundings()))


def test_only_who_is_ready_counts_as_left():
    assert said(Kill(), ("web.0",))[0] == "a: leaves 1 of 2 ready web (1 were not)"
    assert said(Kill(), ("web.2",))[0] == "a: leaves 2 of 2 ready web (1 were not)"


def test_a_workload_is_left_with_what_the_fault_asks_for():
    scaled = "a: leaves 1 of 2 ready web (1 were not): deployment/web goes from 3 to 1 replicas"
    assert said(Scale(replicas=1), ("web.0",))[0] == scaled
    assert said(Restart(), ("web.0",))[0].endswith(
        "deployment/web replaces them as its strategy says, with at most 0 down at once"
    )


def test_a_rollout_leaves_what_its_strategy_has_up_at_worst(plan):
    bodies = [pod(f"web.{number}", workload="statefulset/web", unavailable=1) for number in range(3)]
    assert said(Restart(), ("web.0",), bodies)[0].startswith("a: leaves 2 of 3 ready web: statefulset/web ")
    restart = "a: {kind: restart, target: web, for: 5s}"
    assert plan(restart, "limits: {ready: 2, pick: 34%}", bodies).windows
    with pytest.raises(Mistake, match="2 of 3 ready instances of web would remain"):
        plan(restart, "limits: {ready: 3}", bodies)
    with pytest.raises(Mistake, match="1 of 3 is 33%"):
        plan(restart, "limits: {pick: 30%}", bodies)


TWO_WORKLOADS = [pod(f"all.{number}", workload=f"deployment/{'ab'[number % 2]}") for number in range(10)]


def test_a_scaled_workload_leaves_the_pods_of_the_other_workloads_of_its_target():
    [line, *_] = said(Scale(replicas=1), ("all.0",), TWO_WORKLOADS)
    assert line == "a: leaves 6 of 10 ready all: deployment/a goes from 3 to 1 replicas"
    [line, *_] = said(Scale(replicas=1), ("all.0", "all.1"), TWO_WORKLOADS)
    assert line.startswith(
        "a: leaves 2 of 10 ready all: deployment/a goes from 3 to 1 replicas; deployment/b "
    )


def test_a_stateful_set_is_scaled_by_its_last_pods_though_others_are_not_ready():
    bodies = [pod(f"web.{number}", workload="statefulset/web", ready=number > 0) for number in range(3)]
    [line, *_] = said(Scale(replicas=2), ("web.1",), bodies)
    assert line.startswith("a: leaves 1 of 2 ready web (1 were not): statefulset/web goes from 3 to 2 ")


@pytest.mark.parametrize("workload", ["statefulset/web", "deployment/web"])
def test_a_target_that_is_some_pods_of_a_scaled_workload_may_lose_all_of_them(plan, workload):
    bodies = [pod(f"web.{number}", workload=workload, replicas=5, ready_replicas=5) for number in range(2)]
    [line, *_] = said(Scale(replicas=3), ("web.0",), bodies)
    assert line.startswith(f"a: leaves 0 of 2 ready web: {workload} goes from 5 to 3 replicas")
    with pytest.raises(Mistake, match="0 of 2 ready instances of web would remain"):
        plan("a: {kind: scale, target: web, replicas: 3, for: 2s}", "limits: {ready: 1}", bodies)


def test_budgets_services_zones_and_neighbours_are_named():
    pods = frozenset(f"uid-web.{number}" for number in range(3))
    around = Surroundings(
        budgets=(Budget(name="most", allowed=0, desired=3, healthy=3, pods=pods),),
        fronts=(Front(name="web", pods=pods),),
        zones={(CLUSTER, "n1"): "north", (CLUSTER, "n2"): "south"},
    )
    lines = said(Kill(), ("web.0",), [*THREE, pod("db.0")], around)
    assert any("budget most would be violated, and this does not ask it" in line for line in lines)
    assert "a: service web keeps 2 of 3 ready endpoints" in lines
    assert "a: zone north keeps 1 of 2 of the targets' pods" in lines
    assert "a: on node n1 beside: db.0 (pod-db.0)" in lines
    evicting = said(Kill(how="evict"), ("web.0",), around=around)
    assert any("budget most would refuse evictions" in line for line in evicting)


def test_a_drained_node_takes_the_pods_of_every_target_with_it():
    lines = said(DrainNode(), ("nodes.0",), [node("nodes.0"), *THREE, pod("db.0")])
    assert lines[:2] == ["a: leaves 1 of 2 ready web (1 were not)", "a: leaves 0 of 1 ready db"]


def test_a_node_of_the_same_name_in_another_cluster_is_not_meant():
    other = msgspec.structs.replace(CLUSTER, context="other")  # the same by its uid, whoever looks
    same, another = pod("same.0"), pod("eb.0")
    same = msgspec.structs.replace(same, pod=msgspec.structs.replace(same.pod, cluster=other))
    there = msgspec.structs.replace(other, uid="v")
    another = msgspec.structs.replace(another, pod=msgspec.structs.replace(another.pod, cluster=there))
    assert said(DrainNode(), ("nodes.0",), [node("nodes.0"), same, another]) == [
        "a: leaves 0 of 1 ready same"
    ]


def test_pods_of_one_name_in_two_namespaces_are_two():
    twins = [pod("web.0"), pod("eb.0", namespace="other", name="pod-web.0")]
    around = Surroundings(
        budgets=tuple(
            Budget(name=name, allowed=0, desired=1, healthy=1, pods=frozenset([f"uid-{name}.0"]))
            for name in ("web", "eb")
        )
    )
    lines = said(DrainNode(), ("nodes.0",), [node("nodes.0"), *twins], around)
    assert [line.partition(" would")[0] for line in lines[2:]] == ["a: budget web", "a: budget eb"]


def test_a_node_that_is_emptied_keeps_whom_a_drain_leaves_alone_and_who_tolerates_the_taint():
    spared = [pod("agent.0", evictable=False), pod("agent.1", node="n2", evictable=False)]
    [line, *_] = said(DrainNode(), ("nodes.0",), [node("nodes.0"), *spared, pod("db.0")])
    assert line == "a: leaves 0 of 1 ready db"
    taint = Taint(key="broken", value="yes", effect="NoExecute")
    [line, *_] = said(taint, ("nodes.0",), [node("nodes.0"), *spared])
    assert line == "a: leaves 1 of 2 ready agent"
    tolerant = pod("db.0", tolerations='[{"operator": "Exists"}]')
    assert said(taint, ("nodes.0",), [node("nodes.0"), tolerant]) == ["a: on node n1 beside: db.0 (pod-db.0)"]


@pytest.mark.parametrize(
    ("tolerations", "stays"),
    [
        ([], False),
        ([{"operator": "Exists"}], True),  # no key: every taint
        ([{"key": "broken", "operator": "Exists", "effect": "NoExecute"}], True),
        ([{"key": "broken", "operator": "Exists"}], True),  # no effect: every effect
        ([{"key": "broken", "operator": "Exists", "effect": "NoSchedule"}], False),
        ([{"key": "other", "operator": "Exists"}], False),
        ([{"key": "broken", "operator": "Equal", "value": "yes", "effect": "NoExecute"}], True),
        ([{"key": "broken", "value": "yes"}], True),  # Equal is the default
        ([{"key": "broken", "operator": "Equal", "value": "no"}], False),
        ([{"key": "broken", "operator": "Gt", "value": "yes"}], False),  # of 1.35: of numbers alone
        ([{"key": "broken", "operator": "Exists", "tolerationSeconds": 300}], False),
        ([{"operator": "Exists"}, {"key": "broken", "operator": "Exists", "tolerationSeconds": 300}], False),
    ],
)
def test_a_pod_stays_that_tolerates_a_taint_for_good(tolerations, stays):
    taint = Taint(key="broken", value="yes", effect="NoExecute")
    assert taint.tolerated_by(pod("web.0", tolerations=json.dumps(tolerations)).pod) == stays


def test_a_hurt_way_leaves_everybody_standing():
    way = pod("way.0", platform="wire")
    assert said(Kill(), ("way.0",), [*THREE, way]) == ["a: only the way of 1 instances to 10.0.0.9 port 80"]


# --- limits and overlaps ---------------------------------------------------------------------------------------------

ENVIRONMENT = """
targets:
  web: {kubernetes: {kubeconfig: k, namespace: shop, workload: deployment/web}}
  all: {kubernetes: {kubeconfig: k, namespace: shop, selector: app=web}}
  nodes: {kubernetes: {kubeconfig: k, nodes: pool=web}}
  way: {link: {from: web, to: db, port: 80}}
"""


@pytest.fixture
def plan(tmp_path):
    def plan(faults, environment="", bodies=()):
        (tmp_path / "k").write_text("")
        (tmp_path / "here.yaml").write_text(ENVIRONMENT + environment)
        (tmp_path / "s.yaml").write_text(f"faults:\n  {faults}\n")
        place = read_environment(str(tmp_path / "here.yaml"), tmp_path / "s.yaml")
        [scenario] = read_scenario(tmp_path / "s.yaml", place, {})
        instances, known = everyone(*(bodies or [*THREE, node("nodes.0")]))
        return work_out(scenario, place, instances, run="r", bodies=known)

    return plan


def test_a_workload_is_hurt_once_however_many_of_its_pods_are_picked(plan):
    [window] = plan("a: {kind: restart, target: web, for: 5s}").windows
    assert window.instances == ("web.0",)


def test_the_real_names_are_in_the_plan_and_in_what_it_prints(plan):
    made = plan("a: {kind: kill, target: web, pick: [web.1], for: 5s}")
    assert made.known_as["web.1"] == "pod-web.1"
    assert any("a on web.1 (pod-web.1)" in line for line in described(made))


@pytest.mark.parametrize(
    ("faults", "environment", "words"),
    [
        ("a: {kind: kill, target: web, pick: [web.0]}", "limits: {ready: 2}", "1 of 2 ready instances of web would remain"),
        ("a: {kind: kill, target: web, pick: [web.0, web.1]}", "limits: {pick: 50%}", "2 of 2 ready is 100%"),
        ("a: {kind: drain, target: nodes, for: 2s}", "limits: {pick: 40%}", "1 of 2 ready web is 50%; here allows 40%"),
        ("a: {kind: scale, target: web, replicas: 0, for: 2s}", "limits: {pick: 50%}", "2 of 2 ready is 100%"),
        ("a: {kind: scale, target: web, replicas: 1, for: 2s}", "limits: {ready: 2}", "1 of 2 ready instances of web"),
        ("a: {kind: drain, target: nodes, for: 2s}", "limits: {ready: 2}", "1 of 2 ready instances of web would remain"),
        (
            "a: {kind: kill, target: web, pick: [web.0]}\n  b: {kind: pause, target: web, pick: [web.1], for: 3s}",
            "limits: {ready: 1}",
            "0 of 2 ready instances of web would remain",
        ),
        (
            "a: {kind: scale, target: web, replicas: 1, for: 9s}\n  b: {kind: scale, target: web, replicas: 2, at: 5s, for: 9s}",
            "",
            "overlaps with a on deployment/web replicas",
        ),
        ("a: {kind: kill, target: web, pick: [web.7]}", "", "faults.a: pick: no instance is named web.7"),
    ],
)  # fmt: skip
def test_what_leaves_too_little_or_collides_is_refused_with_its_place(plan, faults, environment, words):
    with pytest.raises(Mistake, match=words) as refused:
        plan(faults, environment)
    assert "s.yaml:" in str(refused.value)


def test_a_whole_way_may_be_hurt_where_only_a_share_of_the_instances_may(plan):
    bodies = [*THREE, *(pod(f"way.{number}", platform="wire") for number in range(3))]
    limits = "limits: {pick: 30%, ready: 2}"
    assert len(plan("a: {kind: blackhole, target: way, for: 5s}", limits, bodies).windows[0].instances) == 3


def test_of_a_scaled_workload_only_its_own_pods_count_against_the_limits(plan):
    scale = "a: {kind: scale, target: all, pick: [all.0], replicas: %d, for: 2s}"
    assert plan(scale % 4, "limits: {pick: 50%}", TWO_WORKLOADS).windows  # 1 of 10 goes, not 6
    assert plan(scale % 1, "limits: {ready: 6}", TWO_WORKLOADS).windows
    with pytest.raises(Mistake, match="5 of 10 ready instances of all would remain"):
        plan(scale % 0, "limits: {ready: 6}", TWO_WORKLOADS)


def test_what_is_scaled_away_and_what_another_fault_strikes_meanwhile_are_added_up(plan):
    bodies = [pod(f"web.{number}") for number in range(5)]
    scale = "a: {kind: scale, target: web, pick: 1, replicas: 3, for: 30s}"
    cut = "b: {kind: %s, target: web, pick: [web.3, web.4], at: %s, for: 30s}"
    for at in ("0s", "29s"):
        with pytest.raises(Mistake, match="1 of 5 ready instances of web would remain"):
            plan(f"{scale}\n  {cut % ('blackhole', at)}", "limits: {ready: 2}", bodies)
    assert plan(f"{scale}\n  {cut % ('blackhole', '0s')}", "limits: {ready: 1}", bodies).windows
    assert plan(f"{scale}\n  {cut % ('blackhole', '30s')}", "limits: {ready: 3}", bodies).windows
    with pytest.raises(Mistake, match="0 of 5 ready instances of web would remain"):
        plan(f"{scale.replace('3', '1', 1)}\n  {cut % ('pause', '0s')}", "limits: {ready: 2}", bodies)


def promised(made, *bodies):
    """What the last line of a plan says, with the acts of its faults compiled."""
    known = {body.name: made_up(body) for body in bodies}
    windows = {window.fault: window for window in made.windows}
    harms = tuple(
        Harm(fault=use.name, does="", acts=tuple(
            compile_act(use, known[name], 0, run="r") for name in windows[use.name].instances))
        for use in made.scenario.faults
    )  # fmt: skip
    *_, last = described(msgspec.structs.replace(made, harms=harms))
    return last


WAYS_TO_TOUCH = [
    ("a: {kind: restart, target: web, pick: [web.0], for: 2s}", "Touches 3 of 4 instances (web.0, web.1, web.2), each",
     "the undo begins within 2 s even if this terminal dies, and of a waits up to 60s for"),
    ("a: {kind: drain, target: nodes, for: 2s}",
     "Touches 2 of 4 instances (web.0, nodes.0) and what else runs on its nodes, each", "of a waits up to 30s for"),
    ("a: {kind: kill, target: web, pick: [web.1], for: 2s}", "Touches 1 of 4 instances (web.1), each", "of a waits up to 60s for"),
    ("a: {kind: kill, target: web, pick: [web.1], restart: never, for: 2s}", "Touches 1 of 4 instances (web.1), each",
     "undone within 2 s even if this terminal dies."),
    ("a: {kind: pause, target: web, pick: [web.1], for: 2s, follow: true}",
     "Touches 1 of 4 instances (web.1) and those that come meanwhile, each", "the helpers there undo 5s after they last heard of us"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "whom", "when"), WAYS_TO_TOUCH)
def test_the_last_line_counts_whom_is_touched_and_promises_no_undo_sooner_than_it_comes(
    plan, fault, whom, when
):
    bodies = [*THREE, node("nodes.0")]
    last = promised(plan(fault, bodies=bodies), *bodies)
    assert last.startswith(whom)
    assert when in last


# --- permissions -----------------------------------------------------------------------------------------------------


def needed(fault, body):
    steps = fault.compile(made_up(body))
    return [*rights((*steps.do, *steps.undo, *steps.confirm))]


def test_each_way_to_end_a_pod_needs_rights_of_its_own():
    ours = {
        how: {one.said() for one in needed(Kill(how=how), pod("web.0"))}
        for how in ("delete", "evict", "sigkill")
    }
    assert "delete pods in namespace shop" in ours["delete"]
    assert not any("delete pods in namespace shop" in one for one in ours["evict"] | ours["sigkill"])
    assert "create pods/eviction in namespace shop" in ours["evict"]
    assert {
        "create pods in namespace squall",
        "get pods/attach in namespace squall",
        "create pods/attach in namespace squall",
    } <= ours["sigkill"]
    assert not any("namespace squall" in one for one in ours["delete"])


def test_what_an_indicator_reads_of_pods_is_asked_for(plan, monkeypatch):
    measures = "indicators:\n  held: {process: web, measure: rss}\n  lives: {process: web, measure: restarts}"
    made, asked = plan(f"a: {{kind: kill, target: web, pick: 1}}\n{measures}"), {}
    monkeypatch.setattr(scouting, "ask", lambda *given: asked.update(given[-1]))
    scouting.cleared(made.scenario, [], {"web": THREE})
    assert {name: [one.said() for one in of] for name, of in asked.items()} == {
        "held": ["get nodes/proxy n1", "get nodes/proxy n2"],
        "lives": ["get pods in namespace shop"],
    }


def test_what_a_helper_does_with_its_own_account_that_account_has_to_be_allowed():
    theirs = {one.said() for one in needed(Scale(replicas=1), pod("web.0")) if one.account == "squall:undoer"}
    assert theirs == {f"{verb} deployments/scale.apps web in namespace shop" for verb in ("get", "patch")}
    ours = {one.said() for one in needed(Scale(replicas=1), pod("web.0")) if not one.account}
    assert "create configmaps in namespace squall" in ours
    drain = {one.said() for one in needed(DrainNode(), node("nodes.0")) if one.account}
    assert {"patch nodes n1", "create pods/eviction", "list pods"} <= drain


def test_containers_need_nothing_of_any_cluster():
    body = Instance(
        target="web", name="web.0", platform="container", engine=Engine(), container="c" * 64, started="now",
        post=Post(engine=Engine(), image="squall:1", container="c" * 64),
    )  # fmt: skip
    for word in ("kill", "pause", "cpu", "blackhole", "restart"):
        assert needed(sample(KINDS[word]), body) == []


# --- the table -------------------------------------------------------------------------------------------------------


class Machine(Here):
    """A machine as it is said to be."""

    def __init__(self, *, docker="", cluster="", kernel=("netem", "ifb", "tbf", "nft-owner", "nft-timeout")):
        self.docker, self.cluster, self.kernel = docker, cluster, kernel


def row(lines, kind):
    return next(line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{kind} "))


def test_the_table_says_where_each_kind_works_and_why_not():
    whole = table(Machine())
    assert row(whole, "kill").split() == ["yes", "-", "yes", "yes", "-", "-"]
    assert row(whole, "latency").split() == ["-", "yes", "yes", "yes", "-", "yes"]
    assert "no (" in row(whole, "clock")
    assert len([line for line in whole if line.split(" ")[0] in KINDS]) == len(KINDS)
    poor = table(Machine(kernel=("nft-owner", "nft-timeout", "tbf"), cluster="no cluster is reachable: x"))
    assert row(poor, "blackhole").split() == ["-", "yes", "yes", "no", "(1)", "-", "yes"]
    assert "no (" in row(poor, "latency")
    assert any(line.endswith("needs netem, which the kernel there lacks") for line in poor)
    assert any("no cluster is reachable: x" in line for line in poor)


def test_an_engine_that_is_not_spoken_to_costs_only_its_own_columns(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    lines = table(Here())
    assert row(lines, "kill").split()[0] == "yes"
    assert any("DOCKER_HOST: ssh://somewhere is reached by ssh" in line for line in lines)


def test_of_every_kind_a_sample_can_be_made():
    assert [word for word, kind in KINDS.items() if sample(kind) is None] == []


def test_a_command_is_told_who_its_target_is_where_it_lives():
    told = sample(KINDS["command"]).compile(pod("web.0")).do[0].env
    assert (told["TARGET_KNOWN_AS"], told["TARGET_CONTAINER"]) == ("pod-web.0", "c-web.0")
    assert (told["TARGET_NAMESPACE"], told["TARGET_NODE"]) == ("shop", "n1")


# --- who stands in for whom ------------------------------------------------------------------------------------------


def test_a_newcomer_is_taken_to_be_like_a_neighbour_on_its_node(monkeypatch):
    known = [
        msgspec.structs.replace(pod("web.0"), kernel=("netem",), cores=2.0),
        msgspec.structs.replace(pod("web.1", node="n2"), kernel=("nft-owner",), cores=4.0),
    ]
    seen = [[*THREE[:2], pod("web.2", node="n2")]]
    monkeypatch.setattr(lineup, "resolve", lambda _environment, _target: seen[-1])
    monkeypatch.setattr(lineup, "FRESH", -1.0)
    whereabouts = Whereabouts(None, Lineup({}, {"web": tuple(known)}))
    present = whereabouts.present("web")
    assert [(one.name, one.cores) for one in present.values()] == [
        ("web.0", 2.0),
        ("web.1", 4.0),
        ("web.2", 4.0),
    ]
    assert whereabouts.instance("web", "web.0").kernel == ("netem",)
    seen.append([pod("web.1", node="n2"), pod("web.2", node="n2"), pod("web.9")])
    assert (
        whereabouts.instance("web", "web.0").pod.uid == "uid-web.9"
    )  # the newest of those without a planned name
    assert sorted(one.name for one in whereabouts.present("web").values()) == ["web.0", "web.1", "web.2"]
    seen.append([pod("web.1", node="n2")])
    with pytest.raises(OperationFailed, match=r"web\.0 \(pod-web\.0\) is gone"):
        whereabouts.instance("web", "web.0")


def test_a_newcomer_is_taken_to_be_like_one_that_was_looked_at(monkeypatch):
    known = [pod("web.0"), msgspec.structs.replace(pod("web.1"), kernel=("nft-owner",))]
    monkeypatch.setattr(lineup, "resolve", lambda _environment, _target: [*known, pod("web.9")])
    whereabouts = Whereabouts(None, Lineup({}, {"web": tuple(known)}))
    assert [one.kernel for one in whereabouts.present("web").values()] == [
        (),
        ("nft-owner",),
        ("nft-owner",),
    ]


def test_where_nobody_is_left_nobody_is_present_and_who_was_planned_is_gone(monkeypatch):
    def nobody(_environment, _target):
        raise NobodyThere("no pod of deployment/web runs")

    monkeypatch.setattr(lineup, "resolve", nobody)
    whereabouts = Whereabouts(None, Lineup({}, {"web": (pod("web.0"),)}))
    assert whereabouts.present("web") == {}
    with pytest.raises(OperationFailed, match="is gone, and nothing has come in its place"):
        whereabouts.instance("web", "web.0")
