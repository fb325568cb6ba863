"""Containers, pods and the ways between them on a real engine and a real cluster: found, found again, planned for."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import uuid
from pathlib import Path

import pytest
import yaml

from runner.errors import OperationFailed, Refused
from runner.faults.workloads import Restart
from runner.language import read_environment
from runner.places import Cluster
from runner.planning.preparation import prepare
from runner.remote.kubernetes import ClusterClient
from runner.targets.elsewhere import ended, resolve
from runner.targets.lineup import Lineup, Whereabouts
from tests import cluster_made as made_of
from tests.cluster_parts import container, deployment, namespace, network, pods, until
from tests.runs import SQUALL, Workplace


@pytest.fixture
def here(tmp_path: Path):
    """Read an environment written here."""

    def here(text: str):
        (tmp_path / "here.yaml").write_text(text)
        return read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml")

    return here


@pytest.fixture
def plan(tmp_path: Path):
    """Prepare a run of faults against an environment, both written here."""

    def plan(faults: str, environment: str):
        (tmp_path / "here.yaml").write_text(environment)
        (tmp_path / "x.yaml").write_text(f"before: 1s\nafter: 1s\nfaults:\n  {faults}\n")
        [prepared] = prepare(tmp_path / "x.yaml", environment=str(tmp_path / "here.yaml"), settings={})
        return prepared

    return plan


@pytest.fixture
def mark() -> str:
    return f"squall-app-{uuid.uuid4().hex[:8]}"


def names(found):
    return [(one.name, one.known_as) for one in found]


def away(environment, target):
    return Whereabouts(environment, Lineup({}, {target: tuple(resolve(environment, target))}))


def test_a_load_is_not_sent_to_a_target_that_is_not_there(engine, tmp_path):
    """What nobody uses may be away."""
    (tmp_path / "here.yaml").write_text(
        "targets:\n  shop: {url: 'http://127.0.0.1:1', docker: {name: squall-test-nobody}}\n"
        "  other: {docker: {name: squall-test-nobody-either}}\n  me: {processes: {command: [sleep, '9']}}\n"
    )
    (tmp_path / "shoppers.py").write_text(
        "from locust import HttpUser\n\n\nclass Shopper(HttpUser):\n    pass\n"
    )
    scenario = tmp_path / "x.yaml"
    text = "before: 1s\nafter: 1s\nfaults:\n  a: {kind: pause, target: me, for: 1s}\n"
    scenario.write_text(text)
    [ready] = prepare(scenario, environment=str(tmp_path / "here.yaml"), settings={})
    assert len([one for one in ready.plan.warnings if "(not used by this scenario)" in one]) == 2
    scenario.write_text(
        text + "load: {locustfile: shoppers.py, target: shop, stages: [{for: 2s, users: 1}]}\n"
    )
    with pytest.raises(Refused, match="no container is called squall-test-nobody"):
        prepare(scenario, environment=str(tmp_path / "here.yaml"), settings={})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else for a while")
def test_a_socket_that_we_may_not_reach_is_no_engine_to_be_started(here, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    environment = here("targets: {web: {docker: {name: web}}}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/docker.sock")
        listener.listen()
        Path(f"{tmp_path}/docker.sock").chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(Refused, match="Permission denied; join the group that its socket belongs to"):
                resolve(environment, "web")
        finally:
            os.seteuid(0)


# --- Docker ----------------------------------------------------------------------------------------------------------


def test_containers_are_found_by_label_in_the_order_of_their_creation_without_squalls_own(engine, here, mark):
    environment = here(f"targets: {{web: {{docker: {{label: 'app={mark}'}}}}}}")
    app = {"app": mark}
    with (
        container(engine, name=f"{mark}-z", labels=app) as first,
        container(engine, name=f"{mark}-a", labels=app) as second,
        container(engine, labels={**app, "squall.role": "hand"}),
    ):
        found = resolve(environment, "web")
        assert names(found) == [("web.0", f"{mark}-z"), ("web.1", f"{mark}-a")]
        assert [one.container for one in found] == [first.id, second.id]
        assert found[0].started == first.attrs["State"]["StartedAt"]
        assert (found[0].platform, found[0].ready, found[0].post) == ("container", True, None)
        second.pause()
        assert [one.ready for one in resolve(environment, "web")] == [True, False]


def test_containers_are_found_by_name_and_as_a_service_of_a_compose_project(engine, here, mark, tmp_path):
    (tmp_path / "compose.yaml").write_text(f"name: {mark}\nservices: {{}}\n")
    environment = here(
        "targets:\n"
        f"  one: {{docker: {{name: {mark}}}}}\n"
        "  api: {docker: {compose: compose.yaml, service: api}}\n"
        "  all: {docker: {compose: compose.yaml}}\n"
    )
    project = {"com.docker.compose.project": mark, "com.docker.compose.oneoff": "False"}
    with (
        container(engine, name=mark, labels={**project, "com.docker.compose.service": "api"}),
        container(engine, name=f"{mark}-db", labels={**project, "com.docker.compose.service": "db"}),
        container(engine, labels={**project, "com.docker.compose.oneoff": "True"}),
    ):
        assert names(resolve(environment, "one")) == [("one.0", mark)]
        assert names(resolve(environment, "api")) == [("api.0", mark)]
        assert len(resolve(environment, "all")) == 2


CONTAINED = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]  # as a CI job's container has it


def test_what_nobody_would_undo_after_the_end_of_the_job_is_refused_and_the_rest_is_not(
    engine, mark, tmp_path
):
    place = Workplace(tmp_path)
    place.environment.write_text(f"targets: {{web: {{docker: {{name: {mark}}}}}}}\n")

    def squall(*words, within=()):
        argv = [*within, *SQUALL, *map(str, words), "--env", str(place.environment)]
        done = subprocess.run(
            argv, cwd=tmp_path, env=place.variables, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    kill, lost = tmp_path / "kill.yaml", tmp_path / "lost.yaml"
    kill.write_text("before: 1s\nafter: 1s\nfaults:\n  a: {kind: kill, target: web, for: 1s}\n")
    lost.write_text(kill.read_text().replace("for: 1s", "for: 1s, restart: never"))
    with container(engine, name=mark) as made:
        assert squall("plan", kill)[0] == 0
        assert squall("plan", lost, within=CONTAINED)[0] == 0
        for verb in ("plan", "run"):
            code, said = squall(verb, kill, within=CONTAINED)
            assert (code, said.count("\n")) == (2, 1), said
            assert "kill.yaml:4: faults.a: kill on web.0 has no end of its own" in said
        made.reload()
        assert made.status == "running"


def test_a_selection_of_nobody_is_refused_with_what_to_do(engine, here, mark):
    environment = here(
        f"targets: {{one: {{docker: {{name: {mark}}}}}, web: {{docker: {{label: 'app={mark}'}}}}}}"
    )
    with pytest.raises(Refused, match=f"here.yaml:1: targets.one.docker: no container is called {mark}"):
        resolve(environment, "one")
    with pytest.raises(Refused, match=f"no container of the label app={mark} is on .*; start it, or correct"):
        resolve(environment, "web")
    with container(engine, name=mark, labels={"app": mark}) as made:
        made.kill()
        until(lambda: made.reload() or made.status == "exited")
        for target in ("one", "web"):
            with pytest.raises(Refused, match=f"{mark} is exited; start one"):
                resolve(environment, target)


def test_an_engine_that_does_not_answer_is_refused_with_its_place(here, tmp_path):
    environment = here(f"targets: {{one: {{docker: {{name: a, host: 'unix://{tmp_path}/no.sock'}}}}}}")
    with pytest.raises(
        Refused, match=r"here.yaml:1: targets.one: the engine at unix://.*no.sock: .*start it"
    ):
        resolve(environment, "one")


def test_a_restarted_container_keeps_its_name_and_its_successor_takes_it(engine, here, mark):
    environment = here(f"targets: {{web: {{docker: {{label: 'app={mark}'}}}}}}")
    app = {"app": mark}
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(container(engine, labels=app))
        stays = stack.enter_context(container(engine, labels=app))
        whereabouts = away(environment, "web")
        before = whereabouts.instance("web", "web.0")
        lives = set(whereabouts.present("web"))
        assert ended(before) == ""
        old.restart(timeout=0)
        assert ended(before).endswith(" was started again")
        until(lambda: whereabouts.instance("web", "web.0").started != before.started)
        assert whereabouts.instance("web", "web.0").container == old.id
        assert (
            len(set(whereabouts.present("web")) - lives) == 1
        )  # another life: a fault on the old one is over
        old.kill()
        until(lambda: ended(before).endswith(" has ended"))
        old.remove(force=True)
        assert ended(before).endswith(" is gone")
        until(lambda: len(whereabouts.present("web")) == 1)
        with pytest.raises(OperationFailed, match=r"web.0 \(.*\) is gone, and nothing has come in its place"):
            whereabouts.instance("web", "web.0")
        heir = stack.enter_context(container(engine, labels=app))
        until(lambda: len(whereabouts.present("web")) == 2)
        assert whereabouts.instance("web", "web.0").container == heir.id
        assert whereabouts.instance("web", "web.1").container == stays.id


def test_the_other_end_of_a_way_is_known_by_alias_by_target_and_by_address(engine, here, mark):
    environment = here(
        "targets:\n"
        f"  api: {{docker: {{name: {mark}-api}}}}\n"
        f"  db: {{docker: {{name: {mark}-db}}}}\n"
        "  alias: {link: {from: api, to: postgres, port: 5432}}\n"
        "  target: {link: {from: api, to: $db, port: 5432}}\n"
        "  address: {link: {from: api, to: 192.0.2.7, port: 5432}}\n"
        f"  name: {{link: {{from: api, to: {mark}-db, port: 5432}}}}\n"
        "  nowhere: {link: {from: api, to: nowhere.invalid, port: 5432}}\n"
    )
    with (
        network(engine) as net,
        network(engine) as other,
        container(engine, name=f"{mark}-api", network=net.name) as api,
        container(engine, name=f"{mark}-db", network=other.name) as db,
    ):
        net.connect(db, aliases=["postgres"])
        db.reload()
        address = db.attrs["NetworkSettings"]["Networks"][net.name]["IPAddress"]
        for target in ("alias", "target", "name"):
            [way] = resolve(environment, target)
            assert (way.name, way.platform, way.known_as) == (f"{target}.0", "wire", f"{mark}-api")
            assert (way.peers, way.port, way.container) == ((address,), 5432, api.id)
        assert resolve(environment, "address")[0].peers == ("192.0.2.7",)
        with pytest.raises(Refused, match=r"targets.nowhere.link.to: nowhere.invalid has no address"):
            resolve(environment, "nowhere")


def test_a_plan_names_the_containers_and_needs_no_image_where_no_helper_is_needed(engine, plan, mark):
    environment = f"targets: {{web: {{docker: {{label: 'app={mark}'}}}}}}\nlimits: {{pick: 50%}}"
    with (
        container(engine, name=f"{mark}-1", labels={"app": mark}),
        container(engine, name=f"{mark}-2", labels={"app": mark}),
    ):
        made = plan("a: {kind: kill, target: web, pick: 1}", environment).plan
        assert made.known_as == {"web.0": f"{mark}-1", "web.1": f"{mark}-2"}
        assert made.leaves == ("a: leaves 1 of 2 ready web",)
        assert made.acts_as[0].startswith("engine unix:///") or made.acts_as[0].startswith("engine tcp://")
        with pytest.raises(Refused, match="2 of 2 is 100%"):
            plan("a: {kind: kill, target: web}", environment)
        with pytest.raises(Refused, match=r"x.yaml:4: faults.a: .*give the environment a `helper`"):
            plan("a: {kind: cpu, target: web, pick: 1, limit: 20%, for: 2s}", environment)
        with pytest.raises(Refused, match=r"a: the engine at .* has no image squall:nowhere for its helper"):
            plan(
                "a: {kind: cpu, target: web, pick: 1, limit: 20%, for: 2s}",
                environment + "\nhelper: {image: 'squall:nowhere'}",
            )
        with pytest.raises(Refused, match="1 of 2 ready instances of web would remain at 0s; here wants 2"):
            plan("a: {kind: kill, target: web, pick: 1}", environment.replace("pick: 50%", "ready: 2"))
        with pytest.raises(Refused, match=r"no instance is named web\.9"):
            plan("a: {kind: kill, target: web, pick: [web.9]}", environment)


def test_a_container_on_the_hosts_network_is_refused_for_faults_of_the_network(engine, plan, mark):
    environment = f"targets: {{web: {{docker: {{name: {mark}}}}}}}\nhelper: {{image: 'squall:nowhere'}}"
    with (
        container(engine, name=mark, network_mode="host"),
        pytest.raises(Refused, match="network of the host"),
    ):
        plan("a: {kind: blackhole, target: web, for: 2s}", environment)


def test_a_container_that_its_engine_removes_is_not_killed_by_a_plan_that_promises_it_back(
    engine, plan, mark
):
    environment = f"targets: {{web: {{docker: {{name: {mark}}}}}}}"
    with container(engine, name=mark, auto_remove=True):
        with pytest.raises(
            Refused, match=rf"x.yaml:4: faults.a: web.0: .* removes the container {mark} as soon"
        ):
            plan("a: {kind: kill, target: web}", environment)
        plan("a: {kind: kill, target: web, restart: never}", environment)
        plan("a: {kind: restart, target: web, for: 2s}", environment)


def test_two_names_of_one_container_are_one_victim(engine, plan, mark):
    environment = f"targets: {{one: {{docker: {{name: {mark}}}}}, web: {{docker: {{label: 'app={mark}'}}}}}}"
    with (
        container(engine, name=mark, labels={"app": mark}),
        pytest.raises(Refused, match=r"overlaps with a on web\.0 life"),
    ):
        plan("a: {kind: kill, target: one}\n  b: {kind: kill, target: web}", environment)


# --- Kubernetes ------------------------------------------------------------------------------------------------------


def strategy(kind, **rolling):
    """An update strategy as the API gives it, with its defaults filled in."""
    defaults = {"maxUnavailable": "25%", "maxSurge": "25%"}
    if kind == "Deployment":
        return {"strategy": {"type": "RollingUpdate", "rollingUpdate": defaults | rolling}}
    if kind == "DaemonSet":
        return {
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0} | rolling,
            }
        }
    return {
        "podManagementPolicy": "OrderedReady",
        "serviceName": "web",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0} | rolling},
    }


@pytest.mark.parametrize(
    ("kind", "spec", "down"),
    [
        ("Deployment", strategy("Deployment"), 0),  # of 3, a quarter is less than one
        ("Deployment", strategy("Deployment", maxUnavailable="67%"), 2),
        ("Deployment", strategy("Deployment", maxUnavailable=2), 2),
        ("Deployment", strategy("Deployment", maxSurge=0), 1),  # both zero: one has to go all the same
        ("Deployment", strategy("Deployment", maxSurge="0%", maxUnavailable="0%"), 1),
        ("Deployment", {"strategy": {"type": "Recreate"}}, 3),
        ("StatefulSet", strategy("StatefulSet"), 1),
        ("StatefulSet", strategy("StatefulSet", maxUnavailable="34%"), 2),  # 1.24 and later
        ("StatefulSet", strategy("StatefulSet", maxUnavailable=3, partition=1), 2),
        ("DaemonSet", strategy("DaemonSet"), 1),
        ("DaemonSet", {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}, 1),  # 1.20
        ("DaemonSet", strategy("DaemonSet", maxUnavailable="50%"), 2),
        ("DaemonSet", strategy("DaemonSet", maxUnavailable=0, maxSurge=1), 0),
    ],
)  # fmt: skip
def test_a_pod_knows_how_many_of_its_kind_a_rollout_has_down_at_once(here, tmp_path, kind, spec, down):
    [found, *_] = rolled(here, tmp_path, kind, spec)
    assert (found.pod.unavailable, found.pod.replaces_nobody) == (down, "")
    Restart().compile(found)


@pytest.mark.parametrize(
    ("kind", "spec", "why"),
    [
        ("StatefulSet", strategy("StatefulSet") | {"updateStrategy": {"type": "OnDelete"}}, "its update strategy is OnDelete"),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, "its update strategy is OnDelete"),
        ("StatefulSet", strategy("StatefulSet", partition=3), "its partition is 3"),
        ("Deployment", strategy("Deployment") | {"paused": True}, "it is paused"),
    ],
)  # fmt: skip
def test_a_rollout_that_replaces_nobody_is_refused(here, tmp_path, kind, spec, why):
    [found, *_] = rolled(here, tmp_path, kind, spec)
    said = f"web.0: restart of {kind.lower()}/web: {why}, so a rollout replaces nobody"
    with pytest.raises(Refused, match=said):
        Restart().compile(found)


def rolled(here, tmp_path, kind, spec):
    """The three pods of a workload, as they are found."""
    if kind == "DaemonSet":
        spec = spec | {"status": {"desiredNumberScheduled": 3, "numberReady": 3, "observedGeneration": 1}}
    else:
        spec = spec | {"replicas": 3}
    top = made_of.workload(kind, "web", **spec)
    made, owner = [top], top
    if kind == "Deployment":
        owner = made_of.owned(made_of.workload("ReplicaSet", "web-5d8f", replicas=3), top)
        made.append(owner)
    found = [made_of.pod(f"web-{number}", owner, node=f"n{number}") for number in range(3)]
    with made_of.served(tmp_path, "made", *made, *found):
        environment = f"targets: {{web: {{kubernetes: {{kubeconfig: made, namespace: shop, workload: {kind.lower()}/web}}}}}}"
        return resolve(here(environment), "web")


def test_the_pods_of_a_workload_are_its_own_and_know_it(cluster, here):
    with (
        deployment(cluster, replicas=2) as web,
        pods(cluster, labels={"app": "web"}, within=web.metadata.namespace),
    ):
        environment = here(
            "targets:\n"
            f"  web: {{kubernetes: {{namespace: {web.metadata.namespace}, workload: deployment/web}}}}\n"
            f"  all: {{kubernetes: {{namespace: {web.metadata.namespace}, selector: app=web}}}}\n"
            f"  gone: {{kubernetes: {{namespace: {web.metadata.namespace}, workload: statefulset/web}}}}\n"
            f"  side: {{kubernetes: {{namespace: {web.metadata.namespace}, selector: app=web, container: nginx}}}}\n"
            "  none: {kubernetes: {selector: app=no-such-thing}}\n"
            "  nodes: {kubernetes: {nodes: '*'}}\n"
        )
        found = resolve(environment, "web")
        assert [one.name for one in found] == ["web.0", "web.1"]
        assert {one.pod.workload for one in found} == {"deployment/web"}
        assert {one.pod.workload_uid for one in found} == {web.metadata.uid}
        assert found[0].pod.replicas == 2
        assert len(found[0].container) == 64
        assert found[0].known_as == found[0].pod.name
        bare = [one for one in resolve(environment, "all") if not one.pod.workload]
        assert len(bare) == 1
        [node] = [one for one in resolve(environment, "nodes") if one.known_as == found[0].pod.node]
        assert node.platform == "node"
        assert node.pod.node_uid
        with pytest.raises(Refused, match=r"targets\.gone\.kubernetes: no statefulset is called web"):
            resolve(environment, "gone")
        with pytest.raises(Refused, match="with a container nginx; they have main"):
            resolve(environment, "side")
        with pytest.raises(
            Refused, match="no pod of the selector app=no-such-thing runs in namespace default"
        ):
            resolve(environment, "none")


@pytest.mark.long
def test_a_replaced_pod_has_its_predecessors_name_and_a_newcomer_one_of_its_own(cluster, here):
    with deployment(cluster, replicas=2) as web:
        space = web.metadata.namespace
        environment = here(
            f"targets: {{web: {{kubernetes: {{namespace: {space}, workload: deployment/web}}}}}}"
        )
        whereabouts = away(environment, "web")
        first, other = (whereabouts.instance("web", name) for name in ("web.0", "web.1"))
        cluster.core.delete_namespaced_pod(first.pod.name, space, grace_period_seconds=0)
        assert [ended(each) for each in (first, other)] == [f"pod {first.pod.name} is gone", ""]
        until(lambda: _instance(whereabouts, "web.0", other_than=first.pod.uid), every=0.2)
        assert whereabouts.instance("web", "web.1").pod.uid == other.pod.uid
        cluster.apps.patch_namespaced_deployment_scale("web", space, {"spec": {"replicas": 3}})
        present = until(lambda: len(found := whereabouts.present("web")) == 3 and found, every=0.2)
        assert sorted(one.name for one in present.values()) == ["web.0", "web.1", "web.2"]
        assert all(key == one.pod.uid for key, one in present.items())


def _instance(whereabouts, name, *, other_than):
    with contextlib.suppress(OperationFailed):
        found = whereabouts.instance("web", name)
        return found if found.pod.uid != other_than else None
    return None


@pytest.mark.long
def test_the_other_end_of_a_pods_way_is_a_service_by_its_names_or_the_pods_behind_it(cluster, here):
    with deployment(cluster, replicas=1) as web:
        space = web.metadata.namespace
        made = cluster.core.create_namespaced_service(
            space,
            {"metadata": {"name": "front"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        )
        headless = {"selector": {"app": "web"}, "clusterIP": "None", "ports": [{"port": 80}]}
        cluster.core.create_namespaced_service(space, {"metadata": {"name": "direct"}, "spec": headless})
        ends = [
            "front",
            f"front.{space}",
            f"front.{space}.svc",
            f"front.{space}.svc.cluster.local",
            "direct",
            "$web",
        ]
        text = f"targets:\n  web: {{kubernetes: {{namespace: {space}, workload: deployment/web}}}}\n"
        text += "".join(
            f"  w{number}: {{link: {{from: web, to: {end}, port: 80}}}}\n" for number, end in enumerate(ends)
        )
        environment = here(text)
        [pod] = resolve(environment, "web")
        until(lambda: _behind(cluster, "direct", space), every=0.2)
        peers = [set(resolve(environment, f"w{number}")[0].peers) for number in range(len(ends))]
        assert peers[:4] == [{made.spec.cluster_ip}] * 4
        assert peers[4:] == [{pod.address}, {pod.address, made.spec.cluster_ip}]


def test_a_plan_says_who_we_are_where_and_what_would_be_left(cluster, plan):
    with deployment(cluster, replicas=2) as web:
        space = web.metadata.namespace
        cluster.core.create_namespaced_service(
            space,
            {"metadata": {"name": "front"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        )
        _budget(cluster, space)
        until(lambda: _behind(cluster, "front", space), every=0.2)
        environment = f"targets: {{web: {{kubernetes: {{namespace: {space}, workload: deployment/web}}}}}}"
        made = until(
            lambda: _with_budget(plan("a: {kind: kill, target: web, pick: 1}", environment).plan), every=0.3
        )
        assert cluster.uid in made.acts_as[0]
        assert f"context {cluster.context}" in made.acts_as[0]
        assert "a: leaves 1 of 2 ready web" in made.leaves
        assert "a: service front keeps 1 of 2 ready endpoints" in made.leaves
        assert any("budget web would be violated, and this does not ask it" in line for line in made.leaves)
        assert made.environment.targets["web"].kubernetes.cluster.uid == cluster.uid
        limited = environment + "\nhelper: {image: 'squall:local'}\nlimits: {pick: 50%}"
        with pytest.raises(Refused, match="2 of 2 is 100%"):
            plan("a: {kind: scale, target: web, replicas: 0, for: 2s}", limited)


def _behind(cluster, service, space):
    from kubernetes.client.exceptions import ApiException

    with contextlib.suppress(ApiException):
        return [
            one
            for subset in cluster.core.read_namespaced_endpoints(service, space).subsets or ()
            for one in subset.addresses or ()
        ]
    return []


def _budget(cluster, space):
    client = ClusterClient(Cluster(kubeconfig=cluster.kubeconfig))
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    for version in ("v1", "v1beta1"):
        head = {"apiVersion": f"policy/{version}", "kind": "PodDisruptionBudget"}
        with contextlib.suppress(OperationFailed):
            path = f"/apis/policy/{version}/namespaces/{space}/poddisruptionbudgets"
            client.post(path, {**head, "metadata": {"name": "web"}, "spec": spec})


def _with_budget(made):
    return made if any("budget" in line for line in made.leaves) else None


@pytest.mark.long
def test_two_contexts_of_one_scenario_are_each_asked_in_their_own_right(cluster, plan, tmp_path):
    read = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    [context] = [one["context"] for one in read["contexts"] if one["name"] == cluster.context]
    read["contexts"] = [{"name": name, "context": context} for name in ("east", "west")]
    read["current-context"] = "east"
    (tmp_path / "both").write_text(yaml.safe_dump(read))
    with deployment(cluster, replicas=1) as one, deployment(cluster, replicas=1, name="db") as two:
        environment = "targets:\n" + "".join(
            f"  {name}: {{kubernetes: {{kubeconfig: both, context: {where}, namespace: {made.metadata.namespace},"
            f" workload: deployment/{made.metadata.name}}}}}\n"
            for name, where, made in (("web", "east", one), ("db", "west", two))
        )
        made = plan(
            "a: {kind: kill, target: web}\n  b: {kind: kill, target: db, at: end of a}", environment
        ).plan
        assert ["context east" in made.acts_as[0], "context west" in made.acts_as[1]] == [True, True]
        contexts = [act.do[0].cluster.context for harm in made.harms for act in harm.acts]
        assert contexts == ["east", "west"]


def test_every_permission_that_is_missing_has_a_line_of_its_own(cluster, plan, tmp_path):
    with deployment(cluster, replicas=1) as web, namespace(cluster) as helpers:
        space = web.metadata.namespace
        path = _identity(cluster, space, tmp_path)
        rbac = _rbac(cluster)
        looks = [
            {
                "apiGroups": ["", "apps"],
                "resources": ["pods", "deployments", "replicasets"],
                "verbs": ["get", "list"],
            }
        ]
        _grant(rbac, space, looks)
        environment = (
            f"targets: {{web: {{kubernetes: {{kubeconfig: {path}, namespace: {space}, workload: deployment/web}}}}}}\n"
            f"helper: {{image: 'squall:local', namespace: {helpers}}}"
        )
        with pytest.raises(Refused) as refused:
            plan("a: {kind: kill, target: web}", environment)
        assert (
            str(refused.value)
            == f"a: we are not allowed to delete pods in namespace {space}; grant it, or use another identity"
        )
        with pytest.raises(Refused) as refused:
            plan("a: {kind: scale, target: web, replicas: 3, for: 2s}", environment)
        lines = str(refused.value).splitlines()
        assert any("write helper.service_account" in line for line in lines)
        assert (
            f"a: we are not allowed to create pods in namespace {helpers}; grant it, or use another identity"
            in lines
        )
        _grant(rbac, space, [*looks, {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}])
        made = until(lambda: _allowed(plan, environment), every=0.3)
        assert any("kube-system is not allowed" in warning for warning in made.warnings)


def _allowed(plan, environment):
    with contextlib.suppress(Refused):
        return plan("a: {kind: kill, target: web}", environment).plan
    return None


def _identity(cluster, space, folder) -> Path:
    """Make a service account and a kubeconfig that is it."""
    cluster.core.create_namespaced_service_account(space, {"metadata": {"name": "tester"}})
    asked = {"spec": {"expirationSeconds": 3600}}
    token = cluster.core.create_namespaced_service_account_token("tester", space, asked).status.token
    read = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    read["users"] = [{"name": one["name"], "user": {"token": token}} for one in read["users"]]
    (folder / "tester").write_text(yaml.safe_dump(read))
    return folder / "tester"


def _rbac(cluster):
    import kubernetes

    return kubernetes.client.RbacAuthorizationV1Api(cluster.core.api_client)


def _grant(rbac, space, rules):
    from kubernetes.client.exceptions import ApiException

    role = {"metadata": {"name": "tester"}, "rules": rules}
    try:
        rbac.create_namespaced_role(space, role)
    except ApiException:
        rbac.replace_namespaced_role("tester", space, role)
        return
    subject = {"kind": "ServiceAccount", "name": "tester", "namespace": space}
    reference = {"kind": "Role", "name": "tester", "apiGroup": "rbac.authorization.k8s.io"}
    rbac.create_namespaced_role_binding(
        space, {"metadata": {"name": "tester"}, "subjects": [subject], "roleRef": reference}
    )


def test_a_namespace_for_helpers_that_is_not_there_is_said_by_the_plan(cluster, plan):
    with pods(cluster, labels={"app": "squall-lonely"}) as [pod]:
        environment = (
            f"targets: {{web: {{kubernetes: {{namespace: {pod.metadata.namespace}, selector: app=squall-lonely}}}}}}\n"
            "helper: {image: 'squall:local', namespace: squall-nowhere}"
        )
        with pytest.raises(
            Refused, match="a: there is no namespace squall-nowhere for its helpers; kubectl create"
        ):
            plan("a: {kind: cpu, target: web, limit: 20%, for: 2s}", environment)
        with pytest.raises(Refused, match=r"faults.a: .*has no controller"):
            plan("a: {kind: kill, target: web}", environment)
