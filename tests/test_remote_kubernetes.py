"""A cluster by its REST API: the right cluster, the object that is meant, the value expected, verified by reading."""

import json
import stat
import sys
import time
from pathlib import Path

import pytest
import yaml

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import CheckKube, KubeCall
from runner.places import Cluster
from runner.remote.kubernetes import ApiError, ClusterClient
from tests.cluster_parts import deployment, pods, until


@pytest.fixture
def place(cluster):
    return Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context, uid=cluster.uid)


def config_of(cluster, user):
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    config["users"][0]["user"] = user
    return config


def token_of(cluster):
    return yaml.safe_load(Path(cluster.kubeconfig).read_text())["users"][0]["user"]["token"]


def written(path, config):
    path.write_text(yaml.safe_dump(config))
    return Cluster(kubeconfig=str(path))


def test_a_write_to_another_cluster_is_refused(place):
    wrong = Cluster(kubeconfig=place.kubeconfig, context=place.context, uid="0000")
    client = ClusterClient(wrong)
    for write in (client.post, client.put, client.patch, client.delete):
        with pytest.raises(OperationFailed, match="another cluster"):
            write("/api/v1/namespaces/default/configmaps/x", {})


def test_a_refusal_carries_its_status_and_what_the_server_said(place):
    with pytest.raises(ApiError, match='pods "nobody" not found') as caught:
        ClusterClient(place).get("/api/v1/namespaces/default/pods/nobody")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (Cluster(kubeconfig="/nowhere"), "there is no /nowhere"),
        (Cluster(kubeconfig="in-cluster"), "no pod of a cluster"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_sentence(place, says):
    with pytest.raises(OperationFailed, match=says):
        ClusterClient(place)


def test_a_context_that_is_not_there_names_those_that_are(place, cluster):
    with pytest.raises(OperationFailed, match=f"no context 'nope'; it has {cluster.context}"):
        ClusterClient(Cluster(kubeconfig=place.kubeconfig, context="nope"))


def test_a_token_file_is_read_relative_to_its_kubeconfig(cluster, tmp_path):
    (tmp_path / "token").write_text(token_of(cluster) + "\n")
    there = written(tmp_path / "config", config_of(cluster, {"tokenFile": "token"}))
    assert ClusterClient(there).uid() == cluster.uid


def test_an_exec_plugin_is_run_again_only_when_its_credential_expires(cluster, tmp_path):
    plugin = tmp_path / "plugin"
    plugin.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys, time\n"
        "open(os.environ['CALLS'], 'a').write('x')\n"
        "assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        "stamp = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + float(sys.argv[1])))\n"
        f"print(json.dumps({{'status': {{'token': {token_of(cluster)!r}, 'expirationTimestamp': stamp}}}}))\n"
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    for lasts, calls in (("3600", 1), ("1", 3)):
        counted = tmp_path / f"calls-{lasts}"
        spec = {"command": "./plugin", "args": [lasts], "env": [{"name": "CALLS", "value": str(counted)}]}
        client = ClusterClient(written(tmp_path / "config", config_of(cluster, {"exec": spec})))
        before = len(counted.read_text()) if counted.exists() else 0  # a client certificate may be asked for
        for _ in range(2):
            assert client.uid() == cluster.uid
        assert len(counted.read_text()) - before <= calls
        assert lasts == "3600" or len(counted.read_text()) >= 2


def test_an_exec_plugin_that_fails_says_why(cluster, tmp_path):
    spec = {"command": "sh", "args": ["-c", "echo log in first >&2; exit 3"]}
    there = written(tmp_path / "config", config_of(cluster, {"exec": spec}))
    with pytest.raises(OperationFailed, match="exited with 3: log in first"):
        ClusterClient(there).uid()


def call(place, verb, there, kind, **knobs):
    meta = there.metadata
    knobs.setdefault("uid", meta.uid)
    return perform(
        KubeCall(
            cluster=place, verb=verb, kind=kind, namespace=meta.namespace or "", name=meta.name, **knobs
        ),
        Context(),
    )


def check(place, expect, there, kind, **knobs):
    meta = there.metadata
    knobs.setdefault("uid", meta.uid)
    return perform(
        CheckKube(
            cluster=place, kind=kind, namespace=meta.namespace or "", name=meta.name, expect=expect, **knobs
        ),
        Context(),
    ).ok


@pytest.mark.parametrize("verb", ["delete-pod", "evict-pod"])
def test_only_the_pod_that_is_meant_is_ended(cluster, place, verb):
    with pods(cluster) as (pod,):
        assert check(place, "ready", pod, "pod")
        assert call(place, verb, pod, "pod", uid="another").ok, "it is gone already"
        assert check(place, "ready", pod, "pod")
        for _ in range(2):
            assert call(place, verb, pod, "pod").ok
        assert check(place, "gone", pod, "pod")


def test_an_eviction_that_a_budget_forbids_is_refused_with_its_words(cluster, place):
    with pods(cluster, labels={"app": "kept"}) as (pod,):
        path = f"/apis/policy/v1beta1/namespaces/{pod.metadata.namespace}/poddisruptionbudgets"
        client = ClusterClient(place)
        client.post(
            path,
            {
                "metadata": {"name": "kept"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}},
            },
        )
        until(lambda: client.get(f"{path}/kept").get("status", {}).get("observedGeneration"))
        reading = call(place, "evict-pod", pod, "pod")
        assert reading.ok is False
        assert "budget" in reading.evidence
        assert check(place, "ready", pod, "pod")


def test_replicas_are_set_only_from_the_number_expected(cluster, place):
    with deployment(cluster, replicas=1) as made:
        assert call(place, "scale", made, "deployment", value="2", expect="1").ok
        assert call(place, "scale", made, "deployment", value="2", expect="1").ok
        assert check(place, "scale", made, "deployment", value="2")
        left = call(place, "scale", made, "deployment", value="1", expect="5")
        assert left.ok is False
        assert "left alone" in left.evidence
        assert check(place, "scale", made, "deployment", value="2")
        assert call(place, "scale", made, "deployment", value="0", expect="2").ok
        assert check(place, "scale", made, "deployment", value="0")
        assert call(place, "scale", made, "deployment", value="1", uid="another", gone_is_fine=True).ok
        assert check(place, "scale", made, "deployment", value="0")


def test_a_restart_replaces_the_pods_once_for_one_value(cluster, place):
    with deployment(cluster, replicas=1) as made:
        assert check(place, "ready", made, "deployment")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        assert call(place, "restart", made, "deployment", value=stamp).ok
        until(lambda: check(place, "ready", made, "deployment"), every=0.2)
        assert check(place, "restart", made, "deployment", value=stamp)
        before = ClusterClient(place).get(
            f"/apis/apps/v1/namespaces/{made.metadata.namespace}/deployments/{made.metadata.name}"
        )["metadata"]["generation"]
        assert call(place, "restart", made, "deployment", value=stamp).ok
        after = ClusterClient(place).get(
            f"/apis/apps/v1/namespaces/{made.metadata.namespace}/deployments/{made.metadata.name}"
        )["metadata"]["generation"]
        assert after == before


@pytest.fixture
def node(cluster):
    """A node that is none: nothing runs on it, nobody is hurt when it is tainted."""
    name = f"squall-test-{time.monotonic_ns()}"
    yield cluster.core.create_node({"metadata": {"name": name}})
    cluster.core.delete_node(name)


def test_a_node_is_cordoned_and_opened_only_from_what_is_expected(node, place):
    assert call(place, "cordon", node, "node", value="true", expect="false").ok
    assert check(place, "cordon", node, "node", value="true")
    assert call(place, "cordon", node, "node", value="true", expect="false").ok
    assert call(place, "cordon", node, "node", value="false", expect="true").ok
    assert check(place, "cordon", node, "node", value="false")


def test_a_taint_comes_and_goes_and_others_stay(node, place, cluster):
    ours = json.dumps({"key": "squall", "value": "a", "effect": "NoSchedule"})
    theirs = json.dumps({"key": "theirs", "effect": "NoSchedule"})
    assert call(place, "taint", node, "node", value=theirs).ok
    for _ in range(2):
        assert call(place, "taint", node, "node", value=ours).ok
        assert check(place, "taint", node, "node", value=ours)
    for _ in range(2):
        assert call(place, "taint", node, "node", expect=ours).ok
        assert not check(place, "taint", node, "node", value=ours)
    assert check(place, "taint", node, "node", value=theirs)


def test_a_taint_with_another_value_is_left_alone(node, place):
    other = json.dumps({"key": "squall", "value": "b", "effect": "NoSchedule"})
    ours = json.dumps({"key": "squall", "value": "a", "effect": "NoSchedule"})
    assert call(place, "taint", node, "node", value=other).ok
    for change in ({"value": ours}, {"expect": ours}):
        assert call(place, "taint", node, "node", **change).ok is False
    assert check(place, "taint", node, "node", value=other)
