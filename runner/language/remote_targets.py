"""Containers, pods, nodes and the ways between them, as an environment writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from runner.errors import Refused
from runner.language.convert import read_struct
from runner.language.document import Scalar
from runner.language.shapes import DockerShape, KubernetesShape, WireShape
from runner.language.substitution import Scope, nearest
from runner.language.written import Written
from runner.places import Cluster, Engine
from runner.remote.kubeconfig import IN_CLUSTER, namespace_of
from runner.scenario import Containers, Pods, TargetSpec, Wire

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_LABEL = re.compile(r"[^\s=]+(=\S*)?")
_HOST = re.compile(r"unix:///\S+|tcp://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TO = re.compile(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_WORKLOADS = {
    "deployment": ("deployment", "deployments", "deploy"),
    "statefulset": ("statefulset", "statefulsets", "sts"),
    "daemonset": ("daemonset", "daemonsets", "ds"),
}
_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")
_COMPOSE_FILES = (".yaml", ".yml")
_VARIABLE = "COMPOSE_PROJECT_NAME"
_ASSIGNED = re.compile(  # a value in quotes or without; a remark may follow
    rf"""\s*(?:export\s+)?{_VARIABLE}\s*[=:]\s*(?:'([^']*)'|"([^"]*)"|([^'"#\s]\S*)|)\s*(?:\s#.*)?"""
)


def read_docker(written: Written) -> Containers:
    """Read which containers of which engine a target is."""
    shape, entries = read_struct(written, DockerShape), written.entries()
    given = [key for key in ("name", "label", "compose") if key in entries]
    if not given:
        written.refuse("does not say which containers; write one of name, label and compose")
    if len(given) > 1:
        entries[given[1]].refuse_key(f"says {' and '.join(given)}; one of them finds the containers")
    if shape.service and not shape.compose:
        entries["service"].refuse_key("is a service of nothing; write compose too")
    if shape.name and not _NAME.fullmatch(shape.name):
        entries["name"].refuse(f"{shape.name} is no name of a container")
    if shape.label and not _LABEL.fullmatch(shape.label):
        entries["label"].refuse(f'"{shape.label}" is no label; write key or key=value')
    return Containers(
        engine=_engine(entries, shape),
        name=shape.name,
        label=shape.label,
        project=_project(entries["compose"], shape.compose) if shape.compose else "",
        service=shape.service,
    )


def _engine(entries: Mapping[str, Written], shape: DockerShape) -> Engine:
    """The engine that is named here, else by the variables that docker itself reads, else the local one."""
    if not shape.host and "certificates" in entries:
        entries["certificates"].refuse_key("belong to a `host`; write both, or neither")
    if shape.host:
        if not _HOST.fullmatch(shape.host):
            entries["host"].refuse(_no_engine(shape.host))
        certificates = _certificates(entries["certificates"], shape) if shape.certificates else ""
        return Engine(url=shape.host, certificates=certificates)
    return usual_engine()


def usual_engine() -> Engine:
    """The engine that is meant where an environment names none. Raises Refused."""
    url = os.environ.get("DOCKER_HOST", "")
    if not url:
        return Engine()
    if not _HOST.fullmatch(url):
        raise Refused(f"DOCKER_HOST: {_no_engine(url)}")
    wanted = url.startswith("tcp:") and os.environ.get("DOCKER_TLS_VERIFY")
    folder = os.environ.get("DOCKER_CERT_PATH") or str(Path("~/.docker").expanduser())
    return Engine(url=url, certificates=folder if wanted else "")


def _no_engine(url: str) -> str:
    if url.startswith("ssh://"):
        return (
            f"{url} is reached by ssh, which Squall does not speak; forward its socket"
            " (ssh -NL /tmp/engine.sock:/var/run/docker.sock HOST) and write unix:///tmp/engine.sock"
        )
    return f'"{url}" is no engine; write unix:///var/run/docker.sock or tcp://host:2376'


def _certificates(written: Written, shape: DockerShape) -> str:
    folder = written.file(os.path.expanduser(shape.certificates))  # noqa: PTH111 - Path drops what file() judges
    for name in _CERTIFICATES:
        if not (folder / name).is_file():
            written.refuse(f"{folder} has no {name}; it holds {', '.join(_CERTIFICATES)}")
    return str(folder)


def _project(written: Written, text: str) -> str:
    """The name of a compose project: as compose itself makes it of a file."""
    if "/" not in text and not text.endswith(_COMPOSE_FILES):
        if not _PROJECT.fullmatch(text):
            written.refuse(f"{text} is neither a compose file nor the name of a project")
        return text
    path = written.file(text)
    if not path.is_file():
        written.refuse(f"{text} is no compose file (looked in {written.folder})")
    try:
        if named := os.environ.get(_VARIABLE):
            return named
        name = _in_dotenv(path.parent / ".env") or _name_in(path.read_text()) or path.parent.name
    except (yaml.YAMLError, ValueError, OSError) as error:
        written.refuse(f"{text} tells no project: {str(error).splitlines()[0]}; write compose: PROJECT")
    if "$" in name:
        written.refuse(f"{text} names its project by a variable, {name}; write compose: PROJECT")
    project = re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")
    if not project:
        written.refuse(f"{text} gives its project no name; write compose: PROJECT")
    return project


def _in_dotenv(path: Path) -> str:
    """The project that a .env beside a compose file names, which compose reads too."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else ()
    found = [given for line in lines if (given := _ASSIGNED.fullmatch(line))]
    return next(filter(None, found[-1].groups()), "") if found else ""


def _name_in(text: str) -> str:
    """The top-level name of a compose file, whose merge keys, tags and variables are none of ours. Raises YAMLError."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value.value for key, value in pairs if key.value == "name" and value.id == "scalar"), "")


def read_kubernetes(written: Written) -> Pods:
    """Read which pods or nodes of which cluster a target is."""
    shape, entries = read_struct(written, KubernetesShape), written.entries()
    given = [key for key in ("selector", "workload", "nodes") if key in entries]
    if not given:
        written.refuse("does not say which pods; write one of selector, workload and nodes")
    if len(given) > 1:
        entries[given[1]].refuse_key(f"says {' and '.join(given)}; one of them finds the instances")
    for key in ("namespace", "container"):
        if shape.nodes and key in entries:
            entries[key].refuse_key(f"nodes have no {key}; remove it, or select pods")
    cluster = Cluster(kubeconfig=_kubeconfig(entries, shape), context=shape.context)
    namespace = "" if shape.nodes else shape.namespace or namespace_of(cluster)
    if namespace and not _DNS.fullmatch(namespace):
        entries.get("namespace", written).refuse(f"{namespace} is no name of a namespace")
    return Pods(
        cluster=cluster,
        namespace=namespace,
        selector=shape.selector,
        workload=_workload(entries["workload"], shape.workload) if shape.workload else "",
        nodes=shape.nodes,
        container=shape.container,
    )


def _kubeconfig(entries: Mapping[str, Written], shape: KubernetesShape) -> str:
    """Where the cluster's credentials are: decided here, so that an undo by another shell finds the same."""
    if shape.kubeconfig == IN_CLUSTER:
        return IN_CLUSTER
    if shape.kubeconfig:
        path = entries["kubeconfig"].file(os.path.expanduser(shape.kubeconfig))  # noqa: PTH111 - as above
        if not path.is_file():
            entries["kubeconfig"].refuse(
                f"{shape.kubeconfig} is no file (looked in {entries['kubeconfig'].folder})"
            )
        return str(path)
    return usual_kubeconfig()


def usual_kubeconfig() -> str:
    """Name the kubeconfig that is meant where an environment names none: the user's own."""
    if given := os.environ.get("KUBECONFIG"):
        return os.pathsep.join(str(Path(one).absolute()) for one in given.split(os.pathsep) if one)
    usual = Path("~/.kube/config").expanduser()
    if not usual.is_file() and "KUBERNETES_SERVICE_HOST" in os.environ:
        return IN_CLUSTER
    return str(usual)


def _workload(written: Written, text: str) -> str:
    kind, _, name = text.partition("/")
    found = next((word for word, spellings in _WORKLOADS.items() if kind.lower() in spellings), None)
    if found is None or not _OBJECT.fullmatch(name):
        written.refuse(f'"{text}" is no workload; write deployment/NAME, statefulset/NAME or daemonset/NAME')
    return f"{found}/{name}"


def read_wire(written: Written, later: Scope) -> Wire:
    """Read the way from a target to a host; `$TARGET` as its end stays for when the instances are known."""
    shape, entries = read_struct(written.within(later), WireShape), written.entries()
    node = shape.to.node
    raw = node.text.strip() if isinstance(node, Scalar) else ""
    if raw.startswith("$") and raw[1:] in later.targets:
        to = raw
    else:
        to = shape.to.within(Scope(parameters=later.parameters)).filled().strip()
        if not _TO.fullmatch(to):
            entries["to"].refuse(
                f'"{to}" is no host; write a name, an IP address, or $TARGET; the port stands apart'
            )
    if not 1 <= shape.port <= 65535:
        entries["port"].refuse(f"port {shape.port} is not possible; ports go from 1 to 65535")
    return Wire(source=shape.from_.strip(), to=to, port=shape.port)


def check_wire(written: Written, wire: Wire, specs: Mapping[str, TargetSpec]) -> None:
    """Refuse a wire whose ends are not there, or are nothing that it could run between."""
    entries = written.entries()
    source = specs.get(wire.source)
    if source is None:
        entries["from"].refuse(f"no target {wire.source} in this environment{nearest(wire.source, specs)}")
    if source.docker is None and (source.kubernetes is None or source.kubernetes.nodes):
        entries["from"].refuse(
            f"{wire.source} is neither containers nor pods; for processes of this machine write"
            " {listen, upstream}: a proxy of ours"
        )
    end = specs.get(wire.to[1:]) if wire.to.startswith("$") else None
    if end is not None and end.docker is None and end.kubernetes is None and not end.url:
        entries["to"].refuse(
            f"{end.name} has no address that {wire.source} could reach; name containers, pods, a url or a host"
        )
