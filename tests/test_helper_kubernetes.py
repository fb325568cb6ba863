"""Helpers in a cluster: whoever dies, falls silent or is deleted, what was done to the pod is undone."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from runner import cgroups
from runner.errors import OperationFailed
from runner.helper import look
from runner.helper.pods import pod_of
from runner.helper.posting import labels_of, name_of
from runner.operations import Context, afar_end, perform
from runner.operations.record import AfarGone, KubeCall, Run, TableGone, WriteFile
from runner.places import Cluster, Post
from runner.remote.kubernetes import ClusterClient
from runner.remote.records import leftovers
from tests.afar_parts import RUN, UNDO, Holder, time_until
from tests.cluster_api import trust
from tests.cluster_parts import container_of, deployment, namespace, pods, until
from tests.helper_image import build


@pytest.fixture(scope="module")
def image(engine):
    return build()


@pytest.fixture(scope="module")
def space(cluster):
    with namespace(cluster) as name:
        yield name


@pytest.fixture
def target(cluster, space):
    with pods(cluster, within=space) as (pod,):
        yield pod


@pytest.fixture
def place(cluster):
    return Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context, uid=cluster.uid)


@pytest.fixture
def post(place, image, space, target):
    return Post(
        cluster=place,
        image=image,
        shape="cgroup",
        container=container_of(target),
        namespace=space,
        node=target.spec.node_name,
        pod=target.metadata.uid,
    )


@pytest.fixture
def holder(cluster, space, request):
    made = []

    def start(post, **knobs):
        made.append(Holder(post, **knobs))
        return made[-1]

    yield start
    for each in made:
        each.close()
    for kind in ("pod", "config_map"):
        getattr(cluster.core, f"delete_collection_namespaced_{kind}")(
            space, label_selector="squall.run", grace_period_seconds=0
        )


def limit(target):
    found = cgroups.of_container(container_of(target))
    return cgroups.content(found["pids"] / "pids.max") if "pids" in found else "gone"


def hurt(target):
    return limit(target) == "77"


def delete(cluster, holder, *roles, force=False):
    for role in roles:
        cluster.core.delete_namespaced_pod(
            holder.name(role), holder.post.namespace, grace_period_seconds=0 if force else None
        )


def running(holder):
    said = holder.says()
    assert said.startswith("done"), said
    return holder


def none_left(cluster, holder):
    left = cluster.core.list_namespaced_pod(holder.post.namespace, label_selector="squall.run").items
    records = leftovers(holder.post.cluster, holder.post.namespace)
    return not left and not records


def test_it_is_held_confirmed_and_undone_when_let_go_of(holder, post, target, cluster):
    assert look(post, (post.container,)).containers[post.container].files["pids.max"] == "max"
    held = running(holder(post))
    assert hurt(target)
    assert held.check().ok is True
    held.let_go()
    assert "hand helper undid it (when told)" in held.gone().evidence
    assert not hurt(target)
    assert none_left(cluster, held)
    assert held.gone().ok, "twice is harmless"


def test_it_heals_when_the_hand_of_the_guardian_is_killed_and_what_it_left_is_recorded(
    holder, post, target, cluster
):
    held = running(holder(post))
    held.kill()
    took = time_until(lambda: not hurt(target))
    print(f"clean {took * 1000:.0f} ms after SIGKILL")
    assert took < 3
    (left,) = leftovers(post.cluster, post.namespace)
    assert left.problem == ""
    assert left.run == RUN
    assert left.undo is not None
    assert "when we hung up" in perform(left.undo, Context()).evidence
    assert none_left(cluster, held)


@pytest.mark.long
def test_it_heals_when_the_hand_of_the_guardian_is_stopped_for_longer_than_the_lease(
    holder, post, target, cluster
):
    held = running(holder(post, lease=1.0))
    held.stop()
    assert time_until(lambda: not hurt(target)) < 3
    assert "when its lease was over" in held.gone().evidence
    assert none_left(cluster, held)


@pytest.mark.long
def test_a_deleted_hand_helper_undoes_before_it_leaves(holder, post, target, cluster):
    held = running(holder(post))
    delete(cluster, held, "hand")
    took = time_until(lambda: not hurt(target))
    print(f"clean {took * 1000:.0f} ms after the hand helper was deleted")
    assert held.says().startswith("failed")
    assert held.gone().ok
    assert none_left(cluster, held)


@pytest.mark.long
def test_both_helpers_deleted_by_force_are_made_up_for(holder, post, target, cluster):
    held = running(holder(post))
    held.kill()
    delete(cluster, held, "hand", "warden", force=True)
    assert held.gone().ok
    assert not hurt(target)
    assert none_left(cluster, held)


@pytest.mark.long
def test_helpers_that_hang_are_removed_though_their_sandboxes_take_longer(
    holder, post, target, cluster, engine
):
    held = running(holder(post, lease=2.0))
    held.kill()
    for role in ("hand", "warden"):
        pod = cluster.core.read_namespaced_pod(held.name(role), post.namespace)
        os.kill(engine.api.inspect_container(container_of(pod))["State"]["Pid"], signal.SIGSTOP)
    reading = held.gone()
    assert reading.ok
    assert "a fresh helper undid it" in reading.evidence
    assert not hurt(target)
    assert none_left(cluster, held)


@pytest.mark.long
def test_a_pod_that_is_gone_has_nothing_left_to_undo(holder, post, target, cluster):
    held = running(holder(post))
    cluster.core.delete_namespaced_pod(
        target.metadata.name, target.metadata.namespace, grace_period_seconds=0
    )
    time_until(lambda: limit(target) == "gone")
    held.let_go()
    assert held.gone().ok
    assert none_left(cluster, held)


def test_helpers_whose_poster_died_before_it_gave_orders_undo_and_none_is_left(post, cluster):
    """Nobody attached to them, so nobody's hanging up would end them."""
    client, pods_of = ClusterClient(post.cluster), f"/api/v1/namespaces/{post.namespace}/pods"

    def posted(role):
        labels = labels_of(RUN, "idle", role)
        client.post(pods_of, pod_of(post, name_of(RUN, "idle", role), labels))

    def left():
        return cluster.core.list_namespaced_pod(post.namespace, label_selector=f"squall.run={RUN}").items

    gone = AfarGone(run=RUN, act="idle", post=post, undo=UNDO)
    for role in ("hand", "warden"):
        posted(role)
    until(lambda: all(each.status.phase == "Running" for each in left()))
    assert "hand helper undid it (when told)" in perform(gone, Context()).evidence
    assert left() == []
    posted("undo")  # of an undo that was cut short before anything was on record
    assert "nothing is left there" in perform(gone, Context()).evidence
    assert left() == []


def test_a_missing_namespace_says_how_to_make_it(holder, post):
    nowhere = msgspec.structs.replace(post, namespace="squall-nowhere")
    assert "kubectl create namespace squall-nowhere" in holder(nowhere).says()


def test_what_the_wrong_cluster_does_not_have_is_not_taken_for_clean(post):
    wrong = msgspec.structs.replace(post, cluster=msgspec.structs.replace(post.cluster, uid="0000"))
    with pytest.raises(OperationFailed, match="another cluster"):
        perform(AfarGone(run=RUN, act="x", post=wrong, undo=UNDO), Context())


@pytest.mark.parametrize(
    "undo",
    [
        Run(argv=("sh", "-c", "true")),
        WriteFile(path="/proc/sysrq-trigger", value="b"),
        WriteFile(path="cgroup:/../../release_agent", value="x"),
    ],
)
def test_a_record_that_somebody_altered_is_never_performed(post, cluster, undo):
    altered = AfarGone(run="r", act="x", post=post, undo=(undo,))
    body = {
        "metadata": {"name": "altered", "labels": {"squall.role": "record", "squall.test": "1"}},
        "data": {"undo": msgspec.json.encode(altered).decode()},
    }
    cluster.core.create_namespaced_config_map(post.namespace, body)
    try:
        (left,) = leftovers(post.cluster, post.namespace)
        assert left.undo is None
        assert "somebody wrote it in" in left.problem
    finally:
        cluster.core.delete_namespaced_config_map("altered", post.namespace)


@pytest.fixture
def account(cluster, space):
    """A service account that may scale one deployment, and nothing else; what is left of another's token is not its own."""
    reverter = f"reverter-{uuid.uuid4().hex[:8]}"
    rbac = ClusterClient(Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context))
    cluster.core.create_namespaced_service_account(space, {"metadata": {"name": reverter}})
    trust(cluster.core, space, reverter)

    def allow(where, name):
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{where}"
        rule = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}
        rbac.post(
            f"{roles}/roles", {"metadata": {"name": "reverter"}, "rules": [{**rule, "resourceNames": [name]}]}
        )
        rbac.post(
            f"{roles}/rolebindings",
            {
                "metadata": {"name": "reverter"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reverter"},
                "subjects": [{"kind": "ServiceAccount", "name": reverter, "namespace": space}],
            },
        )

    yield reverter, allow
    cluster.core.delete_namespaced_service_account(reverter, space)


@pytest.fixture
def scaled(holder, place, image, space, cluster, account):
    """A deployment that a helper in the cluster holds at two replicas instead of one, and the number as it reads."""
    with deployment(cluster, replicas=1) as made:
        where, name = made.metadata.namespace, made.metadata.name
        reverter, allow = account
        allow(where, name)
        meant = {
            "cluster": Cluster(kubeconfig="in-cluster", uid=cluster.uid),
            "verb": "scale", "kind": "deployment", "namespace": where, "name": name, "uid": made.metadata.uid,
        }  # fmt: skip
        post = Post(cluster=place, image=image, shape="api", namespace=space, service_account=reverter)
        held = running(
            holder(
                post,
                do=(KubeCall(**meant, value="2", expect="1"),),
                undo=(KubeCall(**meant, value="1", expect="2", gone_is_fine=True),),
                confirm=(),
            )
        )

        def replicas(wanted=None):
            if wanted is not None:
                cluster.apps.patch_namespaced_deployment(name, where, {"spec": {"replicas": wanted}})
            return cluster.apps.read_namespaced_deployment(name, where).spec.replicas

        yield held, replicas


def test_what_only_the_cluster_can_undo_is_undone_by_a_helper_in_it(scaled, cluster):
    held, replicas = scaled
    assert replicas() == 2
    held.kill()
    time_until(lambda: replicas() == 1)
    assert held.gone().ok
    assert none_left(cluster, held)


def test_a_reverter_without_rights_goes_on_trying_and_why_it_cannot_is_said(scaled, cluster, monkeypatch):
    monkeypatch.setattr(afar_end, "FRESH", 5.0)
    held, replicas = scaled
    rbac = ClusterClient(Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context))
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{held.undo[0].namespace}/rolebindings"
    taken = rbac.get(f"{bindings}/reverter")
    rbac.delete(f"{bindings}/reverter")
    held.kill()
    delete(cluster, held, "hand", "warden", force=True)
    with pytest.raises(OperationFailed, match=r"did not undo within 5 s: .*403"):
        held.gone()
    assert replicas() == 2
    rbac.post(bindings, {**taken, "metadata": {"name": "reverter"}})
    time_until(lambda: replicas() == 1)
    assert held.gone().ok
    assert none_left(cluster, held)


def test_what_somebody_else_changed_meanwhile_is_left_alone_and_that_is_said(scaled):
    held, replicas = scaled
    replicas(0)
    held.let_go()
    with pytest.raises(OperationFailed, match="somebody else"):
        held.gone()
    assert replicas() == 0


class Relay:
    """A way to the API server that can be cut, or made to hang."""

    def __init__(self, server):
        self._server, self._pairs, self.hangs = server, [], False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                self._pairs.append((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.hangs:
                    time.sleep(0.01)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def cut(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(
                socket.SHUT_RDWR
            )  # its thread must not go on with whoever gets the number next
        self._listener.close()
        for each in (end for pair in self._pairs for end in pair):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def relay(cluster, tmp_path):
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    made = Relay((server.hostname, server.port))
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{made.port}"
    made.path = tmp_path / "config"
    made.path.write_text(yaml.safe_dump(config))
    yield made
    made.hangs = False
    made.cut()


@pytest.mark.parametrize("how", ["cut", pytest.param("hang", marks=pytest.mark.long)])
def test_a_lost_api_server_ends_the_fault_and_is_never_clean(holder, post, target, cluster, relay, how):
    there = Cluster(kubeconfig=str(relay.path), context=cluster.context, uid=cluster.uid)
    held = running(holder(msgspec.structs.replace(post, cluster=there), lease=2.0))
    if how == "cut":
        relay.cut()
    else:
        relay.hangs = True
    time_until(lambda: not hurt(target), within=10)
    assert held.says().startswith("failed")
    if how == "cut":
        with pytest.raises(OperationFailed):
            held.gone()
    held.post = post
    assert held.gone().ok
    assert none_left(cluster, held)


def blocked(target, peer):
    """Say whether the target reaches a peer."""
    argv = ["kubectl", "-n", target.metadata.namespace, "exec", target.metadata.name, "--"]
    done = subprocess.run([*argv, "ping", "-c1", "-W1", peer], capture_output=True)
    return done.returncode != 0


def test_the_network_of_a_pod_is_cut_and_heals(holder, post, target, cluster, space):
    from runner.operations.record import CheckTable, Cut, Match

    with pods(cluster, within=space) as (peer,):
        assert not blocked(target, peer.status.pod_ip)
        table = "squall_test"
        held = running(
            holder(
                msgspec.structs.replace(post, shape="network"),
                do=(Cut(table=table, how="drop", match=Match(direction="both")),),
                undo=(TableGone(table=table),),
                confirm=(CheckTable(table=table),),
            )
        )
        assert blocked(target, peer.status.pod_ip)
        time_until(lambda: held.check().ok)
        held.kill()
        time_until(lambda: not blocked(target, peer.status.pod_ip), within=5)
        assert held.gone().ok
        assert none_left(cluster, held)


def test_a_helper_pod_has_no_token_and_the_least_it_needs(post):
    from runner.helper.pods import pod_of

    for shape in ("look", "network", "cgroup", "process", "disk"):
        pod = pod_of(msgspec.structs.replace(post, shape=shape), "x", {})
        text = json.dumps(pod)
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "privileged" not in text
        assert pod["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert pod["spec"]["nodeName"] == post.node
