"""Calls about one container of a Docker engine: made only to the life that is meant, and verified by reading."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from runner import clock
from runner.operations.record import CheckContainer, DockerCall, Reading
from runner.remote.docker import ApiError, EngineClient

VERIFIED = 5.0  # seconds for a call's effect to be seen
LOOK = 0.02  # seconds between two looks
STOPPING = 10.0  # seconds that an engine gives a container to stop
LANDS = STOPPING + 2.0  # seconds after which a stop has ended its life, though its caller is long gone
GLANCE = 0.1  # seconds between two looks at what takes that long


def perform_docker_call(operation: DockerCall) -> Reading:
    """Make the call unless its effect is there already. Raises OperationFailed."""
    client = EngineClient(operation.engine)
    state = state_of(client, operation.container)
    if operation.verb == "start" and operation.started:
        state = _outlasted(client, operation, state)
    if state is None:
        fine = operation.gone_is_fine or operation.verb == "remove"
        return Reading(ok=fine, evidence=f"{_short(operation)} is gone")
    other = bool(operation.started) and state["StartedAt"] != operation.started
    if other and operation.verb in ("kill", "stop", "pause"):
        return Reading(ok=False, evidence=f"{_short(operation)} was started again: another life, left alone")
    if _reached(operation, state):
        return Reading(evidence=f"{_short(operation)} is {_word(state)} already")
    _call(client, operation)
    return _verified(lambda: _reached(operation, state_of(client, operation.container)), client, operation)


def perform_check_container(operation: CheckContainer) -> Reading:
    """Read the container and compare."""
    state = state_of(EngineClient(operation.engine), operation.container)
    if state is None:
        seen, ok = "gone", operation.expect in ("gone", "ended")
    else:
        same = not operation.started or state["StartedAt"] == operation.started
        seen = _word(state) + ("" if same else ", started again")
        match operation.expect:
            case "running":
                ok = bool(state["Running"]) and not state["Paused"]
            case "paused":
                ok = bool(state["Paused"])
            case "ended":
                ok = not state["Running"] or not same
            case "gone":
                ok = False
    return Reading(ok=ok, evidence=f"container {operation.container[:12]} is {seen}")


def state_of(client: EngineClient, container: str) -> dict[str, Any] | None:
    """Read the state of a container; None where it is gone."""
    try:
        state: dict[str, Any] = client.get(f"/containers/{container}/json")["State"]
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return state


def _call(client: EngineClient, operation: DockerCall) -> None:
    path = f"/containers/{operation.container}"
    try:
        match operation.verb:
            case "remove":
                client.delete(path, force=1)
            case "kill":
                client.post(f"{path}/kill", signal="KILL")
            case "stop" | "restart":
                client.post(f"{path}/{operation.verb}", t=int(STOPPING), timeout=STOPPING + 10)
            case verb:
                client.post(f"{path}/{verb}")
    except ApiError as error:
        if error.status not in (404, 409):  # gone meanwhile, or already so: the reading tells
            raise


def _outlasted(
    client: EngineClient, operation: DockerCall, state: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Look at the life that is to end until it has, or no stop can end it any more; return the state then.

    An engine finishes a stop, and a restart, whose caller was cut short: what runs now may be about to end.
    """
    until = clock.now() + LANDS
    while state and state["Running"] and state["StartedAt"] == operation.started and clock.now() < until:
        select.select((), (), (), GLANCE)
        state = state_of(client, operation.container)
    return state


def _reached(operation: DockerCall, state: dict[str, Any] | None) -> bool:
    """Say whether the effect of the call is there."""
    if state is None:
        return operation.verb == "remove" or operation.gone_is_fine
    running, paused = bool(state["Running"]), bool(state["Paused"])
    match operation.verb:
        case "kill" | "stop":
            return not running or (bool(operation.started) and state["StartedAt"] != operation.started)
        case "start":
            return running and not state.get("Restarting", False)
        case "restart":
            return running and bool(operation.started) and state["StartedAt"] != operation.started
        case "pause":
            return paused
        case "unpause":
            return not paused
        case "remove":
            return False


def _verified(reached: Callable[[], bool], client: EngineClient, operation: DockerCall) -> Reading:
    until = clock.now() + VERIFIED
    while not (there := reached() or _cannot_tell(operation)) and clock.now() < until:
        select.select((), (), (), LOOK)
    state = state_of(client, operation.container)
    seen = "gone" if state is None else _word(state)
    return Reading(ok=there, evidence=f"{operation.verb}: {_short(operation)} is {seen}")


def _cannot_tell(operation: DockerCall) -> bool:
    """A restart of no certain life shows in nothing but the engine's answer."""
    return operation.verb == "restart" and not operation.started


def _word(state: dict[str, Any]) -> str:
    return str(state.get("Status") or ("running" if state["Running"] else "exited"))


def _short(operation: DockerCall) -> str:
    return f"container {operation.container[:12]}"
