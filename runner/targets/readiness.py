"""When managed processes count as started: they answer; a process that dies meanwhile ends the wait."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from runner.clock import now
from runner.errors import Refused
from runner.scenario import Ready, TargetSpec
from runner.targets.names import instance_names, where
from runner.targets.ports import split

_POLL = 0.03  # seconds between two looks
_PATIENCE = 1.0  # seconds for one answer
_SETTLE = 0.2  # seconds that a process without ready check and port has to live
_ELSEWHERE = 10.0  # seconds for what we did not start to answer
_TAIL = 5  # lines of its log


def wait_ready(
    spec: TargetSpec, addresses: Sequence[str], alive: Callable[[int], bool], *, logs: Path
) -> None:
    """Wait until each instance of a managed target is ready; *alive* tells whether instance i lives.

    Raises Refused, with the tail of its log, where one dies or is not ready within its time.
    """
    if spec.managed is None:
        return
    ready = spec.managed.ready
    began = now()
    waiting = dict(enumerate(instance_names(spec)))
    while waiting:
        for index, name in list(waiting.items()):
            if not alive(index):
                raise Refused(f"{where(spec)}: {name} ended while it started: {_last_words(logs, name)}")
            address = addresses[index] if index < len(addresses) else ""
            if _answers(ready, address, now() - began):
                del waiting[index]
        if waiting and now() - began > ready.within:
            raise Refused(_late(spec, ready, next(iter(waiting.items())), addresses, logs))
        if waiting:
            time.sleep(_POLL)


def wait_for_answer(spec: TargetSpec, go_on: Callable[[], None]) -> None:
    """Wait until the url of a target that lives elsewhere answers; *go_on* raises to end the wait. Raises Refused."""
    began = now()
    while not answers_http(spec.url):
        go_on()
        if now() - began > _ELSEWHERE:
            raise Refused(
                f"{where(spec)}.url: {spec.url} gives no answer below 500 within {_ELSEWHERE:g}s;"
                " see whether the target serves, or correct the url"
            )
        time.sleep(_POLL)


def answers_http(url: str, patience: float = _PATIENCE) -> bool:
    """Tell whether *url* answers with a status below 500, without proxies or redirects."""
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, patience)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False


def accepts_tcp(address: str, patience: float = _PATIENCE) -> bool:
    """Tell whether *address* accepts a connection."""
    try:
        socket.create_connection(split(address), timeout=patience).close()
    except OSError:
        return False
    return True


def _answers(ready: Ready, address: str, waited: float) -> bool:
    patience = max(0.05, min(_PATIENCE, ready.within - waited))
    if ready.http:
        return answers_http(_url(ready, address), patience)
    if address:  # with or without `tcp`: who was given a port is started when it listens
        return accepts_tcp(address, patience)
    return waited >= _SETTLE


def _url(ready: Ready, address: str) -> str:
    return f"http://{address}{ready.http}" if ready.http.startswith("/") else ready.http


def _late(spec: TargetSpec, ready: Ready, late: tuple[int, str], addresses: Sequence[str], logs: Path) -> str:
    index, name = late
    address = addresses[index] if index < len(addresses) else ""
    asked = _url(ready, address) if ready.http else address
    return (
        f"{where(spec)}: {name} was not ready within {ready.within:g}s (asked {asked or 'nothing'}); "
        f"give it more time by ready.within, or see: {_last_words(logs, name)}"
    )


def _last_words(logs: Path, name: str) -> str:
    """The last lines of an instance's log on one line, and where the rest is."""
    path = logs / f"{name}.log"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return f"no log at {path}"
    tail = (
        " | ".join(line for line in lines if line)[-400:]
        if len(lines) <= _TAIL
        else " | ".join(lines[-_TAIL:])
    )
    return f"{tail[-400:] or 'it wrote nothing'} ({path})"


def last_line(logs: Path, name: str) -> str:
    """The last line of a log, which names the cause where a program of ours refused to start."""
    path = logs / f"{name}.log"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return f"no log at {path}"
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
    return f"{said[-400:].rpartition('error: ')[2]} ({path})"


def _connection(scheme: str, host: str, port: int | None, patience: float) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=patience)
    trusting = ssl.create_default_context()  # a process of our own starting: only whether it answers matters
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=patience, context=trusting)
