"""Calls to an engine or a cluster: a connection serves as long as the other side keeps it, and never a call that is lost."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner.places import Engine
from runner.remote import calling
from runner.remote.docker import ApiError, EngineClient


class Server(ThreadingHTTPServer):
    """Answers every path with that path; *ends*: how it parts with a connection after an answer."""

    daemon_threads = True

    def __init__(self, ends=""):
        self.ends, self.connections, self.closed = ends, 0, threading.Event()
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
        body = f'"{self.path}"'.encode()
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
def serving(ends=""):
    with Server(ends) as server:
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


def test_threads_that_share_a_client_get_their_own_answers():
    with serving() as (server, client), ThreadPoolExecutor(8) as pool:
        paths = [f"/{number}" for number in range(200)]
        assert list(pool.map(client.get, paths)) == paths
        assert server.connections <= 8
