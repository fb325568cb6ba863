"""Kubeconfig files as kubectl reads them: where a cluster is and who we are there, without recording either."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import OperationFailed
from runner.places import Cluster
from runner.remote.calling import client_tls
from runner.remote.impersonation import headers_of
from runner.remote.tokens import ExecPlugin, FileToken, FixedToken, NoToken, Token

IN_CLUSTER = "in-cluster"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Access:
    """A server, how to trust it, and who we are. *name*: of its certificate, where that is not the server's own."""

    server: str
    tls: ssl.SSLContext | None
    token: Token
    name: str = ""
    impersonation: tuple[tuple[str, str], ...] = ()  # headers


class Wrong(ValueError):
    """What is wrong with a kubeconfig, and a remedy of its own."""

    def __init__(self, what: str, remedy: str = "correct the kubeconfig") -> None:
        self.remedy = remedy
        super().__init__(what)


def access_of(cluster: Cluster) -> Access:
    """Read how a cluster is reached. Raises OperationFailed."""
    try:
        if cluster.kubeconfig == IN_CLUSTER:
            return _from_inside()
        config, folder = _merged(_paths(cluster.kubeconfig))
        return _from_config(config, cluster.context, folder)
    except (OSError, ValueError, binascii.Error, AttributeError, TypeError) as error:
        where = cluster.kubeconfig or "the kubeconfig"
        remedy = error.remedy if isinstance(error, Wrong) else "correct the kubeconfig"
        raise OperationFailed(f"{where} cannot be used: {error}", remedy) from error


def namespace_of(cluster: Cluster) -> str:
    """The namespace that is meant where none is written: the context's, in a pod its own, else `default`.

    It is `default`, too, where that cannot be read: who asks the cluster is told why.
    """
    try:
        if cluster.kubeconfig == IN_CLUSTER:
            return (ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or _DEFAULT
        config, _ = _merged(_paths(cluster.kubeconfig))
        context = config["contexts"].get(cluster.context or config["current-context"]) or {}
        return str(context.get("namespace") or _DEFAULT)
    except (OSError, ValueError, TypeError):
        return _DEFAULT


def _from_inside() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Wrong("this is no pod of a cluster: KUBERNETES_SERVICE_HOST is not set", "name a kubeconfig")
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        tls=client_tls(authority=str(ACCOUNT / "ca.crt")),
        token=FileToken(ACCOUNT / "token", ACCOUNT),
    )


def _paths(kubeconfig: str) -> list[Path]:
    named = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [Path(path).expanduser() for path in named.split(os.pathsep) if path]


def _merged(paths: list[Path]) -> tuple[dict[str, Any], dict[str, Path]]:
    """Merge files as kubectl does: the first that names something wins. Also: the folder each entry came from."""
    import yaml  # noqa: PLC0415 - 15 ms that a helper in a cluster, with its service account, need not spend

    config: dict[str, Any] = {"clusters": {}, "users": {}, "contexts": {}, "current-context": ""}
    folders: dict[str, Path] = {}
    there = [path for path in paths if path.exists()]
    if not there:
        raise Wrong(
            f"there is no {' nor '.join(str(path) for path in paths)}", "name a kubeconfig that is there"
        )
    for path in there:
        try:
            read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(read, dict):
            raise Wrong(f"{path} is no kubeconfig: it has no keys")
        config["current-context"] = config["current-context"] or read.get("current-context") or ""
        for part in ("clusters", "users", "contexts"):
            for entry in _entries(read, part, path):
                if entry["name"] not in config[part]:
                    config[part][entry["name"]] = entry.get(part.removesuffix("s")) or {}
                    folders[f"{part}/{entry['name']}"] = path.resolve().parent
    return config, folders


def _entries(read: Mapping[str, Any], part: str, path: Path) -> list[dict[str, Any]]:
    entries = read.get(part) or []
    if not isinstance(entries, list):
        raise Wrong(f"{path}: {part} is no list of entries")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise Wrong(f"{path}: an entry of {part} has no name")
        if not isinstance(entry.get(part.removesuffix("s")) or {}, dict):
            raise Wrong(f"{path}: {entry['name']!r} of {part} has no keys")
    return entries


def _from_config(config: Mapping[str, Any], wanted: str, folders: Mapping[str, Path]) -> Access:
    name = wanted or config["current-context"]
    if name not in config["contexts"]:
        known = ", ".join(config["contexts"]) or "none"
        raise Wrong(f"it has no context {name!r}; it has {known}", "name one that it has")
    context = config["contexts"][name]
    cluster, user = str(context.get("cluster", "")), str(context.get("user") or "")
    if cluster not in config["clusters"]:
        raise ValueError(f"context {name!r} names the cluster {cluster!r}, which is not in it")
    if user and user not in config["users"]:
        raise ValueError(f"context {name!r} names the user {user!r}, who is not in it")
    facts = config["clusters"][cluster]
    who = config["users"].get(user, {})
    return Access(
        server=_server(facts, cluster),
        tls=_tls(facts, who, folders.get(f"clusters/{cluster}"), folders.get(f"users/{user}")),
        token=_token(who, folders.get(f"users/{user}"), facts),
        name=str(facts.get("tls-server-name") or ""),
        impersonation=headers_of(who),
    )


def _server(facts: Mapping[str, Any], cluster: str) -> str:
    if not facts.get("server"):
        raise ValueError(f"cluster {cluster!r} has no server")
    server = str(facts["server"]).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise Wrong(f"the server of cluster {cluster!r} is {server}", "write https://HOST:PORT there")
    if facts.get("proxy-url"):
        raise Wrong(
            f"cluster {cluster!r} is reached by its proxy-url, and Squall speaks to no proxy",
            "forward a port to it (ssh -L), and write that as server and the server's name as tls-server-name",
        )
    return server


def _tls(
    facts: Mapping[str, Any], who: Mapping[str, Any], folder: Path | None, home: Path | None
) -> ssl.SSLContext | None:
    if not str(facts.get("server", "")).startswith("https"):
        return None
    context = client_tls(
        authority=_path(facts.get("certificate-authority"), folder),
        data=_plain(_decoded(facts.get("certificate-authority-data"))),
        insecure=bool(facts.get("insecure-skip-tls-verify")),
    )
    if certificate := _text(who, "client-certificate", home):
        present(context, certificate, _text(who, "client-key", home))
    return context


def _text(who: Mapping[str, Any], part: str, home: Path | None) -> str:
    """Read a part that stands there as data, which comes first, or in a file, which may hold remarks of any kind."""
    if who.get(f"{part}-data"):
        return _decoded(who[f"{part}-data"])
    return Path(_path(who[part], home)).read_text(encoding="latin-1") if who.get(part) else ""


def _plain(text: str) -> str:
    """Leave out of PEM what only a remark can hold: ssl takes none of it as text."""
    return text.encode("ascii", "ignore").decode()


def present(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a client certificate from text; OpenSSL takes files only, so one exists for a moment, for us alone."""
    descriptor, path = tempfile.mkstemp(prefix="squall-")
    try:
        with open(descriptor, "w", encoding="latin-1") as file:  # noqa: PTH123 - a descriptor
            file.write(f"{certificate}\n{key}\n")
        context.load_cert_chain(path)
    finally:
        with suppress(FileNotFoundError):
            Path(path).unlink()


def _token(who: Mapping[str, Any], folder: Path | None, facts: Mapping[str, Any]) -> Token:
    if who.get("auth-provider"):
        raise ValueError("auth-provider is gone from kubectl too; use an exec plugin")
    if who.get("token"):
        return FixedToken(str(who["token"]))
    if who.get("tokenFile"):
        return FileToken(Path(_path(who["tokenFile"], folder)), folder or Path.cwd())
    if plugin := who.get("exec"):
        _check_plugin(plugin)
        return ExecPlugin(plugin, folder or Path.cwd(), facts)
    if who.get("username"):
        pair = f"{who['username']}:{who.get('password', '')}".encode()
        return FixedToken(base64.b64encode(pair).decode(), scheme="Basic")
    return NoToken()


def _check_plugin(plugin: object) -> None:
    if not isinstance(plugin, dict):
        raise Wrong("exec of its user has no keys")
    if not isinstance(plugin.get("command"), str):
        raise Wrong("exec of its user names no command")
    if not isinstance(plugin.get("args") or [], list):
        raise Wrong("exec.args of its user is no list")
    variables = plugin.get("env") or []
    if not isinstance(variables, list) or not all(
        isinstance(each, dict) and {"name", "value"} <= each.keys() for each in variables
    ):
        raise Wrong("exec.env of its user is no list of name and value")


def _path(value: str | None, folder: Path | None) -> str:
    if not value:
        return ""
    return str((folder or Path.cwd()) / Path(value).expanduser())


def _decoded(value: str | None) -> str:
    return base64.b64decode(value).decode("latin-1") if value else ""
