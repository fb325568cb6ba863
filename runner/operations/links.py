"""What is done to links of ours: set, heal and check a property by the proxy's control socket."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct

import msgspec

from runner.errors import OperationFailed
from runner.links.properties import Value
from runner.links.reach import reachable
from runner.links.state import PACKET, Answer, LinkState, Order, PropertyState
from runner.operations.record import CheckLink, LinkSet, Reading

PATIENCE = 1.0  # seconds that a proxy may take for a packet
GONE = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR})
_answer = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder().encode


class LinkHangs(OperationFailed):
    """The link's proxy lives and does not answer."""


class LinkGone(Exception):
    """The link's proxy is not there any more, and with it all that was set."""


def perform_link_set(operation: LinkSet) -> Reading:
    """Set or heal a property, then read it back. A link that is gone is healed. Raises OperationFailed."""
    name, wanted = operation.property, operation.value
    order = Order(verb="set", property=name, value=wanted, expect=operation.expect)
    try:
        done = ask(operation.socket, order).done
        found = _state(ask(operation.socket, Order(verb="get"))).properties.get(name)
    except LinkGone as gone:
        if wanted is None:
            return Reading(evidence=f"{name} is healed: the link's proxy is gone")
        raise OperationFailed(f"{operation.link}: {name} cannot be set: its proxy is gone ({gone})") from gone
    except LinkHangs:
        if wanted is not None or not operation.replace:
            raise
        return Reading(evidence=f"{name} is healed: the link's proxy hung, {_end(operation.socket)}")
    value = found.value if found else None
    if not done:
        return Reading(ok=False, evidence=f"{name} is {_shown(value)}, which is not ours: left alone")
    if value != wanted:
        raise OperationFailed(f"{operation.link}: {name}: asked for {_shown(wanted)}, read {_shown(value)}")
    return Reading(evidence=f"{name} is {_shown(wanted)}")


def perform_check_link(operation: CheckLink) -> Reading:
    """Read whether a property is set and what it did since. Raises OperationFailed."""
    name = operation.property
    try:
        state = _state(ask(operation.socket, Order(verb="get")))
    except LinkGone:
        return Reading(ok=False, evidence=f"{name} is not set: the link's proxy is gone")
    found = state.properties.get(name)
    if found is None:
        return Reading(ok=False, evidence=f"{name} is not set")
    if name == "refuse":
        return _probe(state.address, state.port)
    if not found.connections:
        return Reading(ok=None, evidence=f"{name} is set, but nothing passed by that it could have hurt")
    return Reading(evidence=did(name, found))


def did(name: str, found: PropertyState) -> str:
    """Say what a property did: `delayed 312 chunks on 14 connections by 80.3 ms on average`."""
    on = f"on {_count(found.connections, 'connection')}"
    mean = f"by {found.seconds / found.chunks * 1000:.1f} ms on average" if found.chunks else ""
    match name:
        case "latency":
            return f"delayed {_count(found.chunks, 'chunk')} {on} {mean}".rstrip()
        case "bandwidth":
            return f"narrowed {_count(found.bytes, 'byte')} {on}"
        case "blackhole":
            return f"swallowed {_count(found.bytes, 'byte')} {on}"
        case "reset":
            return f"reset {_count(found.connections, 'connection')}"
        case "slow_close":
            return f"closed {_count(found.connections, 'connection')} late {mean}".rstrip()
    return f"hurt {_count(found.connections, 'connection')}"


def ask(path: str, order: Order) -> Answer:
    """Have one order carried out. Raises LinkGone, or OperationFailed where a proxy hangs or says no."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.settimeout(PATIENCE)
            with reachable(path) as name:
                control.connect(name)
            control.sendall(_encode(order))
            packet = control.recv(PACKET)
    except TimeoutError:
        raise LinkHangs(f"{path}: the proxy has not answered for {PATIENCE:g} s: it hangs") from None
    except OSError as error:
        if error.errno in GONE:
            raise LinkGone(error.strerror) from error
        raise OperationFailed(f"{path}: {error.strerror}") from error
    return _read(path, packet)


def _end(path: str) -> str:
    """Kill the proxy that listens at *path*, and say so; its death ends all that was set."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.settimeout(PATIENCE)
            with reachable(path) as name:
                control.connect(name)
            credentials = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = int(struct.unpack("3i", credentials)[0])
        process = os.pidfd_open(pid)
    except OSError as error:
        raise OperationFailed(f"{path}: the proxy hangs and cannot be ended: {error.strerror}") from error
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        if not select.select((process,), (), (), PATIENCE)[0]:
            raise OperationFailed(f"{path}: the proxy hangs, and process {pid} survives SIGKILL")
    except ProcessLookupError:
        return f"process {pid} ended by itself"
    finally:
        os.close(process)
    return f"process {pid} was killed"


def _read(path: str, packet: bytes) -> Answer:
    if not packet:
        raise LinkGone("it ended while it was asked")
    try:
        answer = _answer.decode(packet)
    except msgspec.DecodeError as error:
        raise OperationFailed(f"{path}: no answer of a link: {error}") from error
    if answer.error:
        raise OperationFailed(f"{path}: {answer.error}")
    return answer


def _state(answer: Answer) -> LinkState:
    if answer.state is None:
        raise OperationFailed("a link answered without its state")
    return answer.state


def _probe(address: str, port: int) -> Reading:
    """Measure a refusal where it hurts: by connecting."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return Reading(ok=False, evidence=f"refuse is set, but {host}:{port} takes connections")
    except ConnectionRefusedError:
        return Reading(evidence=f"a connection to {host}:{port} was refused")
    except OSError as error:
        return Reading(ok=None, evidence=f"refuse is set; a connection to {host}:{port}: {error}")


def _shown(value: Value | None) -> str:
    if value is None:
        return "healed"
    return "set" + (": " + ", ".join(f"{knob} {setting}" for knob, setting in value.items()) if value else "")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
