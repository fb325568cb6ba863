"""A cluster that cannot be reached: each error has the place, the cause and the remedy that fits it."""

from __future__ import annotations

import base64
import os
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
from runner.planning.clearance import _cluster
from runner.remote import kubeconfig
from runner.remote.kubeconfig import namespace_of
from runner.remote.kubernetes import ApiError, ClusterClient
from runner.targets.elsewhere import resolve
from tests.answering import answering
from tests.runs import SQUALL

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


def server_of(address, content):
    return content | {"clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}]}


def user(**who):
    return config(users=[{"name": "u", "user": {key.replace("_", "-"): value for key, value in who.items()}}])


def plugin(spec):
    return user(exec=spec)


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
        (config(users=[]), "context 'local' names the user 'u', who is not in it; correct the kubeconfig"),
        (server(""), "cluster 'c' has no server; correct the kubeconfig"),
        (server("ftp://foo"), "the server of cluster 'c' is ftp://foo; write https://HOST:PORT there"),
        (
            plugin({"command": "sh", "args": ["-c", "exit 1"]}),
            "the exec plugin sh exited with 1 and said nothing; run it by hand",
        ),
        (user(as_uid="7"), "its user has as-uid and no `as`: nobody is impersonated; correct the kubeconfig"),
        (
            user(**{"as": "bob", "as_groups": "ops"}),
            "as-groups of its user is no list; correct the kubeconfig",
        ),
        (user(**{"as": "bob", "as_user_extra": 7}), "as-user-extra of its user has no keys; correct"),
        (user(**{"as": "b\nob"}), r"'b\\nob', whom its user impersonates, is no text of one line; correct"),
        (
            user(token="t", auth_provider={"name": "gcp"}),
            "auth-provider is gone from kubectl too; use an exec",
        ),
        (
            server("http://127.0.0.1:1", **{"proxy-url": "http://proxy:3128"}),
            "'c' is reached by its proxy-url, and Squall speaks to no proxy; forward a port to it",
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


@pytest.fixture
def client(tmp_path: Path):
    """A client as a kubeconfig says."""

    def client(content: object):
        (tmp_path / "config").write_text(yaml.safe_dump(content))
        return ClusterClient(Cluster(kubeconfig=str(tmp_path / "config")))

    return client


BOB = {
    "token": "t",
    "as": "bøb",
    "as_uid": "7",
    "as_groups": ["ops", "dev"],
    "as_user_extra": {"example.com/scopes %": ["a", "b"]},
}
SAID = {
    "Authorization": ["Bearer t"],
    "Impersonate-User": ["bøb".encode().decode("latin-1")],
    "Impersonate-Uid": ["7"],
    "Impersonate-Group": ["ops", "dev"],
    "Impersonate-Extra-example.com%2Fscopes%20%25": ["a", "b"],
}


PLUGIN = """#!/bin/sh
echo "$1" >> {canary}
echo '{{"status": {{"token": "t"}}}}'
"""
POD = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "p",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "spec": {"containers": [{"name": "web"}]},
    "status": {"phase": "Running", "containerStatuses": [{"name": "web", "state": {"running": {}}}]},
}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def planned(tmp_path: Path):
    """What `squall plan` says that asks a cluster by a program, a canary; what the canary heard; its path."""
    (tmp_path / "x.yaml").write_text(
        "before: 1s\nafter: 1s\nfaults: {f: {kind: kill, target: web, at: 0s, restart: never}}\n"
    )
    plugin, canary, there = (tmp_path / name for name in ("login", "canary", "cluster.yaml"))
    plugin.write_text(PLUGIN.format(canary=canary))
    plugin.chmod(0o700)

    def planned(*words: str, named: str = "", own: Path = tmp_path / "nowhere", **who: object):
        (tmp_path / "here.yaml").write_text(
            f"targets:\n  web: {{kubernetes: {{{named}selector: app=web}}}}\n"
        )
        pods = {"/api/v1/namespaces/default/pods": {"items": [POD]}}
        with answering({"/version": {}, REVIEWS: {"status": {"allowed": True}}, **pods}) as server:
            who = who or {"exec": {"command": "./login", "args": ["s3cret"]}}
            content = server_of(server.address, user(**who))
            there.write_text(yaml.safe_dump(content))
            done = subprocess.run(
                [*SQUALL, "plan", "x.yaml", "--env", "here.yaml", *words],
                cwd=tmp_path,
                env=os.environ | {"KUBECONFIG": str(own), "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=60,
            )
        return done, canary.read_text().split() if canary.exists() else [], plugin

    return planned


def test_a_plan_runs_no_program_of_a_kubeconfig_that_the_environment_brought_unless_it_may(planned, tmp_path):
    done, heard, plugin = planned(named="kubeconfig: cluster.yaml, ")
    assert (done.returncode, heard) == (2, [])
    [line] = done.stderr.splitlines()
    assert re.search(
        rf"here.yaml:2: targets.web.kubernetes.kubeconfig: .*/cluster.yaml logs in by the program {plugin},"
        " which plan does not run unasked; write --allow-plugins",
        line,
    )
    done, heard, _ = planned("--allow-plugins", named="kubeconfig: cluster.yaml, ")
    assert (done.returncode, heard) == (0, ["s3cret"]), done.stderr


def test_a_plan_sends_no_file_from_elsewhere_to_a_server_that_the_environment_brought(planned, tmp_path):
    named, elsewhere = "kubeconfig: cluster.yaml, ", tmp_path.parent / f"{tmp_path.name}.token"
    elsewhere.write_text("mine")
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "brought").write_text("theirs")
    for file in (str(elsewhere), "link"):
        done, *_ = planned(named=named, tokenFile=file)
        assert done.returncode == 2
        assert f"logs in by what {elsewhere} holds, which plan does not send unasked" in done.stderr
        assert planned("--allow-plugins", named=named, tokenFile=file)[0].returncode == 0
    assert planned(named=named, tokenFile="brought")[0].returncode == 0
    beside = f"kubeconfig: '{tmp_path}/cluster.yaml:{elsewhere.parent}/other.yaml', "  # makes that folder none of ours
    assert planned(named=beside, tokenFile=str(elsewhere))[0].returncode == 2
    assert planned(own=tmp_path / "cluster.yaml", tokenFile=str(elsewhere))[0].returncode == 0


@pytest.mark.parametrize("named", ["", "kubeconfig: cluster.yaml, "])
def test_the_program_of_ones_own_kubeconfig_is_run_and_listed_without_its_arguments(planned, tmp_path, named):
    own = tmp_path / "cluster.yaml"
    done, heard, plugin = planned(named=named, own=own)
    assert (done.returncode, heard) == (0, ["s3cret"]), done.stderr
    assert f"  exec plugin of {own}: {plugin} (this plan ran it too)\n" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_a_kubeconfig_that_cannot_be_used_runs_nothing_and_is_said_to_be_wrong(planned, tmp_path):
    done, heard, _ = planned(named="kubeconfig: cluster.yaml, context: none, ")
    assert (done.returncode, heard) == (2, [])
    assert "it has no context 'none'" in done.stderr


def test_whom_a_kubeconfig_impersonates_is_who_makes_each_call_and_the_plan_says_so(client):
    with answering({"/version": {"gitVersion": "v1"}}) as server:
        there = client(server_of(server.address, user(**BOB)))
        for call in (there.get, there.post, there.put, there.patch, there.delete):
            with pytest.raises(ApiError, match="404"):
                call("/api/x")
        with pytest.raises(ApiError, match="404"):
            there.attach("shop", "web", "main")
        assert "as bøb, impersonated by user u of the kubeconfig" in _cluster(there.cluster)
        assert len(server.asked) == 9
        for what, headers in server.asked:
            assert {name: headers.get_all(name) for name in SAID} == SAID, what


def test_who_impersonates_nobody_says_nothing_of_it(client):
    with answering({"/x": {}}) as server:
        client(server_of(server.address, user(token="t"))).get("/x")
        [(_, headers)] = server.asked
    assert not [name for name in headers if name.startswith("Impersonate")]


def test_a_body_comes_with_its_length_and_a_write_without_one_with_none(client):
    with answering({"/x": {}}) as server:
        there = client(server_of(server.address, config()))
        for body in ({"a": "ø"}, None):
            there.post("/x", body)
        there.get("/x")
    assert [headers.get("Content-Length") for _, headers in server.asked] == ["15", "0", None]


@pytest.mark.parametrize(("name", "fits"), [("kubernetes", True), ("other", False), ("", False)])
def test_the_certificate_is_to_be_of_the_name_that_tls_server_name_says(tmp_path, client, name, fits):
    context, asked = certified(tmp_path, "kubernetes"), []
    context.sni_callback = lambda _, told, __: asked.append(told)
    with answering({"/version": {"gitVersion": "v1"}}, context) as server:
        where = {"server": f"https://{server.address}", "certificate-authority": "cert"}
        there = client(config(clusters=[{"name": "c", "cluster": {**where, "tls-server-name": name}}]))
        if fits:
            assert there.get("/version") == {"gitVersion": "v1"}
        else:
            with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
                there.get("/version")
    assert asked == [name or None]


@pytest.mark.parametrize(("as_data", "as_file"), [("", "ck"), ("ck", ""), ("c", "k"), ("k", "c")])
def test_a_clients_certificate_and_its_key_are_each_data_or_a_file(tmp_path, client, as_data, as_file):
    context = certified(tmp_path, "kubernetes")
    context.load_verify_locations(tmp_path / "cert")
    context.verify_mode = ssl.CERT_REQUIRED
    (tmp_path / "cert").write_bytes("of Søren\n".encode() + (tmp_path / "cert").read_bytes())
    parts = {"c": ("client-certificate", "cert"), "k": ("client-key", "key")}
    who = {parts[one][0]: parts[one][1] for one in as_file}
    for one in as_data:
        who[f"{parts[one][0]}-data"] = base64.b64encode((tmp_path / parts[one][1]).read_bytes()).decode()
    with answering({"/version": {"gitVersion": "v1"}}, context) as server:
        where = {"server": f"https://{server.address}", "insecure-skip-tls-verify": True}
        there = client(user(**who) | {"clusters": [{"name": "c", "cluster": where}]})
        assert there.get("/version") == {"gitVersion": "v1"}


def test_an_authority_may_come_with_remarks_as_data_too(tmp_path, client):
    context = certified(tmp_path, "kubernetes")
    authority = base64.b64encode("of Søren\n".encode() + (tmp_path / "cert").read_bytes()).decode()
    with answering({"/version": {"gitVersion": "v1"}}, context) as server:
        where = {"server": f"https://{server.address}", "tls-server-name": "kubernetes"}
        cluster = where | {"certificate-authority-data": authority}
        there = client(config(clusters=[{"name": "c", "cluster": cluster}]))
        assert there.get("/version") == {"gitVersion": "v1"}


@pytest.mark.parametrize(
    "context", [{"cluster": "c"}, {"cluster": "c", "user": None}, {"cluster": "c", "user": ""}]
)
def test_a_context_without_a_user_is_nobodys(client, context):
    with answering({"/version": {"gitVersion": "v1"}}) as server:
        nobody = config(contexts=[{"name": "local", "context": context}])
        assert client(server_of(server.address, nobody)).get("/version") == {"gitVersion": "v1"}


def certified(folder, name):
    """What a server has whose certificate is of *name*, and its own authority: the file `cert`."""
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
        " -keyout key -out cert"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


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
    context = certified(tmp_path, "localhost")
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
