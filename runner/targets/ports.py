"""Which ports the targets of an environment serve on: fixed ones must be free, auto ones are picked."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from runner.errors import Refused
from runner.scenario import Environment, Managed, TargetSpec
from runner.targets.listeners import who_listens
from runner.targets.names import where

_LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESOLVED = -1  # in the place of an errno


def assign_ports(environment: Environment) -> dict[str, tuple[int, ...]]:
    """Decide the ports of managed targets and links. Raises Refused where a fixed one is taken."""
    taken: dict[int, str] = {}
    assigned: dict[str, tuple[int, ...]] = {}
    specs = environment.targets.values()
    for spec in specs:
        for port in _fixed(spec):
            _claim(spec, port, taken)
        if fixed := _fixed(spec):
            assigned[spec.name] = fixed
    for spec in specs:
        if spec.name not in assigned and (count := _wanted(spec)):
            assigned[spec.name] = tuple(_pick(spec, taken) for _ in range(count))
            taken.update(dict.fromkeys(assigned[spec.name], spec.name))
    return assigned


def addresses(spec: TargetSpec, ports: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Where the instances of a target serve, host:port each; of a mere url, its own host and port."""
    if own := ports.get(spec.name):
        return tuple(join(host_of(spec), port) for port in own)
    if spec.found is not None and spec.found.port is not None:
        return (join("127.0.0.1", spec.found.port),)
    if spec.url:
        parts = urlsplit(spec.url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        return (join(parts.hostname or "", port),) if port else ()
    return ()


def port_is_free(host: str, port: int) -> bool:
    """Tell whether we could listen on *host* and *port* now."""
    return _obstacle(host, port) is None


def host_of(spec: TargetSpec) -> str:
    """The host that a managed target or a link of ours serves on."""
    return split(spec.link.listen)[0] if spec.link is not None else "127.0.0.1"


def split(address: str) -> tuple[str, int]:
    """Split host:port; an IPv6 host may stand in brackets. Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def join(host: str, port: int) -> str:
    """Write host:port, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def wants_port(managed: Managed) -> bool:
    """Tell whether the processes are told their port, or are asked on it whether they are ready."""
    words = (*managed.command, *managed.env.values(), managed.ready.http)
    asked = managed.ready.tcp or managed.ready.http.startswith("/")
    return asked or any("$port" in word.replace("$$", "") for word in words)


def _fixed(spec: TargetSpec) -> tuple[int, ...]:
    if spec.link is not None:
        port = split(spec.link.listen)[1]
        return (port,) if port else ()
    if spec.managed is None or spec.managed.port == "auto":
        return ()
    first = spec.managed.port or (wants_port(spec.managed) and _port_of_url(spec.url))
    return tuple(first + index for index in range(spec.managed.count)) if first else ()


def _port_of_url(url: str) -> int:
    """The port that a local url names: the first instance of the target is meant by it."""
    parts = urlsplit(url)
    return (parts.port or 0) if parts.hostname in _LOCAL else 0


def _wanted(spec: TargetSpec) -> int:
    """How many ports have to be picked."""
    if spec.link is not None:
        return 1
    if spec.managed is None:
        return 0
    return spec.managed.count if spec.managed.port == "auto" or wants_port(spec.managed) else 0


def _claim(spec: TargetSpec, port: int, taken: dict[int, str]) -> None:
    if port > 65535:
        raise Refused(f"{where(spec)}: port {port} is beyond 65535; choose a lower first port")
    if other := taken.get(port):
        raise Refused(
            f"{where(spec)}: port {port} is used twice, by {other} and by {spec.name}; choose another or auto"
        )
    taken[port] = spec.name
    reason = _obstacle(host_of(spec), port)
    if reason is not None:
        _refuse(spec, port, reason)


def _refuse(spec: TargetSpec, port: int, reason: int) -> NoReturn:
    if reason == errno.EADDRINUSE:
        owner = who_listens(port)
        by = f" by {owner}" if owner else ""
        raise Refused(
            f"{where(spec)}: port {port} is already taken{by}; stop it, or choose another port or auto"
        )
    if reason == errno.EACCES:
        raise Refused(f"{where(spec)}: port {port} needs a privilege; choose one above 1023")
    if reason == errno.EADDRNOTAVAIL:
        raise Refused(
            f"{where(spec)}: {host_of(spec)} is no address of this machine; start the network that it belongs to,"
            " or listen on another"
        )
    if reason == _UNRESOLVED:
        raise Refused(
            f"{where(spec)}: the name {host_of(spec)} is not known here; listen on an address of this machine,"
            " such as 127.0.0.1"
        )
    raise Refused(
        f"{where(spec)}: cannot listen on {join(host_of(spec), port)}: {errno.errorcode.get(reason, reason)}"
    )


def _obstacle(host: str, port: int) -> int | None:
    """The errno that listening there gives, or that the name is not known; None where it is free."""
    try:
        family, kind, protocol, _, where_to = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):  # the latter of a label of more than 63 characters
        return _UNRESOLVED
    with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # TIME_WAIT of an earlier run is no obstacle
        try:
            probe.bind(where_to)
            probe.listen(1)
        except OSError as error:
            return error.errno
    return None


def _pick(spec: TargetSpec, taken: dict[int, str]) -> int:
    """Pick a free port that outgoing connections do not get either: load would otherwise race for it."""
    for port in _candidates():
        if port in taken:
            continue
        reason = _obstacle(host_of(spec), port)
        if reason is None:
            taken[port] = "auto"
            return port
        if reason != errno.EADDRINUSE:  # no other port does better
            _refuse(spec, port, reason)
    raise Refused(f"{where(spec)}: no free port was found on {host_of(spec)}; name one")


def _candidates() -> Iterator[int]:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    low, high = (int(word) for word in text.split())
    ranges = [span for span in (range(10000, low), range(high + 1, 65536)) if len(span) > 100]
    span = max(ranges, key=len, default=range(1024, 65536))
    for _ in range(1000):
        yield span[secrets.randbelow(len(span))]
