"""Who a target means by what engines and clusters answer: from a server of ours where the real ones seldom say it."""

import socket
import ssl

import pytest
import yaml

from runner.errors import NobodyThere, Refused
from runner.faults.kill import Kill
from runner.faults.workloads import Restart
from runner.language import read_environment
from runner.targets import wires
from runner.targets.elsewhere import ended, resolve
from tests.answering import answering


@pytest.fixture
def here(tmp_path):
    """Read an environment written here."""

    def here(text):
        (tmp_path / "here.yaml").write_text(text)
        return read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml")

    return here


# --- Docker ----------------------------------------------------------------------------------------------------------


def container(name, identity, **state):
    return {
        "Id": identity,
        "Name": f"/{name}",
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Running": True, "Restarting": False, "Status": "running", "StartedAt": "a", **state},
        "Config": {},
        "HostConfig": {},
        "NetworkSettings": {"Networks": {}},
    }


LOOPING = {
    "Restarting": True,
    "Status": "restarting",
    "Pid": 0,
}  # as an engine says while it waits to start it


def engine_of(*made, **more):
    """What an engine answers that has these containers; *more*: other words by which it finds one."""
    answers = {f"/containers/{one['Id']}/json": one for one in made}
    listed = [{"Id": one["Id"], "Names": [one["Name"]]} for one in made]
    return (
        answers
        | {f"/containers/{word}/json": one for word, one in more.items()}
        | {"/containers/json": listed}
    )


def test_a_name_that_only_begins_the_id_of_another_container_is_nobodys(here):
    other = container("web", "db" + "0" * 62)
    with answering(engine_of(other, db=other)) as server:
        environment = here(f"targets: {{a: {{docker: {{name: db, host: 'tcp://{server.address}'}}}}}}")
        with pytest.raises(Refused, match=r"targets.a.docker: no container is called db on .*: web$"):
            resolve(environment, "a")


@pytest.mark.parametrize("written", ["db", "db" + "0" * 62])
def test_a_container_is_meant_by_its_whole_name_or_its_whole_id(here, written):
    one = container("db", "db" + "0" * 62)
    with answering(engine_of(one, db=one)) as server:
        environment = here(f"targets: {{a: {{docker: {{name: {written}, host: 'tcp://{server.address}'}}}}}}")
        assert [each.known_as for each in resolve(environment, "a")] == ["db"]


def test_a_container_between_two_lives_does_not_run(here):
    runs, loops = container("web-1", "1" * 64), container("web-2", "2" * 64)
    with answering(engine_of(runs, loops)) as server:
        environment = here(f"targets: {{a: {{docker: {{label: app, host: 'tcp://{server.address}'}}}}}}")
        [_, before] = resolve(environment, "a")
        assert ended(before) == ""
        loops["State"] |= LOOPING
        assert [each.known_as for each in resolve(environment, "a")] == ["web-1"]
        assert ended(before) == "container web-2 has ended"


def test_where_all_are_between_two_lives_that_is_said(here):
    with answering(engine_of(container("web", "1" * 64, **LOOPING))) as server:
        environment = here(f"targets: {{a: {{docker: {{label: app, host: 'tcp://{server.address}'}}}}}}")
        with pytest.raises(
            NobodyThere, match=r"runs on .*: web is restarting; see why with docker logs web$"
        ):
            resolve(environment, "a")


def test_certificates_that_may_not_be_read_are_not_a_matter_of_the_engines_socket(
    here, tmp_path, monkeypatch
):
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("")

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ssl, "create_default_context", denied)
    environment = here("targets: {a: {docker: {name: db, host: 'tcp://127.0.0.1:1', certificates: .}}}")
    with pytest.raises(Refused, match=r"Permission denied; correct the folder, or let its files be read$"):
        resolve(environment, "a")


# --- Kubernetes ------------------------------------------------------------------------------------------------------


def owned(kind, name, uid):
    return [{"kind": kind, "name": name, "uid": uid, "controller": True}]


POD = {
    "metadata": {
        "name": "web-1-a",
        "namespace": "shop",
        "uid": "p",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": owned("ReplicaSet", "web-1", "r"),
    },
    "spec": {"containers": [{"name": "web"}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "web", "state": {"running": {}}}]},
}
APPS, CORE = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces"
DEPLOYMENT = {"metadata": {"name": "web", "uid": "d"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}
SET = {"metadata": {"name": "web-1", "uid": "r", "ownerReferences": owned("Deployment", "web", "d")}}
CLUSTER = {
    f"{CORE}/shop/pods": {"items": [POD]},
    f"{APPS}/deployments/web": DEPLOYMENT,
    f"{APPS}/replicasets/web-1": SET,
}
NO_SETS = {f"{APPS}/replicasets/web-1": 403}


@pytest.fixture
def targets(tmp_path, here):
    """Read targets; those of Kubernetes say {where}: the cluster that answers at *address*."""

    def targets(address, text):
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}],
        }
        name = f"config-{address.rpartition(':')[2]}"  # a client is kept for each kubeconfig
        (tmp_path / name).write_text(yaml.safe_dump(config))
        return here("targets:\n" + text.replace("{where}", f"kubeconfig: '{name}', namespace: shop"))

    return targets


def test_a_right_that_is_missed_to_know_a_workloads_pods_is_named_instead_of_calling_them_none(targets):
    text = "  web: {kubernetes: {{where}, workload: deployment/web}}\n"
    with answering(CLUSTER) as server:
        assert [one.pod.workload for one in resolve(targets(server.address, text), "web")] == [
            "deployment/web"
        ]
    with answering(CLUSTER | NO_SETS) as server:
        says = r"targets.web: .* GET .*/replicasets/web-1: 403, .*; ask for that permission"
        with pytest.raises(Refused, match=says):
            resolve(targets(server.address, text), "web")


def named(name, *owner):
    return POD | {"metadata": POD["metadata"] | {"name": name, "uid": name, "ownerReferences": owned(*owner)}}


@pytest.mark.parametrize(
    ("workload", "old"),
    [
        ("deployment/web", ("ReplicaSet", "web-1", "gone")),
        ("deployment/web", ("Deployment", "web", "gone")),
        ("statefulset/db", ("StatefulSet", "db", "gone")),
    ],
)
def test_the_pods_of_a_workload_that_was_deleted_are_not_those_of_one_made_anew_by_its_name(
    targets, workload, old
):
    stateful = DEPLOYMENT | {"metadata": {"name": "db", "uid": "s"}}
    pods = [POD, named("db-0", "StatefulSet", "db", "s"), named("old", *old)]
    answers = CLUSTER | {f"{APPS}/statefulsets/db": stateful, f"{CORE}/shop/pods": {"items": pods}}
    text = "  web: {kubernetes: {{where}, workload: %s}}\n  all: {kubernetes: {{where}, selector: app=web}}\n"
    with answering(answers) as server:
        environment = targets(server.address, text % workload)
        [one] = resolve(environment, "web")
        whose = {each.pod.name: each.pod.workload for each in resolve(environment, "all")}
    assert one.pod.name in ("web-1-a", "db-0")
    assert whose == {"web-1-a": "deployment/web", "db-0": "statefulset/db", "old": ""}


def test_a_stateful_sets_pods_are_known_without_the_right_to_read_what_owns_others_of_their_labels(targets):
    stateful = DEPLOYMENT | {"metadata": {"name": "db", "uid": "s"}}
    pods = [POD, named("db-0", "StatefulSet", "db", "s")]
    answers = {f"{APPS}/statefulsets/db": stateful, f"{CORE}/shop/pods": {"items": pods}}
    with answering(CLUSTER | NO_SETS | answers) as server:
        environment = targets(server.address, "  db: {kubernetes: {{where}, workload: statefulset/db}}\n")
        assert [one.pod.name for one in resolve(environment, "db")] == ["db-0"]


@pytest.mark.parametrize("fault", [Kill(), Restart()])
def test_a_fault_that_needs_to_know_what_owns_a_pod_names_the_right_and_others_do_without(targets, fault):
    text = "  web: {kubernetes: {{where}, selector: app=web}}\n"
    with answering(CLUSTER | NO_SETS) as server:
        [pod] = resolve(targets(server.address, text), "web")
    with pytest.raises(
        Refused, match=r"web\.0: .* may not be read: GET .*/replicasets/web-1: 403, .* permission"
    ):
        fault.compile(pod)
    assert Kill(restart="never").compile(pod).do


WIRES = (
    "  web: {kubernetes: {{where}, selector: app=web}}\n"
    "  pay: {link: {from: web, to: stripe.example, port: 443}}\n"
    "  far: {link: {from: web, to: db.invalid, port: 5432}}\n"
    "  own: {link: {from: web, to: db.shop, port: 5432}}\n"
    "  sure: {link: {from: web, to: stripe.example.svc, port: 443}}\n"
)


def test_a_host_whose_name_could_be_a_service_elsewhere_needs_no_right_to_read_services(targets, monkeypatch):
    usual = socket.getaddrinfo

    def known(host, *rest, **more):
        if host != "stripe.example":
            return usual(host, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(wires.socket, "getaddrinfo", known)
    refused = {
        f"{CORE}/{space}/services/{name}": 403
        for space, name in (("example", "stripe"), ("invalid", "db"), ("shop", "db"))
    }
    with answering(CLUSTER | refused) as server:
        environment = targets(server.address, WIRES)
        assert resolve(environment, "pay")[0].peers == ("192.0.2.7",)
        for target in ("far", "own", "sure"):
            with pytest.raises(Refused, match=rf"targets.{target}: .*/services/.*: 403, .*; ask for that"):
                resolve(environment, target)
