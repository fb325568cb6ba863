"""Which running containers of an engine a target means, who each of them is, and who else hears a name there."""

from __future__ import annotations

import ipaddress
from typing import Any

from runner.errors import NobodyThere, Refused
from runner.faults.record import Instance
from runner.places import Post
from runner.remote.docker import ApiError, EngineClient
from runner.scenario import Containers, Helper, TargetSpec
from runner.targets.names import where

HELPER_LABEL = "squall.role"  # of what Squall itself posts: never a target
_PROJECT, _SERVICE, _ONE_OFF = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.compose.oneoff",
)


def resolve(spec: TargetSpec, helper: Helper | None = None) -> list[Instance]:
    """Find the running containers, in order of creation, then name. Raises Refused where there is none.

    ApiError is raised where the engine does not answer.
    """
    assert spec.docker is not None
    client = EngineClient(spec.docker.engine)
    found = [_inspected(client, spec)] if spec.docker.name else _listed(client, spec.docker)
    running = [one for one in found if _runs(one["State"]) and HELPER_LABEL not in _labels(one)]
    if not running:
        raise NobodyThere(_nobody(spec, found))
    running.sort(key=lambda one: (one["Created"].rstrip("Z"), one["Name"]))
    return [_instance(spec, index, one, helper or Helper()) for index, one in enumerate(running)]


def ended(instance: Instance) -> str:
    """Say how the life that is meant has ended; empty while it lasts. Raises OperationFailed."""
    assert instance.engine is not None
    whom = f"container {instance.known_as}"
    try:
        state = EngineClient(instance.engine).get(f"/containers/{instance.container}/json")["State"]
    except ApiError as error:
        if error.status == 404:
            return f"{whom} is gone"
        raise
    if not _runs(state):
        return f"{whom} has ended"
    return "" if state["StartedAt"] == instance.started else f"{whom} was started again"


def addresses_of(instance: Instance, name: str) -> list[str]:
    """Addresses at which a container reaches the container called *name*, by its name or an alias of its networks."""
    assert instance.engine is not None
    client = EngineClient(instance.engine)
    networks = set(_networks(client.get(f"/containers/{instance.container}/json")))
    found = []
    for listed in client.get("/containers/json"):
        if not networks & {one.get("NetworkID") for one in listed["NetworkSettings"]["Networks"].values()}:
            continue
        for network, end in _networks(client.get(f"/containers/{listed['Id']}/json")).items():
            names = {
                *(end.get("Aliases") or ()),
                *(end.get("DNSNames") or ()),
                listed["Names"][0].lstrip("/"),
            }
            if network in networks and name in names:
                found += _addresses(end)
    return found


def shared_addresses(instance: Instance, others: list[Instance]) -> list[str]:
    """Addresses at which a container reaches *others*: those of the networks that they share."""
    assert instance.engine is not None
    client = EngineClient(instance.engine)
    networks = set(_networks(client.get(f"/containers/{instance.container}/json")))
    found = []
    for other in others:
        ends = _networks(client.get(f"/containers/{other.container}/json"))
        found += [
            address for network, end in ends.items() if network in networks for address in _addresses(end)
        ]
    return found


def _listed(client: EngineClient, wanted: Containers) -> list[dict[str, Any]]:
    labels = [wanted.label] if wanted.label else [f"{_PROJECT}={wanted.project}", f"{_ONE_OFF}=False"]
    if wanted.service:
        labels.append(f"{_SERVICE}={wanted.service}")
    found = client.get("/containers/json", all=True, filters={"label": labels})
    living = []
    for one in found:
        try:
            living.append(client.get(f"/containers/{one['Id']}/json"))
        except ApiError as error:
            if error.status != 404:  # it went while we looked
                raise
    return living


def _inspected(client: EngineClient, spec: TargetSpec) -> dict[str, Any]:
    assert spec.docker is not None
    name = spec.docker.name
    try:
        one: dict[str, Any] = client.get(f"/containers/{name}/json")
    except ApiError as error:
        if error.status != 404:
            raise
        one = {}
    called = (one.get("Name", "").removeprefix("/"), one.get("Id"))
    if name not in called:  # an engine takes what another's id begins with, too
        raise Refused(f"{where(spec)}.docker: {_no_container(client, spec.docker)}")
    return one


def _no_container(client: EngineClient, wanted: Containers) -> str:
    names = sorted(one["Names"][0].lstrip("/") for one in client.get("/containers/json"))
    known = f"; running there: {', '.join(names[:12])}" if names else "; none runs there"
    return f"no container is called {wanted.name} on {wanted.engine.url}{known}"


def _nobody(spec: TargetSpec, found: list[dict[str, Any]]) -> str:
    wanted = spec.docker
    assert wanted is not None
    head = f"{where(spec)}.docker"
    if found:
        states = ", ".join(f"{one['Name'].lstrip('/')} is {one['State']['Status']}" for one in found[:6])
        loops = [one["Name"].lstrip("/") for one in found if one["State"].get("Restarting")]
        remedy = f"see why with docker logs {loops[0]}" if loops else "start one"
        return f"{head}: no container of {_selection(wanted)} runs on {wanted.engine.url}: {states}; {remedy}"
    return f"{head}: no container of {_selection(wanted)} is on {wanted.engine.url}; start it, or correct the selection"


def _selection(wanted: Containers) -> str:
    if wanted.name:
        return f"the name {wanted.name}"
    if wanted.label:
        return f"the label {wanted.label}"
    return f"the compose project {wanted.project}" + (f", service {wanted.service}" if wanted.service else "")


def _instance(spec: TargetSpec, index: int, one: dict[str, Any], helper: Helper) -> Instance:
    assert spec.docker is not None
    identity = one["Id"]
    addresses = [
        address for end in one["NetworkSettings"]["Networks"].values() for address in _addresses(end)
    ]
    return Instance(
        target=spec.name,
        name=f"{spec.name}.{index}",
        known_as=one["Name"].lstrip("/"),
        platform="container",
        address=addresses[0] if addresses else "",
        engine=spec.docker.engine,
        container=identity,
        started=one["State"]["StartedAt"],
        vanishes=bool(one["HostConfig"].get("AutoRemove")),
        ready=not one["State"].get("Paused") and _healthy(one["State"]),
        created=one["Created"],
        post=Post(engine=spec.docker.engine, image=helper.image, container=identity)
        if helper.image
        else None,
        lease=helper.lease,
        shared_network=_shared(one["HostConfig"].get("NetworkMode", "")),
    )


def _runs(state: dict[str, Any]) -> bool:
    """Between two lives, while an engine waits to start it again, it says both that it runs and that it restarts."""
    return bool(state["Running"]) and not state.get("Restarting")


def _healthy(state: dict[str, Any]) -> bool:
    health = state.get("Health") or {}
    return health.get("Status", "healthy") in ("healthy", "none")


def _shared(mode: str) -> str:
    if mode == "host":
        return "the host"
    if mode.startswith("container:"):
        return f"container {mode.removeprefix('container:')[:12]}"
    return ""


def _labels(one: dict[str, Any]) -> dict[str, str]:
    return one["Config"].get("Labels") or {}


def _networks(one: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The networks of a container by their id."""
    return {
        end["NetworkID"]: end for end in one["NetworkSettings"]["Networks"].values() if end.get("NetworkID")
    }


def _addresses(end: dict[str, Any]) -> list[str]:
    return [
        str(ipaddress.ip_address(address))
        for address in (end.get("IPAddress"), end.get("GlobalIPv6Address"))
        if address
    ]
