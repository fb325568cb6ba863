"""A server that answers as an engine or a cluster documents it: to each path what a test says; the rest is not found."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Answering(ThreadingHTTPServer):
    """*answers*: path -> JSON, or a status that refuses; *asked*: (verb and path, headers) of each call."""

    daemon_threads = True

    def __init__(self, answers, tls=None):
        self.answers, self.asked, self.tls = answers, [], tls
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def get_request(self):
        plain, peer = super().get_request()
        return (self.tls.wrap_socket(plain, server_side=True) if self.tls else plain), peer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urlsplit(self.path).path
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((f"{self.command} {path}", self.headers))
        said = self.server.answers.get(path, 404)
        status, said = (said, {"message": f"{path} is refused"}) if isinstance(said, int) else (200, said)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - named by http.server

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(answers, tls=None):
    """Answer while it lasts; with *tls*, a context, as HTTPS."""
    with Answering(answers, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
