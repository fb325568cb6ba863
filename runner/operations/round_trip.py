"""The time that a packet takes to a peer and back: the second witness of a delay."""

from __future__ import annotations

import ipaddress
import math
import os
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from runner import clock
from runner.operations.record import Match

PATIENCE = 1.0
AGAIN = 2.0  # seconds that a measurement is good for: a peer is not to be bothered with every look


@dataclass(frozen=True, slots=True)
class Trip:
    """Seconds to *whom* and back; nobody answered, or nobody was asked, where that is empty."""

    seconds: float = 0.0
    whom: str = ""


class _Measurement:
    """One by a thread of its own: who looks at a delay has a halt to hear, and does not wait for peers."""

    def __init__(self, match: Match, before: Trip | None) -> None:
        self.trip, self.ended = before, math.inf
        threading.Thread(target=self._run, args=(match,), daemon=True).start()

    def _run(self, match: Match) -> None:
        try:
            self.trip = _measure(match)
        finally:
            self.ended = clock.now()


_latest: dict[Match, _Measurement] = {}


def measured(match: Match) -> Trip | None:
    """The last round trip to some peer of *match*, and begin another one when it is time. None where none has ended."""
    latest = _latest.get(match)
    if latest is None or clock.now() >= latest.ended + AGAIN:
        latest = _latest[match] = _Measurement(match, latest.trip if latest else None)
    return latest.trip


def forget(match: Match) -> None:
    """Let nobody be told what was measured until now, or is being measured."""
    _latest.pop(match, None)


def _measure(match: Match) -> Trip:
    if match.local_ports:
        return Trip()  # a packet of ours would leave from another port
    found = None
    for host in _peers(match)[:2]:
        for port in match.ports[:1] or (0,):
            if match.protocol in ("", "tcp") and port:
                found = _by_tcp(host, port)
            elif match.protocol in ("", "icmp") and not port:
                found = _by_icmp(host) or _by_tcp(host, 9)
        if found:
            break
    return found or Trip()


def _peers(match: Match) -> list[str]:
    """Single addresses that are meant; without peers, the gateway."""
    found = []
    for peer in match.peers:
        network = ipaddress.ip_network(peer, strict=False)
        if network.num_addresses == 1:
            found.append(str(network.network_address))
    return found if match.peers else _gateways()


def _gateways() -> list[str]:
    found = []
    for line in Path("/proc/thread-self/net/route").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and int(fields[3], 16) & 2:
            found.append(socket.inet_ntoa(struct.pack("=I", int(fields[2], 16))))
    return found


def _by_tcp(host: str, port: int) -> Trip | None:
    """A connection is answered, or refused, after one round trip."""
    begun = clock.now()
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            pass
    except ConnectionRefusedError:
        pass
    except OSError:
        return None
    return Trip(clock.now() - begun, f"{host} port {port}")


def _by_icmp(host: str) -> Trip | None:
    """An echo, by a socket that needs no privilege where the namespace allows it, else by a raw one."""
    six = ":" in host
    family, protocol = (socket.AF_INET6, 58) if six else (socket.AF_INET, 1)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            with socket.socket(family, kind, protocol) as asked:
                asked.connect((host, 0))
                return Trip(_echo(asked, six=six, raw=kind == socket.SOCK_RAW), host)
        except OSError:
            continue
    return None


def _echo(asked: socket.socket, *, six: bool, raw: bool) -> float:
    number = os.getpid() & 0xFFFF
    body = struct.pack("!BBHHH", 128 if six else 8, 0, 0, number, 1)
    if not six:
        body = struct.pack("!BBHHH", 8, 0, _checksum(body), number, 1)
    begun = clock.now()
    asked.send(body)
    while (left := begun + PATIENCE - clock.now()) > 0:
        asked.settimeout(left)
        answer = asked.recv(2048)
        payload = answer[(answer[0] & 15) * 4 :] if raw and not six else answer
        ours = not raw or struct.unpack_from("!H", payload, 4)[0] == number
        if payload[0] in (0, 129) and ours:
            return clock.now() - begun
    raise TimeoutError


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
