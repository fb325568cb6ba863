"""What tests stand on where containers and pods are needed: they are real, they end with the test, and what is left is seen."""

from tests.cluster_api import trust
from tests.cluster_parts import (
    MINE,
    container,
    container_of,
    deployment,
    leftovers,
    namespace,
    pod_manifest,
    pods,
    until,
)


def test_a_container_runs_and_is_gone_afterwards(engine):
    with container(engine) as made:
        assert made.exec_run(["echo", "here"]).output == b"here\n"
        made.pause()
    assert made.id not in [each.id for each in engine.containers.list(all=True, ignore_removed=True)]


def test_pods_run_and_are_gone_afterwards(cluster):
    with pods(cluster, count=2) as made:
        assert len({pod.status.pod_ip for pod in made}) == 2
        assert all(len(container_of(pod)) == 64 for pod in made)
        where = made[0].metadata.namespace
    assert cluster.core.list_namespaced_pod(where).items == []


def test_a_deployment_is_ready(cluster):
    with deployment(cluster, replicas=2) as made:
        assert made.status.ready_replicas == 2


def test_a_pod_reaches_the_api_server_with_its_own_account(cluster, image):
    code = (
        "import ssl, urllib.request as u; at = '/var/run/secrets/kubernetes.io/serviceaccount/'; "
        "r = u.Request('https://10.96.0.1/version', headers={'Authorization': 'Bearer ' + open(at + 'token').read()}); "
        "print(u.urlopen(r, context=ssl.create_default_context(cafile=at + 'ca.crt'), timeout=10).status, flush=True)"
    )
    with namespace(cluster) as where:
        trust(cluster.core, where)
        manifest = pod_manifest("asks", ("python3", "-c", code), image, {})
        manifest["spec"] |= {"automountServiceAccountToken": True, "restartPolicy": "Never"}
        cluster.core.create_namespaced_pod(where, manifest)
        until(lambda: cluster.core.read_namespaced_pod("asks", where).status.phase in ("Succeeded", "Failed"))
        assert cluster.core.read_namespaced_pod_log("asks", where) == "200\n"


def test_a_container_of_a_run_that_nobody_ended_is_a_leftover(engine):
    with container(engine, labels={"squall.run": "nobodys"}) as made:
        assert any("nobodys" in line for line in leftovers())
    assert not any(made.name in line for line in leftovers())


def test_a_record_in_the_cluster_that_nobody_removed_is_a_leftover(cluster):
    name = f"squall-test-{MINE['squall.test']}"
    labels = {**MINE, "squall.run": "nobodys"}
    cluster.core.create_namespaced_config_map("default", {"metadata": {"name": name, "labels": labels}})
    try:
        assert any(f"config_map default/{name}" in line for line in leftovers())
    finally:
        cluster.core.delete_namespaced_config_map(name, "default")
    assert not any(name in line for line in leftovers())
