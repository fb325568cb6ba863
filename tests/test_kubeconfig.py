"""A cluster that cannot be reached: each error has the place, the cause and the remedy that fits it."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from runner.errors import Refused
from runner.language import read_environment
from runner.places import Cluster
from runner.remote import kubeconfig
from runner.remote.kubeconfig import namespace_of
from runner.targets.elsewhere import resolve

STUCK = "start it, or correct where it is"


def config(**parts):
    return {
        "current-context": "local",
        "contexts": [{"name": "local", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    } | parts


def server(url: str, **more):
    return config(clusters=[{"name": "c", "cluster": {"server": url, **more}}])


def plugin(spec):
    return config(users=[{"name": "u", "user": {"exec": spec}}])


@pytest.fixture
def refusal(tmp_path: Path):
    """What is said of a target in the cluster of a kubeconfig."""

    def refusal(content: object, more: str = "") -> str:
        (tmp_path / "config").write_text(yaml.safe_dump(content))
        (tmp_path / "here.yaml").write_text(
            f"targets:\n  pods: {{kubernetes: {{kubeconfig: config, namespace: n, selector: a=b{more}}}}}\n"
        )
        environment = read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml")
        with pytest.raises(Refused) as caught:
            resolve(environment, "pods")
        said = str(caught.value)
        assert re.search(r"here.yaml:2: targets.pods: the cluster of ", said)
        return said

    return refusal


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (config(users=7), "users is no list of entries; correct the kubeconfig"),
        (config(users=[7]), "an entry of users has no name; correct the kubeconfig"),
        (config(users=[{"name": "u", "user": 7}]), "'u' of users has no keys; correct the kubeconfig"),
        (7, "config is no kubeconfig: it has no keys; correct the kubeconfig"),
        (plugin(7), "exec of its user has no keys; correct the kubeconfig"),
        (plugin({"args": []}), "exec of its user names no command; correct the kubeconfig"),
        (plugin({"command": "sh", "args": 7}), "exec.args of its user is no list; correct the kubeconfig"),
        (plugin({"command": "sh", "env": 7}), "exec.env of its user is no list of name and value; correct"),
        (plugin({"command": "sh", "env": [{"name": "A"}]}), "exec.env of its user is no list of name and"),
        (
            config(contexts=[{"name": "local", "context": {"cluster": ["c"]}}]),
            "names the cluster .*, which is not in it; correct the kubeconfig",
        ),
        (server(""), "cluster 'c' has no server; correct the kubeconfig"),
        (server("ftp://foo"), "the server of cluster 'c' is ftp://foo; write https://HOST:PORT there"),
        (
            plugin({"command": "sh", "args": ["-c", "exit 1"]}),
            "the exec plugin sh exited with 1 and said nothing; run it by hand",
        ),
        (plugin({"command": "/no/such"}), "the exec plugin /no/such gave no credential: .*; run it by hand"),
    ],
)
def test_a_kubeconfig_that_is_wrong_says_what_and_how_to_mend_it(content, says, refusal):
    said = refusal(content)
    assert re.search(says, said), said
    assert STUCK not in said
    assert "object" not in said  # which are the words of Python


def test_a_context_that_is_not_there_is_refused_with_those_that_are(refusal):
    said = refusal(config(), ", context: nope")
    assert said.endswith("it has no context 'nope'; it has local; name one that it has")


def test_a_cluster_that_nobody_answers_for_is_to_be_started(refusal):
    assert refusal(config()).endswith(STUCK)


@pytest.mark.parametrize(
    ("more", "means"),
    [
        ("", "shop"),
        (", context: other", "default"),
        (", namespace: mine", "mine"),
        (", context: no", "default"),
    ],
)
def test_a_target_without_a_namespace_is_in_that_of_its_context(tmp_path, more, means):
    contexts = [
        {"name": "local", "context": {"cluster": "c", "namespace": "shop"}},
        {"name": "other", "context": {"cluster": "c"}},
    ]
    (tmp_path / "config").write_text(yaml.safe_dump(config(contexts=contexts)))
    (tmp_path / "here.yaml").write_text(
        f"targets:\n  pods: {{kubernetes: {{kubeconfig: config, selector: a=b{more}}}}}\n"
        f"  nodes: {{kubernetes: {{kubeconfig: config, nodes: '*'}}}}\n"
    )
    targets = read_environment(str(tmp_path / "here.yaml"), tmp_path / "x.yaml").targets
    assert [targets[name].kubernetes.namespace for name in ("pods", "nodes")] == [means, ""]


def test_a_pods_own_namespace_is_meant_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(kubeconfig, "ACCOUNT", tmp_path)
    (tmp_path / "namespace").write_text("mine\n")
    assert namespace_of(Cluster(kubeconfig="in-cluster")) == "mine"


def test_a_certificate_that_is_not_trusted_leads_to_the_authority(tmp_path, refusal):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve():
            with pytest.raises(OSError), listener.accept()[0] as peer:
                context.wrap_socket(peer, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        said = refusal(server(f"https://localhost:{listener.getsockname()[1]}"))
        thread.join()
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert "; correct certificate-authority of the kubeconfig, or the address" in said
    assert STUCK not in said
