"""`squall rollback --env`: what a lost machine left in a cluster or on an engine is undone from any other."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from runner import cgroups
from runner.errors import OperationFailed, Place
from runner.helper.posting import ground
from runner.helper.protocol import Report
from runner.operations.record import AfarGone
from runner.places import Cluster, Post
from runner.running import leftovers as running_leftovers
from runner.running.leftovers import leftovers
from runner.scenario import Environment, Helper, Pods, TargetSpec
from tests.afar_parts import RUN, Holder, time_until
from tests.cluster_parts import namespace, pods, until

PLACE = Place(file="x.yaml", line=1)


@pytest.fixture(scope="module")
def grounds(cluster, image):
    """A namespace for helpers, a pod to be hurt, and the environment that names both."""
    where = Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context)
    with namespace(cluster) as helpers, pods(cluster) as [pod]:
        spec = TargetSpec(
            name="shop",
            place=PLACE,
            kubernetes=Pods(cluster=where, namespace=pod.metadata.namespace, selector="app=shop"),
        )
        environment = Environment(
            name="there",
            path="there.yaml",
            targets={"shop": spec},
            helper=Helper(image=image, namespace=helpers),
        )
        post = Post(
            cluster=where,
            image=image,
            shape="cgroup",
            container=pod.status.container_statuses[0].container_id.partition("://")[2],
            namespace=helpers,
            node=pod.spec.node_name,
        )
        yield environment, post


@pytest.fixture
def held(grounds):
    """A fault on the pod, and the process that holds it."""
    _, post = grounds
    with contextlib.closing(Holder(post)) as holder:
        assert holder.says().startswith("done")
        yield holder
        holder.kill()
        holder.gone()


def limit(post):
    return cgroups.content(cgroups.of_container(post.container)["pids"] / "pids.max")


def mine(environment):
    return [each for each in leftovers(environment) if each.run == RUN]


def test_what_a_lost_machine_left_is_undone_and_its_record_taken_away(grounds, held):
    environment, post = grounds
    assert limit(post) == "77"
    held.kill()
    time_until(lambda: limit(post) == "max")  # by its helpers: nobody is left to tell them
    [left] = until(lambda: [each for each in mine(environment) if not each.lives])  # who undid it has to end
    assert "undid it" in left.mend()
    assert mine(environment) == []


@pytest.mark.parametrize(
    ("standing", "states", "lives"),
    [
        ("running", [], True),  # it is about to get its orders
        ("running", ["ready"], True),  # it does it
        ("running", ["done", "seen"], True),
        ("running", ["ready", "failed"], False),
        ("running", ["seen", "clean"], False),
        ("ended", ["seen"], False),
        ("gone", [], False),
    ],
)
def test_a_hand_helper_lives_until_it_begins_to_undo(monkeypatch, standing, states, lives):
    place = SimpleNamespace(
        standing=lambda _name: standing, reports=lambda _name: [Report(state=each) for each in states]
    )
    monkeypatch.setattr(running_leftovers, "ground", lambda _post: place)
    assert running_leftovers._lives(SimpleNamespace(post=None), "hand") is lives


def test_what_a_living_run_holds_is_left_alone(grounds, held):
    environment, post = grounds
    [left] = mine(environment)
    assert left.lives
    assert limit(post) == "77"


def test_a_helper_is_never_made_of_the_image_that_a_record_names(grounds, held):
    environment, _ = grounds
    bare = Helper(namespace=environment.helper.namespace)
    [left] = mine(msgspec.structs.replace(environment, helper=bare))
    with pytest.raises(OperationFailed, match="needs an image"):
        ground(left.operation.post).post("squall-evil", {})


CALL = {"op": "kube-call", "cluster": {"kubeconfig": "in-cluster"}, "name": "web", "namespace": "shop"}
SCALE = {**CALL, "verb": "scale", "kind": "deployment", "value": "3"}
NODE = {**CALL, "kind": "node", "namespace": ""}


@pytest.mark.parametrize(
    ("undo", "post"),
    [
        ({"op": "run", "argv": ["rm", "-rf", "/"]}, {}),
        ({"op": "write-file", "path": "/etc/passwd", "value": "x"}, {}),
        ({"op": "write-file", "path": "cgroup:/../../x", "value": "x"}, {}),
        ({"op": "write-file", "path": "cgroup:/cgroup.kill", "value": "1"}, {}),
        ({"op": "write-file", "path": "cgroup:/cgroup.freeze", "value": "1"}, {}),
        ({"op": "signal-target", "signal": "KILL"}, {}),
        ({"op": "fill-gone", "folder": "/etc", "name": "passwd"}, {}),
        ({"op": "fill-gone", "folder": "/etc", "name": "squall-fill-0123456789ab\n"}, {}),
        ({"op": "table-gone", "table": "squall_cut; flush ruleset"}, {}),
        ({"op": "table-gone", "table": "filter"}, {}),
        ({**SCALE, "kind": "node"}, {}),
        ({**SCALE, "name": "../../../kube-system/deployments/coredns"}, {}),
        ({**SCALE, "namespace": "shop/pods"}, {}),
        ({**SCALE, "cluster": {"kubeconfig": "/tmp/evil"}}, {}),
        ({**NODE, "verb": "cordon", "value": "true"}, {}),
        ({**NODE, "verb": "taint", "value": '{"key": "x", "effect": "NoExecute"}'}, {}),
        ({**CALL, "verb": "delete-pod", "kind": "pod"}, {}),
        ({"op": "netem-gone"}, {"container": "a"}),
        ({"op": "netem-gone"}, {"pod": "/"}),
        ({"op": "netem-gone"}, {"node": "../x"}),
    ],
)
def test_a_record_that_asks_for_anything_but_an_undo_of_ours_is_refused(grounds, cluster, undo, post):
    environment, _ = grounds
    space = environment.helper.namespace
    body = {
        "post": {"image": "evil", "cluster": {}, "namespace": space, **post},
        "undo": [undo],
        "op": "afar-gone",
    }
    with recorded(cluster, environment, body) as left:
        assert left.operation is None
        assert "somebody wrote it in" in left.problem


def test_a_record_cannot_end_what_a_living_run_holds(grounds, cluster, held):
    environment, post = grounds
    undo = AfarGone(run=RUN, act=held.act, post=post, undo=held.undo)
    with recorded(cluster, environment, msgspec.to_builtins(undo)) as left:
        assert left.operation is None
        assert "another record" in left.problem


@contextlib.contextmanager
def recorded(cluster, environment, body):
    """What is made of a record that somebody else wrote."""
    space = environment.helper.namespace
    record = {
        "metadata": {"name": "squall-evil", "labels": {"squall.role": "record", "squall.run": "evil"}},
        "data": {"undo": json.dumps(body)},
    }
    cluster.core.create_namespaced_config_map(space, record)
    try:
        [left] = [each for each in leftovers(environment) if each.run == "evil"]
        yield left
    finally:
        cluster.core.delete_namespaced_config_map("squall-evil", space)


def test_the_verb_asks_before_it_obeys_a_record(grounds, held, tmp_path):
    environment, post = grounds
    held.kill()
    time_until(lambda: limit(post) == "max")
    until(lambda: [each for each in mine(environment) if not each.lives])
    file = tmp_path / "there.yaml"
    context, path = post.cluster.context, post.cluster.kubeconfig
    file.write_text(
        f"targets: {{shop: {{kubernetes: {{context: {context}, kubeconfig: {path}, namespace: x, selector: app=shop}}}}}}\n"
        f"helper: {{image: '{post.image}', namespace: {post.namespace}}}\n"
    )

    def rollback(*arguments, says="n\n"):
        squall = Path(sys.executable).with_name("squall")
        return subprocess.run(
            [squall, "rollback", "--env", file, *arguments], input=says, capture_output=True, text=True
        )

    for says in ("n\n", ""):
        kept = rollback(says=says)
        assert (kept.returncode, "is left as it is" in kept.stdout) == (5, True)
        assert ("--yes" in kept.stdout) == (not says)
    done = rollback("--yes")
    assert (done.returncode, "is clean" in done.stdout) == (0, True)
    assert "nothing is left" in rollback().stdout
