"""Containers, pods, nodes and the ways between them, as an environment writes them and what it means."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from runner.errors import Refused
from runner.language import environment_schema, read_environment, read_scenario
from runner.language.shapes import DockerShape, HelperShape, KubernetesShape, LinkShape, WireShape
from runner.places import Cluster, Engine
from runner.scenario import Containers, Helper, Pods, Wire

SCENARIO = "faults:\n  a: {kind: kill, target: %s}\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read the targets of an environment written here; no variable of this shell decides what it means."""
    for name in (
        "DOCKER_HOST",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "KUBECONFIG",
        "COMPOSE_PROJECT_NAME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "compose.yaml").write_text("name: shop\nservices: {}\n")

    def read(text: str):
        (tmp_path / "here.yaml").write_text(text)
        return read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml")

    return read


LOCAL = Engine()


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("{name: web-1}", Containers(engine=LOCAL, name="web-1")),
        ("{label: app=shop}", Containers(engine=LOCAL, label="app=shop")),
        ("{label: app}", Containers(engine=LOCAL, label="app")),
        ("{compose: compose.yaml, service: api}", Containers(engine=LOCAL, project="shop", service="api")),
        ("{compose: ./compose.yaml}", Containers(engine=LOCAL, project="shop")),
        ("{compose: shop, service: api}", Containers(engine=LOCAL, project="shop", service="api")),
        (
            "{name: a, host: 'tcp://10.0.0.1:2376'}",
            Containers(engine=Engine(url="tcp://10.0.0.1:2376"), name="a"),
        ),
    ],
)
def test_containers_are_read(read, written, means):
    spec = read(f"targets: {{web: {{url: 'http://127.0.0.1:1', docker: {written}}}}}").targets["web"]
    assert (spec.docker, spec.url) == (means, "http://127.0.0.1:1")


COMPOSE = """\
x-common: &common {restart: always}
name: "shop"
services:
  api: {<<: *common, ports: !reset [], image: "api:${TAG:-1}"}
"""


@pytest.mark.parametrize(
    ("text", "dotenv", "project"),
    [
        (COMPOSE, "", "shop"),
        (COMPOSE, "TAG=2\nCOMPOSE_PROJECT_NAME='other'\n", "other"),
        (COMPOSE, "COMPOSE_PROJECT_NAME=other # ours\n", "other"),
        (COMPOSE, 'export COMPOSE_PROJECT_NAME="other" # ours\n', "other"),
        (COMPOSE, "# COMPOSE_PROJECT_NAME=old\nCOMPOSE_PROJECT_NAME= # none\n", "shop"),
        ("services: {}\n", "TAG=2\n", "here"),
    ],
    ids=[
        "merge keys and tags",
        "a .env beside it",
        "a remark",
        "an export",
        "nothing there",
        "by its folder",
    ],
)
def test_a_compose_file_is_read_as_compose_does(read, tmp_path, text, dotenv, project):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/compose.yaml").write_text(text)
    (tmp_path / "here/.env").write_text(dotenv)
    found = read("targets: {web: {docker: {compose: here/compose.yaml}}}").targets["web"].docker
    assert found.project == project


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name: ${PROJECT:-shop}\n",
            r"names its project by a variable, \$\{PROJECT:-shop\}; write compose: PROJECT",
        ),
        ("name: [\n", "compose.yaml tells no project: while parsing"),
    ],
)
def test_a_compose_file_that_names_no_project_is_refused(read, tmp_path, text, says):
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(Refused, match=says):
        read("targets: {web: {docker: {compose: compose.yaml}}}")


def test_a_project_that_a_dotenv_names_by_a_variable_is_refused(read, tmp_path):
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=${USER}_shop\n")
    with pytest.raises(
        Refused, match=r"names its project by a variable, \$\{USER\}_shop; write compose: PROJECT"
    ):
        read("targets: {web: {docker: {compose: compose.yaml}}}")


def test_a_compose_file_without_a_name_is_a_project_by_its_folder(read, tmp_path):
    (tmp_path / "My Shop").mkdir()
    (tmp_path / "My Shop/compose.yml").write_text("services: {}\n")
    assert (
        read("targets: {web: {docker: {compose: My Shop/compose.yml}}}").targets["web"].docker.project
        == "myshop"
    )


def test_the_engine_is_where_dockers_own_variables_say(read, monkeypatch, tmp_path):
    text = "targets: {web: {docker: {name: a}}}"
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.9:2376")
    assert read(text).targets["web"].docker.engine == Engine(url="tcp://10.0.0.9:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert read(text).targets["web"].docker.engine.certificates == str(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    with pytest.raises(Refused, match="DOCKER_HOST: ssh://somewhere is reached by ssh"):
        read(text)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("{selector: app=web}", {"namespace": "default", "selector": "app=web"}),
        ("{namespace: shop, workload: deploy/web}", {"namespace": "shop", "workload": "deployment/web"}),
        ("{workload: statefulset/db, container: db}", {"namespace": "default", "workload": "statefulset/db", "container": "db"}),
        ("{nodes: pool=web}", {"nodes": "pool=web"}),
        ("{nodes: '*'}", {"nodes": "*"}),
    ],
)  # fmt: skip
def test_pods_and_nodes_are_read(read, tmp_path, written, means):
    spec = read(f"targets: {{web: {{kubernetes: {written}}}}}").targets["web"]
    assert spec.kubernetes == Pods(cluster=Cluster(kubeconfig=str(tmp_path / ".kube/config")), **means)


def test_the_cluster_is_where_kubectl_would_look_and_fixed_when_read(read, monkeypatch, tmp_path):
    (tmp_path / "other").write_text("")
    text = "targets: {web: {kubernetes: {context: staging, selector: a=b}}}"
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    assert read(text).targets["web"].kubernetes.cluster == Cluster(kubeconfig="/a:/b", context="staging")
    named = read(text.replace("context: staging", "kubeconfig: ~/other")).targets["web"].kubernetes
    assert named.cluster.kubeconfig == str(tmp_path / "other")
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert read(text).targets["web"].kubernetes.cluster.kubeconfig == "in-cluster"


def test_a_way_between_services_is_read(read):
    targets = read(
        "parameters: {db: postgres.core.svc}\n"
        "targets:\n"
        "  api: {docker: {name: api}}\n"
        "  db: {docker: {name: db}}\n"
        "  one: {link: {from: api, to: $db, port: 5432}}\n"
        "  two: {link: {from: api, to: 10.0.0.7, port: 5432}}\n"
        "  three: {link: {from: api, to: 'fe80::1', port: 5432}}\n"
    ).targets
    assert targets["one"].wire == Wire(source="api", to="$db", port=5432)
    assert [targets[name].wire.to for name in ("two", "three")] == ["10.0.0.7", "fe80::1"]
    assert targets["one"].link is None


def test_what_helpers_are_made_of_is_read_and_has_defaults(read):
    assert read("targets: {}").helper == Helper(image="", namespace="squall", service_account="", lease=5.0)
    written = (
        "helper: {image: 'reg:5000/squall@sha256:ab', namespace: chaos, service_account: undoer, lease: 3s}"
    )
    helper = read(written).helper
    assert (helper.image, helper.namespace) == ("reg:5000/squall@sha256:ab", "chaos")
    assert (helper.service_account, helper.lease) == ("undoer", 3.0)
    assert helper.place is not None
    assert str(helper.place).endswith(".yaml:1")


def test_a_fault_on_pods_may_follow_newcomers(read, tmp_path):
    environment = read(
        "targets: {web: {kubernetes: {selector: a=b}}, box: {docker: {name: a}}}\nlimits: {ready: 2}"
    )
    (tmp_path / "x.yaml").write_text(
        "faults:\n  a: {kind: command, target: web, do: [a], undo: [b], for: 5s, follow: true}\n"
    )
    [scenario] = read_scenario(tmp_path / "x.yaml", environment, {})
    assert scenario.faults[0].follow
    assert environment.limits.ready == 2


def test_who_comes_does_not_escape_what_is_done_to_a_workload(read, tmp_path):
    environment = read("targets: {web: {kubernetes: {workload: deployment/web}}}")
    (tmp_path / "x.yaml").write_text(
        "faults: {a: {kind: scale, target: web, replicas: 1, for: 5s, follow: true}}\n"
    )
    with pytest.raises(Refused, match="scale is done to the workload, whichever pods it has; remove it"):
        read_scenario(tmp_path / "x.yaml", environment, {})


def test_a_kind_that_cannot_hurt_containers_says_who_can_have_it(read, tmp_path):
    environment = read("targets: {box: {docker: {name: a}}, here: {processes: {match: x}}}")
    (tmp_path / "x.yaml").write_text("faults: {a: {kind: slow_close, target: box, delay: 1s, for: 5s}}\n")
    with pytest.raises(Refused, match="slow_close needs a link, and target box is containers"):
        read_scenario(tmp_path / "x.yaml", environment, {})


def test_the_schema_of_an_environment_knows_every_key():
    made = json.loads(json.dumps(environment_schema()))["properties"]
    [target] = [value for key, value in made["targets"]["patternProperties"].items() if key != "^x-"]
    known = target["properties"]
    assert set(known["docker"]["properties"]) == _keys(DockerShape)
    assert set(known["kubernetes"]["properties"]) == _keys(KubernetesShape)
    assert [set(one["properties"]) for one in known["link"]["anyOf"]] == [_keys(LinkShape), _keys(WireShape)]
    assert "from" in _keys(WireShape)
    assert set(made["helper"]["properties"]) == _keys(HelperShape)
    assert "ready" in made["limits"]["properties"]


def _keys(kind):
    return {field.encode_name for field in msgspec.structs.fields(kind)}
