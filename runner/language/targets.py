"""The `targets` section of an environment: processes, links, urls and what lives elsewhere, as they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from runner.language.convert import read_struct
from runner.language.indicators import check_url
from runner.language.moments import check_name
from runner.language.remote_targets import check_wire, read_docker, read_kubernetes, read_wire
from runner.language.shapes import FoundShape, LinkShape, ManagedShape, TargetShape
from runner.language.substitution import AT_SPAWN, Scope, SubstitutionError
from runner.language.written import Written
from runner.scenario import Found, LinkSpec, Managed, Ready, TargetSpec

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5}|auto)")
_EVERYWHERE = ("0.0.0.0", "::", "*")
_PLATFORMS = ("processes", "link", "docker", "kubernetes")
_FOUND = ("match", "pidfile")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MOST_PROCESSES = 200


def read_targets(written: Written | None, scope: Scope) -> dict[str, TargetSpec]:
    """Read every target; `$TARGET.address` in commands and upstreams is checked and left for the start."""
    if written is None:
        return {}
    entries = written.entries()
    later = Scope(parameters=scope.parameters, targets=frozenset(entries), at_spawn=True)
    specs = {name: _target(entry, name, later) for name, entry in entries.items()}
    _refuse_shared_ports(entries, specs)
    for name, spec in specs.items():
        if spec.wire is not None:
            check_wire(entries[name].entries()["link"], spec.wire, specs)
    return specs


def _target(written: Written, name: str, later: Scope) -> TargetSpec:
    check_name(written, name, "a target")
    shape = read_struct(written, TargetShape)
    given = [key for key in _PLATFORMS if getattr(shape, key) is not None]
    if len(given) > 1:
        written.refuse(f"is both {given[0]} and {given[1]}; write two targets")
    if not given and not shape.url:
        written.refuse("says nothing; write processes, link, docker, kubernetes or url")
    if shape.url:
        _check_asked(written.entries()["url"], shape.url)
    managed, found = _processes(shape.processes, later) if shape.processes is not None else (None, None)
    return TargetSpec(
        name=name,
        url=shape.url,
        managed=managed,
        found=found,
        link=_link(shape.link, later) if shape.link is not None and not _is_wire(shape.link) else None,
        docker=read_docker(shape.docker) if shape.docker is not None else None,
        kubernetes=read_kubernetes(shape.kubernetes) if shape.kubernetes is not None else None,
        wire=read_wire(shape.link, later) if shape.link is not None and _is_wire(shape.link) else None,
        place=written.key.place if written.key else written.place,
    )


def _processes(written: Written, later: Scope) -> tuple[Managed | None, Found | None]:
    entries = written.entries()
    if "command" in entries:
        return _managed(written.within(later)), None
    if not any(key in entries for key in _FOUND) and set(entries) != {"port"}:
        written.refuse("lacks `command` (to start them), or one of match, pidfile and port (to find them)")
    return None, _found(written)


def _managed(written: Written) -> Managed:
    shape, entries = read_struct(written, ManagedShape), written.entries()
    if not shape.command:
        entries["command"].refuse("is empty; write [program, argument]")
    if not 1 <= shape.count <= _MOST_PROCESSES:
        entries["count"].refuse(f"{shape.count} processes are not possible; write 1 to {_MOST_PROCESSES}")
    port: int | None = shape.port if isinstance(shape.port, int) else None
    if port is not None and not 1 <= port <= 65536 - shape.count:
        entries["port"].refuse(f"port {port} is not possible; ports go from 1 to 65535, one for each process")
    if shape.ready.http and shape.ready.tcp:
        entries["ready"].refuse("says http and tcp; one of them tells when it is ready")
    if http := shape.ready.http:
        _check_ready(entries["ready"].entries()["http"], http)
    return Managed(
        command=shape.command,
        count=shape.count,
        port="auto" if shape.port == "auto" else port,
        cwd=str(_folder(written, entries, shape.cwd)),
        env=shape.env,
        ready=Ready(http=shape.ready.http, tcp=shape.ready.tcp, within=shape.ready.within),
    )


def _check_ready(written: Written, http: str) -> None:
    """Refuse what no request can ask; what only the start of a process knows is a number by then."""
    for name in AT_SPAWN:
        http = http.replace(f"${name}", "1")
    _check_asked(written, f"http://localhost{http}" if http[0] == "/" else http)


def _check_asked(written: Written, url: str) -> None:
    """Refuse a url that cannot be asked whether somebody is ready: http.client quotes none, as requests would."""
    check_url(written, url)
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        written.refuse(f"no request can carry {path} as it is; write {quote(path, safe='/:?&=%~')} there")


def _folder(written: Written, entries: dict[str, Written], cwd: str) -> Path:
    given = entries.get("cwd", written)
    folder = given.file(cwd)
    if cwd and not folder.is_dir():
        given.refuse(f"{cwd} is no folder (looked in {written.folder})")
    return folder


def _found(written: Written) -> Found:
    shape, entries = read_struct(written, FoundShape), written.entries()
    if len(entries) > 1:
        written.refuse("says more than one of match, pidfile and port; one of them finds the processes")
    if shape.match:
        try:
            re.compile(shape.match)
        except re.error as error:
            entries["match"].refuse(f"{shape.match} is no regular expression: {error}")
    if shape.port is not None and not 1 <= shape.port <= 65535:
        entries["port"].refuse(f"port {shape.port} is not possible; ports go from 1 to 65535")
    pidfile = str(entries["pidfile"].file(shape.pidfile)) if shape.pidfile else ""
    return Found(match=shape.match, pidfile=pidfile, port=shape.port)


def _is_wire(written: Written) -> bool:
    """Tell the way between two services, hurt at its source, from a proxy of ours."""
    return bool({"from", "to", "port"} & set(written.entries()))


def _link(written: Written, later: Scope) -> LinkSpec:
    entries = written.entries()
    shape = read_struct(written.within(later), LinkShape)
    listen = _address(entries["listen"], entries["listen"].filled())
    if listen.rpartition(":")[0].strip("[]") in _EVERYWHERE:
        entries["listen"].refuse("would listen on every interface; name one address, such as 127.0.0.1")
    upstream = entries["upstream"].within(later)
    if "$" in shape.upstream:
        _check_blank(upstream, shape.upstream)
        return LinkSpec(listen=listen, upstream=shape.upstream)
    if _address(upstream, shape.upstream) == listen:
        upstream.refuse("is the link itself; name the service behind it")
    if shape.upstream.endswith((":0", ":auto")):
        upstream.refuse(f'"{shape.upstream}" names no port; write host:port')
    return LinkSpec(listen=listen, upstream=shape.upstream)


def _check_blank(written: Written, text: str) -> None:
    if not re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_-]*\.address", text):
        written.refuse(f'"{text}" is no address; write host:port or $TARGET.address')


def _address(written: Written, text: str) -> str:
    """Check host:port; `auto` as a port becomes 0."""
    text = text.strip()
    found = _ADDRESS.fullmatch(f"127.0.0.1:{text}" if text == "auto" else text)
    if not found or (found[3] != "auto" and int(found[3]) > 65535):
        written.refuse(f'"{text}" is no address; write host:port, such as 127.0.0.1:8901')
    host = f"[{found[1]}]" if found[1] else found[2]
    return f"{host}:{0 if found[3] == 'auto' else int(found[3])}"


def _refuse_shared_ports(entries: dict[str, Written], specs: Mapping[str, TargetSpec]) -> None:
    taken: dict[int, str] = {}
    for name, spec in specs.items():
        for port in _ports(spec):
            if port in taken:
                entries[name].refuse_key(
                    f"port {port} is taken by {taken[port]} already; choose another, or auto"
                )
            taken[port] = name


def _ports(spec: TargetSpec) -> list[int]:
    if spec.link is not None:
        port = int(spec.link.listen.rpartition(":")[2])
        return [port] if port else []
    if spec.managed is not None and isinstance(spec.managed.port, int):
        return [spec.managed.port + index for index in range(spec.managed.count)]
    return []


def addresses(spec: TargetSpec) -> list[str]:
    """Where a target answers, as far as the file tells: host:port of each. Raises SubstitutionError."""
    if spec.link is not None and _ports(spec):
        return [spec.link.listen]
    if spec.managed is not None and _ports(spec):
        return [f"127.0.0.1:{port}" for port in _ports(spec)]
    if spec.found is not None and spec.found.port is not None:
        return [f"127.0.0.1:{spec.found.port}"]
    if spec.url:
        parts = urlsplit(spec.url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return [f"[{parts.hostname}]:{port}" if ":" in (parts.hostname or "") else f"{parts.hostname}:{port}"]
    raise SubstitutionError(
        f"the address of {spec.name} is not known from its environment; give it a port or a url"
    )
