"""The way between two services: who sends, and at which addresses the other end answers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from runner.errors import Refused
from runner.faults.record import Instance
from runner.remote.kubernetes import ApiError
from runner.scenario import Environment, TargetSpec
from runner.targets import containers
from runner.targets.clients import client_of
from runner.targets.names import where

_HEADLESS = "None"


def resolve(
    spec: TargetSpec, environment: Environment, instances: Callable[[str], Sequence[Instance]]
) -> list[Instance]:
    """Make one instance for each instance of the source; *instances* finds those of a target.

    Raises Refused where the other end has no address, ApiError where it cannot be asked for.
    """
    assert spec.wire is not None
    found, made = {}, []
    for index, source in enumerate(instances(spec.wire.source)):
        key = source.container if source.platform == "container" else source.platform
        if (
            key not in found
        ):  # containers may see the other end at addresses of their own; pods all see the same
            found[key] = _peers(spec, source, environment, instances)
        made.append(
            msgspec.structs.replace(
                source,
                target=spec.name,
                name=f"{spec.name}.{index}",
                platform="wire",
                peers=found[key],
                port=spec.wire.port,
            )
        )
    return made


def _peers(
    spec: TargetSpec,
    source: Instance,
    environment: Environment,
    instances: Callable[[str], Sequence[Instance]],
) -> tuple[str, ...]:
    assert spec.wire is not None
    to = spec.wire.to
    if to.startswith("$"):
        found = _of_target(environment.targets[to[1:]], source, instances)
    elif literal := _literal(to):
        found = [literal]
    elif source.platform == "container":
        found = containers.addresses_of(source, to) or _looked_up(to)
    else:
        found = _of_service(source, to) or _looked_up(to)
    if not found:
        raise Refused(
            f"{where(spec)}.link.to: {to} has no address that {source.name} ({source.known_as}) could reach;"
            " correct the name, or write an IP address"
        )
    return tuple(sorted(set(found)))


def _of_target(
    end: TargetSpec, source: Instance, instances: Callable[[str], Sequence[Instance]]
) -> list[str]:
    if end.docker is not None:
        others = list(instances(end.name))
        if source.platform == "container":
            return containers.shared_addresses(source, others)
        return [other.address for other in others if other.address]
    if end.kubernetes is not None and not end.kubernetes.nodes:
        pods = instances(end.name)
        return [pod.address for pod in pods if pod.address] + _services_of(pods)
    if end.kubernetes is not None:
        return _node_addresses(end)
    return _looked_up(urlsplit(end.url).hostname or "")


def _services_of(pods: Sequence[Instance]) -> list[str]:
    """Addresses of the services in front of *pods*: what a caller sends to, before it is spread over pods."""
    pod = pods[0].pod
    assert pod is not None
    client, path = client_of(pod.cluster), f"/api/v1/namespaces/{pod.namespace}"
    labels = client.get(f"{path}/pods/{pod.name}")["metadata"].get("labels") or {}
    found: list[str] = []
    for service in client.get(f"{path}/services")["items"]:
        selector = service["spec"].get("selector") or {}
        if selector and selector.items() <= labels.items():
            found += _own_addresses(service)
    return found


def _of_service(source: Instance, name: str) -> list[str]:
    """Addresses of a service by the names that pods call it: name, name.namespace, name.namespace.svc…"""
    assert source.pod is not None
    words = name.rstrip(".").split(".")
    if len(words) > 2 and words[2] != "svc":
        return []
    home = source.pod.namespace
    namespace = words[1] if len(words) > 1 else home
    client, path = client_of(source.pod.cluster), f"/api/v1/namespaces/{namespace}"
    try:
        service = client.get(f"{path}/services/{words[0]}")
    except ApiError as error:
        if error.status == 404:
            return []
        if error.status == 403 and len(words) == 2 and namespace != home and (found := _looked_up(name)):
            return found  # stripe.com: no service, and so no right, is needed for it
        raise
    if service["spec"].get("type") == "ExternalName":
        return _looked_up(service["spec"]["externalName"])
    if own := _own_addresses(service):
        return own
    subsets = client.get(f"{path}/endpoints/{words[0]}").get("subsets") or ()
    return [one["ip"] for subset in subsets for one in subset.get("addresses") or ()]


def _own_addresses(service: Mapping[str, Any]) -> list[str]:
    spec = service["spec"]
    given = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [address for address in given if address and address != _HEADLESS]


def _node_addresses(end: TargetSpec) -> list[str]:
    assert end.kubernetes is not None
    selector = None if end.kubernetes.nodes == "*" else end.kubernetes.nodes
    nodes = client_of(end.kubernetes.cluster).get("/api/v1/nodes", labelSelector=selector)["items"]
    return [
        address["address"]
        for node in nodes
        for address in node["status"].get("addresses") or ()
        if address["type"] in ("InternalIP", "ExternalIP")
    ]


def _literal(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _looked_up(host: str) -> list[str]:
    """What this machine finds for a name: the last resort for what neither engine nor cluster knows."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[4][0]) for address in found]
