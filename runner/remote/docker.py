"""A Docker engine by its REST API."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Any

from runner.errors import OperationFailed
from runner.places import Engine
from runner.remote.calling import TIMEOUT, ApiError, UnixConnection, Way, address, call, parsed, upgrade
from runner.remote.stream import EngineStream

__all__ = ["ApiError", "EngineClient"]


class EngineClient:
    """Calls to one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._way = _Way(engine)

    def ping(self) -> None:
        """Say nothing where the engine answers. Raises OperationFailed."""
        call(self._way, "GET", "/_ping")

    def get(self, path: str, **query: object) -> Any:
        """Read. Raises ApiError."""
        return parsed(call(self._way, "GET", path, query=query), "an engine")

    def post(self, path: str, body: Any = None, *, timeout: float = TIMEOUT, **query: object) -> Any:
        """Change. Raises ApiError."""
        return _read(call(self._way, "POST", path, body=body, query=query, timeout=timeout))

    def delete(self, path: str, **query: object) -> Any:
        """Remove. Raises ApiError."""
        return _read(call(self._way, "DELETE", path, query=query))

    def attach(self, container: str) -> EngineStream:
        """Attach to input and output of a container, from now on."""
        connection, rest = upgrade(
            self._way,
            "POST",
            f"/containers/{container}/attach",
            query={"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        )
        return EngineStream(connection, rest)

    def logs(self, container: str, tail: int = 50) -> list[str]:
        """Read the last lines of a container's standard output."""
        said = call(self._way, "GET", f"/containers/{container}/logs", query={"stdout": 1, "tail": tail})
        return [line.decode(errors="replace") for line in _demultiplexed(said).splitlines()]


class _Way(Way):
    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._url = address(engine.url)
        self._folder = Path(engine.certificates) if engine.certificates else None
        if self._url.scheme not in ("unix", "tcp", "http", "https"):
            raise OperationFailed(f"{engine.url} is no address of an engine; use unix:// or tcp://")

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._url.scheme == "unix":
            return UnixConnection(self._url.path, timeout)
        host, port = self._url.hostname or "localhost", self._url.port
        if self._folder is None and self._url.scheme != "https":
            return http.client.HTTPConnection(host, port or 2375, timeout=timeout)
        return http.client.HTTPSConnection(host, port or 2376, timeout=timeout, context=self._tls())

    def headers(self) -> tuple[tuple[str, str], ...]:
        return ()

    def _tls(self) -> ssl.SSLContext:
        try:
            if self._folder is None:
                return ssl.create_default_context()
            context = ssl.create_default_context(cafile=str(self._folder / "ca.pem"))
            context.load_cert_chain(self._folder / "cert.pem", self._folder / "key.pem")
        except OSError as error:
            raise OperationFailed(
                f"certificates of the engine in {self._folder}: {error}",
                "correct the folder, or let its files be read",
            ) from error
        return context


def _read(said: bytes) -> Any:
    return parsed(said, "an engine") if said.strip() else None


def _demultiplexed(said: bytes) -> bytes:
    out = b""
    while len(said) >= 8:
        size = int.from_bytes(said[4:8], "big")
        out += said[8 : 8 + size]
        said = said[8 + size :]
    return out
