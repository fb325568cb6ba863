"""Calls to an engine or a cluster: a connection serves as long as the other side keeps it, and never a call that is lost."""

import contextlib
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from runner.errors import OperationFailed
from runner.places import Cluster, Engine
from runner.remote import calling
from runner.remote.docker import ApiError, EngineClient
from runner.remote.kubernetes import ClusterClient
from runner.remote.tokens import FileToken, FixedToken
from tests.runs import SQUALL


class Server(ThreadingHTTPServer):
    """Answers every path with that path, or *says*; *ends*: how it parts with a connection after an answer."""

    daemon_threads = True

    def __init__(self, ends="", says=""):
        self.ends, self.says, self.connections, self.closed = ends, says, 0, threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.closed.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (self.server.says or f'"{self.path}"').encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.server.ends == "told":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = bool(self.server.ends)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(ends="", says=""):
    with Server(ends, says) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server, EngineClient(Engine(url=f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()


def test_calls_one_after_the_other_share_a_connection_even_over_a_refusal():
    with serving() as (server, client):
        assert client.get("/one") == "/one"
        with pytest.raises(ApiError, match="404"):
            client.get("/missing")
        assert client.get("/two") == "/two"
        assert server.connections == 1


@pytest.mark.parametrize("ends", ["told", "silently"])
def test_a_connection_that_the_other_side_has_ended_is_used_no_more(ends):
    with serving(ends) as (server, client):
        assert client.get("/one") == "/one"
        assert server.closed.wait(5)
        assert client.get("/two") == "/two"
        assert server.connections == 2


def test_a_connection_that_lay_idle_for_long_is_used_no_more(monkeypatch):
    monkeypatch.setattr(calling, "IDLE", 0.0)
    with serving() as (server, client):
        assert [client.get(path) for path in ("/one", "/two")] == ["/one", "/two"]
        assert server.connections == 2


def test_a_connection_that_ends_while_a_program_says_who_we_are_is_not_the_one_that_is_used(monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 0.1)  # that the server waits for the next call
    with serving() as (server, client):
        assert client.get("/one") == "/one"
        client._way.headers = lambda: (
            ("X-Waited", str(server.closed.wait(5))),
        )  # as long as an exec plugin takes
        assert client.get("/two") == "/two"
        assert server.connections == 2


def test_threads_that_share_a_client_get_their_own_answers():
    with serving() as (server, client), ThreadPoolExecutor(8) as pool:
        paths = [f"/{number}" for number in range(200)]
        assert list(pool.map(client.get, paths)) == paths
        assert server.connections <= 8


def kubeconfig(path, *, server="http://127.0.0.1:9", token="s3cret", user="me"):
    config = {
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{**({"name": user} if user else {}), "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
    }
    path.write_text(yaml.safe_dump(config))
    return Cluster(kubeconfig=str(path))


def test_white_space_around_a_token_is_no_part_of_it(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    assert (
        FixedToken("s3cret\n").header() == FileToken(tmp_path / "token", tmp_path).header() == "Bearer s3cret"
    )


@pytest.mark.parametrize("token", ["s3\ncret", "s3\rcret", "s3\x00cret", "s3crét", "s3\u2026cret"])
def test_a_token_that_no_header_can_hold_is_refused_and_never_shown(token, tmp_path):
    (tmp_path / "token").write_text(token)
    for make in (lambda: FixedToken(token), FileToken(tmp_path / "token", tmp_path).header):
        with pytest.raises(OperationFailed, match=r"the token .* holds a line break or") as caught:
            make()
        assert "s3" not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_refused_and_never_shown():
    with serving() as (_, client):
        client._way.headers = lambda: (("Authorization", "s3\ncret"),)
        with pytest.raises(ApiError, match="a header of it is malformed") as caught:
            client.get("/one")
    assert "cret" not in str(caught.value)
    assert caught.value.status == 0


@pytest.mark.parametrize("port", ["99999", "x"])
def test_an_address_whose_port_is_none_is_a_sentence(port, tmp_path):
    there = kubeconfig(tmp_path / "config", server=f"http://h:{port}")
    for make in (lambda: EngineClient(Engine(url=f"tcp://h:{port}")), lambda: ClusterClient(there)):
        with pytest.raises(OperationFailed, match=f"//h:{port} is no address: Port"):
            make()


def test_an_entry_of_a_kubeconfig_without_a_name_is_a_sentence(tmp_path):
    with pytest.raises(OperationFailed, match="config: an entry of users has no name"):
        ClusterClient(kubeconfig(tmp_path / "config", user=""))


@pytest.mark.parametrize("says", ["<html>Log in</html>", " "])
def test_an_answer_that_is_no_json_is_a_sentence(says, tmp_path):
    with serving(says=says) as (server, engine):
        cluster = ClusterClient(
            kubeconfig(tmp_path / "config", server=f"http://127.0.0.1:{server.server_port}")
        )
        for client in (engine, cluster):
            with pytest.raises(ApiError, match="not the API of a"):
                client.get("/version")


POD = "kubernetes: {context: here, namespace: x, selector: app=web}"
CONTAINER = "docker: {name: web}"


@pytest.mark.parametrize(
    ("target", "host", "config", "words"),
    [
        (POD, "", {"token": "s3cret\n"}, "Connection refused"),
        (POD, "", {"token": "s3\ncret"}, "holds a line break"),
        (POD, "", {"server": "http://h:99999"}, "Port out of range"),
        (POD, "", {"user": ""}, "an entry of users has no name"),
        (POD, "", {"server": "http://127.0.0.1:{port}"}, "not the API of a cluster"),
        (CONTAINER, "tcp://h:99999", {}, "Port out of range"),
        (CONTAINER, "tcp://127.0.0.1:{port}", {}, "not the API of an engine"),
    ],
)
def test_a_plan_against_what_is_set_up_wrong_ends_as_one_sentence(tmp_path, target, host, config, words):
    (tmp_path / "x.yaml").write_text(
        "before: 1s\nafter: 1s\nfaults:\n  f: {kind: kill, target: web, at: 0s}\n"
    )
    (tmp_path / "here.yaml").write_text(f"targets: {{web: {{{target}}}}}\n")
    with serving(says="<html>Log in</html>") as (server, _):
        config = {key: value.replace("{port}", str(server.server_port)) for key, value in config.items()}
        kubeconfig(tmp_path / "config", **config)
        set_up = {
            "KUBECONFIG": str(tmp_path / "config"),
            "DOCKER_HOST": host.replace("{port}", str(server.server_port)),
        }
        done = subprocess.run(
            [*SQUALL, "plan", "x.yaml", "--env", "here.yaml"],
            cwd=tmp_path,
            env=os.environ | set_up,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cret" not in done.stdout + done.stderr
