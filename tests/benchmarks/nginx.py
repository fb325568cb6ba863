"""A small nginx of the benchmark's own, pinned to one core."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  log_format answered '$msec'; access_log {log}; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""


class Nginx:
    """One process that answers `ok`, can be stalled, and is gone at the end."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process, self.url, self._port = process, f"http://127.0.0.1:{port}", port

    def stall(self, seconds: float) -> float:
        """Stop it for about that long; return how long it was."""
        begun = time.monotonic()
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self._process.pid, signal.SIGCONT)
        return time.monotonic() - begun

    def await_ready(self) -> None:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 0.1):
                return
            time.sleep(0.05)
        raise SystemExit("nginx did not start")


@contextlib.contextmanager
def nginx(core: int, *, answers: Path | None = None) -> Iterator[Nginx]:
    """Run nginx on *core*; into *answers* it writes the wall time of every answer, a line each."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(folder) / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, port=port, log=f"{answers} answered" if answers else "off")
        )
        process = subprocess.Popen(["taskset", "-c", str(core), binary, "-p", folder, "-c", str(config)])
        try:
            server = Nginx(process, port)
            server.await_ready()
            yield server
        finally:
            process.kill()
            process.wait()
