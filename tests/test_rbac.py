"""The rights that the manifest gives for each group of faults suffice, and without them the cluster says no.

Every identity here is one of its own: were it the admin after all, the calls that have to be forbidden would show it.
"""

import base64
import contextlib
import random
import subprocess
from pathlib import Path

import pytest
import yaml

from runner.errors import Refused
from runner.language import read_environment
from runner.places import Cluster
from runner.planning.preparation import prepare
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.targets.elsewhere import resolve
from tests.cluster_api import authority, trust
from tests.cluster_parts import namespace, until
from tests.matrix.scenes import Kind, OnKubernetes
from tests.matrix.strikes import Cell, strike
from tests.runs import ROOT

pytestmark = pytest.mark.timeout(180)

MANIFEST = ROOT / "scenarios/shop/rbac.yaml"
ALWAYS = ("look", "know")
GROUPS = {  # roles: a fault of the group
    ("kill-delete",): Kind("kill", "how: delete", looks="pods"),
    ("kill-evict",): Kind("kill", "how: evict", looks="pods"),
    ("restart",): Kind("restart", "", looks="pods"),
    ("helpers",): Kind("blackhole", "", target="way"),
    ("helpers", "scale"): Kind("scale", "replicas: 1", looks="workload"),
    ("helpers", "nodes", "cordon"): Kind("cordon", "", target="node", looks="node"),
}


SHORT = (("kill-evict",), ("helpers",), ("helpers", "scale"))
SOME = [
    roles if roles in SHORT else pytest.param(roles, marks=pytest.mark.long, id="+".join(roles))
    for roles in GROUPS
]


class Limited(OnKubernetes):
    """A deployment, and an identity that may do what it is allowed to for a while, and nothing else."""

    account = "squall-reverter"

    def allow(self):
        core = self.cluster.core
        self.posts = self._parts.enter_context(namespace(self.cluster))
        apply(each for each in self.documents() if each["kind"] == "ServiceAccount")
        trust(core, self.posts, "squall-reverter")
        token = trust(core, self.posts, "squall")
        self.kubeconfig = str(self.folder / "limited.yaml")
        self.context = "limited"
        Path(self.kubeconfig).write_text(yaml.safe_dump(self.configuration(core, token)))

    @contextlib.contextmanager
    def may(self, *roles):
        """Let both accounts do what *roles* of the manifest allow."""
        text = apply(each for each in self.documents() if self.is_of(each, (*ALWAYS, *roles)))
        try:
            yield
        finally:
            kubectl("delete", "--wait=false", "-f", "-", text=text)

    def documents(self):
        """The manifest, in namespaces of this test's and under names of its own where they are the cluster's."""
        [node] = [each.metadata.name for each in self.cluster.core.list_node().items][:1]
        text = MANIFEST.read_text().replace("namespace: shop", f"namespace: {self.namespace}")
        text = text.replace("namespace: squall}", f"namespace: {self.posts}}}").replace("node-1", node)
        for each in yaml.safe_load_all(text):
            if each["kind"].startswith("Cluster"):
                each["metadata"]["name"] = f"{each['metadata']['name']}-{self.posts}"
                if "roleRef" in each:
                    each["roleRef"]["name"] = each["metadata"]["name"]
            yield each

    def is_of(self, document, roles):
        name = document["metadata"]["name"].removesuffix(f"-{self.posts}").removeprefix("squall-")
        return "Role" in document["kind"] and name in roles

    def configuration(self, core, token):
        server = core.api_client.configuration.host
        authorities = base64.b64encode(authority(core)).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "limited",
            "clusters": [
                {"name": "here", "cluster": {"server": server, "certificate-authority-data": authorities}}
            ],
            "users": [{"name": "limited", "user": {"token": token}}],
            "contexts": [{"name": "limited", "context": {"cluster": "here", "user": "limited"}}],
        }

    def client(self):
        return ClusterClient(Cluster(kubeconfig=self.kubeconfig, context=self.context))


def kubectl(*argv, text):
    subprocess.run(["kubectl", *argv], input=text, text=True, check=True, capture_output=True)


def apply(documents):
    text = yaml.safe_dump_all(documents)
    kubectl("apply", "-f", "-", text=text)
    return text


def forbidden(call, *arguments, **options):
    with pytest.raises(ApiError) as said:
        call(*arguments, **options)
    return said.value.status == 403


@pytest.fixture(scope="module")
def limited(engine, cluster, image, tmp_path_factory):
    with Limited(GROUPS["helpers",], tmp_path_factory.mktemp("limited")) as scene:
        yield scene


@pytest.mark.parametrize("roles", SOME, ids="+".join)
def test_without_its_role_a_fault_is_refused_before_anything_is_touched(limited, roles):
    limited.kind = GROUPS[roles]
    with limited.may(*roles[:-1]):
        if "helpers" in roles[:-1]:
            # the reverter lacks it, whom the runner may not ask about: it fails and harms nobody
            with Cell(limited) as cell:
                assert cell.begin("lost"), cell.words
                assert any("forbidden" in word for word in cell.words), cell.words
                assert not cell.hurt()
        else:
            with pytest.raises(Refused, match="not allowed"):
                limited.prepared()
        assert limited.differences() == []


@pytest.mark.parametrize("roles", SOME, ids="+".join)
def test_the_roles_of_a_group_suffice_and_allow_nothing_beside_it(limited, roles):
    limited.kind = GROUPS[roles]
    with limited.may(*roles):
        client = limited.client()
        assert forbidden(client.get, f"/api/v1/namespaces/{limited.namespace}/secrets")
        assert forbidden(client.post, f"/api/v1/namespaces/{limited.namespace}/pods", {})
        assert forbidden(client.get, "/api/v1/pods")
        [result] = strike([limited], "runner SIGTERM", random.Random(7))
        assert result.landed, result
        assert result.clean, result


def test_what_an_indicator_reads_of_pods_is_asked_for_too(limited):
    """Memory of pods is the kubelet's to tell, and that needs a right of its own."""
    limited.kind = GROUPS["kill-delete",]
    scenario = limited.folder / "measured.yaml"
    scenario.write_text(
        "squall: 1\ntitle: Memory of pods\nindicators:\n  memory: {process: victim, measure: rss}\n"
        "faults:\n  hurt: {kind: kill, how: delete, target: victim, at: 0s, for: 5s}\n"
    )
    environment = limited.folder / "measured-here.yaml"
    environment.write_text(limited.environment())
    with limited.may("kill-delete"), pytest.raises(Refused) as refused:
        prepare(scenario, environment=str(environment), settings={})
    lines = str(refused.value).splitlines()
    assert lines
    assert all(line.startswith("memory: we are not allowed to get nodes/proxy ") for line in lines), lines


@pytest.mark.parametrize(
    ("role", "path", "verb"), [("kill-delete", "{}/eviction", "post"), ("kill-evict", "{}", "delete")]
)
def test_the_right_to_delete_pods_is_none_to_evict_them_and_the_other_way_round(limited, role, path, verb):
    with limited.may(role):
        pod = until(limited._pods)[0].metadata.name
        there = path.format(f"/api/v1/namespaces/{limited.namespace}/pods/{pod}")
        assert forbidden(getattr(limited.client(), verb), there, {})


WIRES = {  # other end: the rights that it takes
    "named": [("services", "get")],
    "headless": [("services", "get"), ("endpoints", "get")],
    "$victim": [("services", "list")],
}


@pytest.fixture(scope="module")
def wires(limited):
    """An environment with wires to services in front of the victim; by name of a wire, its other end."""
    core = limited.cluster.core
    for name, address in (("named", {}), ("headless", {"clusterIP": "None"})):
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], **address}
        core.create_namespaced_service(limited.namespace, {"metadata": {"name": name}, "spec": spec})
    until(
        lambda: (
            [bool(each.subsets) for each in core.list_namespaced_endpoints(limited.namespace).items]
            == [True] * 2
        ),
        every=0.2,
    )
    ends = {f"w{number}": end for number, end in enumerate(WIRES)}
    lines = [f"  {name}: {{link: {{from: victim, to: {end}, port: 80}}}}\n" for name, end in ends.items()]
    file = limited.folder / "wires.yaml"
    victim, rest = limited.environment().split("  node:", 1)
    file.write_text(f"{victim}{''.join(lines)}  node:{rest}")
    return read_environment(str(file), file), ends


def test_the_role_of_wires_suffices_to_find_their_other_ends_and_allows_nothing_beside_it(limited, wires):
    environment, ends = wires
    addresses = {pod.status.pod_ip for pod in limited._pods()}
    address = limited.cluster.core.read_namespaced_service("named", limited.namespace).spec.cluster_ip
    with limited.may("wires"):
        found = {end: set(resolve(environment, name)[0].peers) for name, end in ends.items()}
        assert found == {"named": {address}, "headless": addresses, "$victim": {address, *addresses}}
        client, there = limited.client(), f"/api/v1/namespaces/{limited.namespace}"
        assert forbidden(client.get, f"{there}/endpoints")
        assert forbidden(client.post, f"{there}/services", {})
        assert forbidden(client.get, f"/api/v1/namespaces/{limited.posts}/services")
        assert forbidden(client.get, f"{there}/secrets")


@pytest.mark.parametrize(
    "lacks", [("services", "get"), ("services", "list"), ("endpoints", "get")], ids=" ".join
)
def test_each_right_of_the_role_of_wires_is_needed(limited, wires, lacks):
    environment, ends = wires
    with limited.may("wires"):
        [role] = [each for each in limited.documents() if limited.is_of(each, ("wires",)) and "rules" in each]
        for rule in role["rules"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if (rule["resources"][0], verb) != lacks]
        role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
        apply([role])
        needing = {name for name, end in ends.items() if lacks in WIRES[end]}
        until(lambda: needing == {name for name in ends if refused(environment, name)})


def refused(environment, name):
    """Whether the cluster does not let us look for the other end of a wire."""
    try:
        resolve(environment, name)
    except Refused as error:
        return "forbidden" in str(error)
    return False
