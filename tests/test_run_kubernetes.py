"""The scenarios, unchanged, against the shop in a cluster: whole runs of the real command on a real cluster.

The long form, all of them: SQUALL_LONG=1 pytest tests/test_run_kubernetes.py
"""

import subprocess

import pytest

from tests.cluster_parts import container_of, deployment, emptied, frozen, until
from tests.fingerprints import difference, of_cgroup, of_namespace, of_nodes
from tests.matrix.kinds import Kind
from tests.matrix.scenes import OnKubernetes
from tests.runs import ROOT, Workplace, injected, left_of
from tests.test_run_docker import CODES, SCENARIOS, check_faults

pytestmark = pytest.mark.timeout(240)


def kubectl(*argv):
    done = subprocess.run(["kubectl", *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def opened(cluster, image):
    """The shop in the cluster, open until the end of these tests."""
    kubectl(
        "delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s"
    )  # an earlier one, on its way out or forgotten
    kubectl("apply", "-f", "scenarios/shop/kubernetes.yaml")
    for part in ("store", "front", "web"):
        kubectl("-n", "shop", "rollout", "status", f"deployment/{part}", "--timeout=60s")
    yield
    kubectl(
        "delete", "namespace", "shop", "--wait=false"
    )  # first: nobody makes new pods in what is on its way out
    emptied(cluster, "shop")


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def settled(cluster):
    """Wait until as many pods as are wanted are ready; those on their way out may take their time."""

    def quiet():
        wanted = sum(each.spec.replicas for each in cluster.apps.list_namespaced_deployment("shop").items)
        every = cluster.core.list_namespaced_pod("shop").items
        pods = [each for each in every if each.metadata.deletion_timestamp is None]
        ready = [
            each
            for each in pods
            if any(c.type == "Ready" and c.status == "True" for c in each.status.conditions or [])
        ]
        return len(pods) == len(ready) == wanted

    until(quiet, every=0.2)


def of_shop(engine, cluster):
    settled(cluster)
    return {"shop": of_namespace(engine, cluster, "shop"), "nodes": of_nodes(cluster)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_runs_unchanged_against_pods_and_leaves_the_cluster_as_it_was(
    engine, cluster, opened, place, name
):
    before = of_shop(engine, cluster)
    code, output = place.squall(
        "run", ROOT / f"scenarios/{name}.yaml", "--env", "kubernetes", "--report", place.reports, timeout=150
    )
    assert code == CODES.get(name, 0), output
    check_faults(place.verdict())
    assert difference(before, of_shop(engine, cluster)) == []
    assert left_of(place.folders()[-1].name) == []


def test_the_way_between_two_pods_is_cut_in_the_kernel_and_whole_again(engine, cluster, opened, place):
    place.environment = ROOT / "scenarios/environments/kubernetes-wire.yaml"
    scenario = place.scenario(
        "  blackhole: {kind: blackhole, target: store-link, at: 0s, for: 2s}\n"
        "  reset: {kind: reset, target: store-link, at: 7s, for: 2s}\n",
        expect="[{during blackhole: 'error_rate{/item} > 20%'}, {during faults: 'error_rate{/} < 1%'}]",
        after="3s",
    )
    kubectl("-n", "shop", "set", "env", "deployment/web", "STORE=$(STORE_SERVICE_HOST):8080")
    try:
        kubectl("-n", "shop", "rollout", "status", "deployment/web", "--timeout=60s")
        before = of_shop(engine, cluster)
        code, output = place.run_fairly(scenario)
        assert code == 0, output
        check_faults(place.verdict())
        assert difference(before, of_shop(engine, cluster)) == []
    finally:
        kubectl("apply", "-f", "scenarios/shop/kubernetes.yaml")


@pytest.fixture
def cramping(engine, cluster, image, place):
    """A run that squeezes the memory of a pod of its own, up to where it is done; what it was like before; a look."""
    with deployment(cluster, replicas=1, image="busybox:local") as made:
        space = made.metadata.namespace
        [pod] = cluster.core.list_namespaced_pod(space, label_selector="app=web").items
        pid = engine.api.inspect_container(container_of(pod))["State"]["Pid"]
        there = f"kubeconfig: {cluster.kubeconfig}, context: {cluster.context}, namespace: {space}"
        place.environment.write_text(
            f"targets: {{web: {{kubernetes: {{{there}, workload: deployment/web}}}}}}\n"
            f"helper: {{image: '{image}', namespace: {space}, lease: 3s}}\n"
        )
        scenario = place.folder / "cramped.yaml"
        scenario.write_text(
            "title: The API server hangs in the middle of a fault\nbefore: 1s\nafter: 1s\n"
            "faults: {cramped: {kind: memory, target: web, limit: 64MiB, at: 0s, for: 60s}}\n"
            "indicators: {answer: {command: [echo, '42'], every: 500ms}}\nexpect: [always: answer == 42]\n"
        )
        before = of_cgroup(pid)
        process = place.start(*place.run_arguments(scenario))
        try:
            place.wait_for_event(injected, timeout=60)
            assert difference(before, of_cgroup(pid))
            yield process, lambda: not difference(before, of_cgroup(pid))
        finally:
            process.kill()
            process.wait()


def test_an_api_server_that_hangs_halts_the_run_and_the_helpers_undo_without_it(place, cramping):
    process, well = cramping
    with frozen("kube-apiserver"):
        until(well, within=15)
        place.wait_for_event(lambda event: event["event"] == "halt", timeout=20)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert "cramped was lost on web.0" in output.splitlines()[-1]
    [fault] = place.verdict()["faults"]
    assert "was not heard for 3 s" in fault["evidence"]
    assert fault["dirty"] == ""
    clean = [event for event in place.events() if event.get("fault") and event.get("state") == "clean"]
    assert "when its lease was over" in clean[0]["evidence"]


TALKS = """gateway=$(ip route | awk '/default/ {print $3}')
while true; do ping -c1 -W1 $gateway >/dev/null; sleep 0.1; done"""


def test_pods_that_come_while_others_are_cut_off_join_as_far_as_limits_allow(cluster, image, place):
    with deployment(cluster, "sh", "-c", TALKS, replicas=2, image="busybox:local") as made:
        space = made.metadata.namespace
        there = f"kubeconfig: {cluster.kubeconfig}, context: {cluster.context}, namespace: {space}"
        place.environment.write_text(
            f"targets: {{web: {{kubernetes: {{{there}, workload: deployment/web}}}}}}\n"
            f"helper: {{image: '{image}', namespace: {space}, lease: 3s}}\nlimits: {{pick: 50%}}\n"
        )
        scenario = place.folder / "coming.yaml"
        scenario.write_text(
            "title: Pods come while others are cut off\nbefore: 1s\nafter: 1s\n"
            "faults: {cut: {kind: blackhole, target: web, pick: [web.1], follow: true, at: 0s, for: 14s}}\n"
            "indicators: {answer: {command: [echo, '42'], every: 500ms}}\nexpect: [always: answer == 42]\n"
        )
        process = place.start(*place.run_arguments(scenario))
        try:
            place.wait_for_event(injected, timeout=60)
            kubectl("-n", space, "scale", "deployment/web", "--replicas=4")
            output, _ = process.communicate(timeout=90)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, output
        [fault] = place.verdict()["faults"]
        assert len(fault["joined"]) == len(fault["escaped"]) == 1, (
            fault
        )  # 2 of 4 are the half that is allowed
        assert fault["spared"] == ["web.0"]


def test_a_workload_may_be_scaled_to_nothing_for_a_while(cluster, image, place, tmp_path):
    with OnKubernetes(Kind("scale", "replicas: 0", looks="workload"), tmp_path) as scene:
        place.environment.write_text(scene.environment())
        scenario = place.folder / "nobody.yaml"
        scenario.write_text(
            "title: Nobody is left\nbefore: 1s\nafter: 1s\n"
            "faults: {none: {kind: scale, target: victim, replicas: 0, at: 0s, for: 4s}}\n"
            "indicators: {answer: {command: [echo, '42'], every: 500ms}}\nexpect: [always: answer == 42]\n"
        )
        code, output = place.run(scenario)
        assert code == 0, output
        [fault] = place.verdict()["faults"]
        assert (fault["confirmed"], fault["escaped"], fault["dirty"]) == (True, [], "")
        assert scene.differences() == []


@pytest.mark.long
def test_as_long_as_the_api_server_hangs_nobody_calls_it_clean_and_a_rollback_does_so_afterwards(
    place, cramping
):
    process, well = cramping
    with frozen("kube-apiserver"):
        until(well, within=15)
        output, _ = process.communicate(timeout=150)
    assert process.returncode == 5, output
    assert "nobody can tell us whether it is undone" in output
    assert "run squall rollback when it can be reached" in output
    assert well()
    code, output = place.squall("rollback", "--env", place.environment, "--yes")
    assert code == 0, output
    assert "cramped/0/web.0 is clean" in output
    assert place.squall("rollback", "--yes") == (0, "nothing is armed on this machine\n")
