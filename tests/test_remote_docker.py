"""A Docker engine by its REST API: calls about one life of one container, streams both ways."""

import contextlib
import os
import select
import socket
import ssl
import subprocess
import threading
import time

import pytest

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import CheckContainer, DockerCall
from runner.places import Engine
from runner.remote.docker import ApiError, EngineClient

ENGINE = Engine(url=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")


@pytest.fixture
def client(engine):
    return EngineClient(ENGINE)


@pytest.fixture
def container(client):
    """Start containers; remove them after."""
    made = []

    def start(*command, **options):
        made.append(
            client.post(
                "/containers/create",
                {
                    "Image": "busybox:local",
                    "Cmd": command or ("sleep", "600"),
                    "StopSignal": "KILL",
                    "Labels": {"squall.test": str(os.getpid())},
                    **options,
                },
            )["Id"]
        )
        return made[-1]

    yield start
    for each in made:
        subprocess.run(["docker", "rm", "-f", each], capture_output=True)


@pytest.fixture
def running(client, container):
    made = container()
    client.post(f"/containers/{made}/start")
    return made


def call(container, verb, **knobs):
    return perform(DockerCall(engine=ENGINE, container=container, verb=verb, **knobs), Context())


def check(container, expect, **knobs):
    return perform(CheckContainer(engine=ENGINE, container=container, expect=expect, **knobs), Context()).ok


def started(client, container):
    return client.get(f"/containers/{container}/json")["State"]["StartedAt"]


def test_an_engine_that_is_not_there_is_a_sentence():
    with pytest.raises(OperationFailed, match="/_ping"):
        EngineClient(Engine(url="unix:///nowhere.sock")).ping()


@pytest.fixture
def certificates(tmp_path):
    """A folder of ca.pem, cert.pem and key.pem, good for a server on 127.0.0.1 and for its client."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=squall-test",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (tmp_path / "ca.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    return tmp_path


@pytest.fixture
def secured(certificates):
    """The engine behind TLS that wants a client's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=relay, args=(listener, context), daemon=True)
        thread.start()
        yield Engine(url=f"tcp://127.0.0.1:{listener.getsockname()[1]}", certificates=str(certificates))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def relay(listener, context):
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as near:
            pump(near)


def pump(near):
    with socket.socket(socket.AF_UNIX) as far:
        far.connect(ENGINE.url.removeprefix("unix://"))
        near.settimeout(5)
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [], 5)[0]
            chunks = [(far if each is near else near, each.recv(65536)) for each in ready]
            if not chunks or not all(data for _, data in chunks):
                return
            for sink, data in chunks:
                sink.sendall(data)


def test_an_engine_behind_tls_is_spoken_to_and_attached_to(client, container, secured):
    made = container("sh", "-c", "read a; echo heard $a", OpenStdin=True, StdinOnce=True)
    far = EngineClient(secured)
    far.ping()
    client.post(f"/containers/{made}/start")
    stream = far.attach(made)
    stream.send(b"hello\n")
    lines = []
    while not lines:
        assert select.select([stream], [], [], 5)[0]
        lines += stream.lines()
    assert lines == [b"heard hello"]
    stream.close()


def test_an_engine_behind_tls_that_nobody_vouches_for_is_refused(client, secured, certificates):
    other = certificates / "other"
    other.mkdir()
    for name in ("cert.pem", "key.pem"):
        (other / name).write_bytes((certificates / name).read_bytes())
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null", "-out", other / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(OperationFailed, match="certificate"):
        EngineClient(Engine(url=secured.url, certificates=str(other))).ping()


def test_a_refusal_carries_its_status_and_what_the_engine_said(client):
    with pytest.raises(ApiError, match="No such container") as caught:
        client.get("/containers/no-such-one/json")
    assert caught.value.status == 404


def test_a_stream_brings_output_apart_from_complaints_and_takes_input(client, container):
    made = container(
        "sh", "-c", "read a; echo heard $a; echo bad >&2; cat >/dev/null; echo end of input",
        OpenStdin=True, StdinOnce=True,
    )  # fmt: skip
    stream = client.attach(made)
    client.post(f"/containers/{made}/start")
    stream.send(b"hello\n")
    lines = []
    while not lines or not stream.trouble:
        assert select.select([stream], [], [], 5)[0]
        lines += stream.lines()
    assert lines == [b"heard hello"]
    assert stream.trouble == b"bad\n"
    stream.close()
    until = time.monotonic() + 5
    while "end of input" not in (said := client.logs(made)) and time.monotonic() < until:
        select.select([], [], [], 0.02)
    assert said == ["heard hello", "end of input"]


def test_kill_ends_the_life_that_was_meant_and_start_brings_another(client, running):
    life = started(client, running)
    assert check(running, "running", started=life)
    assert call(running, "kill", started=life).ok
    assert check(running, "ended", started=life)
    assert call(running, "kill", started=life).ok
    assert call(running, "start").ok
    assert call(running, "start").ok
    assert check(running, "running")
    assert check(running, "ended", started=life)


@pytest.mark.parametrize("verb", ["kill", "stop", "pause"])
def test_a_later_life_is_left_alone(client, running, verb):
    reading = call(running, verb, started="2020-01-01T00:00:00Z")
    assert reading.ok is False
    assert "another life" in reading.evidence
    assert check(running, "running")


def test_pause_and_unpause_are_safe_to_repeat(running):
    assert call(running, "unpause").ok
    for _ in range(2):
        assert call(running, "pause").ok
        assert check(running, "paused")
    for _ in range(2):
        assert call(running, "unpause").ok
        assert check(running, "running")


def test_a_restart_is_made_once_in_a_life(client, running):
    life = started(client, running)
    assert call(running, "restart", started=life).ok
    after = started(client, running)
    assert after != life
    assert call(running, "restart", started=life).ok
    assert started(client, running) == after


def test_what_is_removed_is_gone(running):
    assert call(running, "remove").ok
    assert call(running, "remove").ok
    assert check(running, "gone")
    assert call(running, "start").ok is False
    assert call(running, "unpause", gone_is_fine=True).ok
