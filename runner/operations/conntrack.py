"""The kernel's list of connections in this network namespace: entries found by mark, read and deleted."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NFNETLINK = 12  # NETLINK_NETFILTER
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2  # subsystem ctnetlink, IPCTNL_MSG_CT_GET and _DELETE
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_DONE, _ERROR = 3, 2
_NESTED = 0x8000
_ORIGINAL, _REPLY, _MARK, _ADDRESSES, _PORTS = 1, 2, 8, 1, 2
_SPACE = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection: how it was begun (*source*, *target*), and how its answers look (*answers_from*)."""

    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    answers_from: tuple[str, int]
    answers_to: tuple[str, int]
    mark: int
    family: int
    original: bytes  # as the kernel wrote it: what a deletion names


def entries() -> Iterator[Entry]:
    """Read all connections that are tracked here. Raises OSError where the kernel does not say."""
    with _opened() as netlink:
        netlink.send(_message(_GET, _REQUEST | _DUMP, socket.AF_UNSPEC, b""))
        while True:
            for kind, body in _messages(netlink.recv(_SPACE)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    _raise(body)
                elif entry := _entry(body):
                    yield entry


def find_answered_by(protocol: int, responder: tuple[str, int], client: tuple[str, int]) -> Entry | None:
    """Find the connection in which *responder* answers *client*, however it was redirected there."""
    addresses = [ipaddress.ip_address(host) for host, _ in (responder, client)]
    first = 1 if addresses[0].version == 4 else 3
    family = socket.AF_INET if first == 1 else socket.AF_INET6
    hosts = b"".join(_attribute(first + number, each.packed) for number, each in enumerate(addresses))
    ports = _attribute(1, bytes((protocol,)))
    ports += b"".join(
        _attribute(2 + number, struct.pack("!H", port))
        for number, (_, port) in enumerate((responder, client))
    )
    tuple_ = _attribute(_ADDRESSES | _NESTED, hosts) + _attribute(_PORTS | _NESTED, ports)
    with _opened() as netlink:
        netlink.send(_message(_GET, _REQUEST, family, _attribute(_REPLY | _NESTED, tuple_)))
        for kind, body in _messages(netlink.recv(_SPACE)):
            if kind == _ERROR:
                return None
            return _entry(body)
    return None


def delete(meant: Callable[[Entry], bool]) -> int:
    """Delete the connections that are meant, and tell how many there were."""
    found = [entry for entry in entries() if meant(entry)]
    with _opened() as netlink:
        for entry in found:
            body = _attribute(_ORIGINAL | _NESTED, entry.original)
            netlink.send(_message(_DELETE, _REQUEST | _ACK, entry.family, body))
            for kind, answer in _messages(netlink.recv(_SPACE)):
                if kind == _ERROR:
                    with contextlib.suppress(FileNotFoundError):  # it ended by itself meanwhile
                        _raise(answer)
    return len(found)


@contextlib.contextmanager
def _opened() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NFNETLINK) as netlink:
        netlink.settimeout(2.0)
        netlink.bind((0, 0))
        yield netlink


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    payload = struct.pack("=BBH", family, 0, 0) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload


def _messages(packet: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 16 <= len(packet):
        length, kind = struct.unpack_from("=IH", packet, position)
        yield kind, packet[position + 16 : position + length]
        position += (length + 3) & ~3


def _raise(body: bytes) -> None:
    if code := -struct.unpack_from("=i", body)[0]:
        raise OSError(code, f"connection tracking: {os.strerror(code)}")


def _entry(body: bytes) -> Entry | None:
    parts = _attributes(body[4:])
    if _ORIGINAL not in parts or _REPLY not in parts:
        return None
    protocol, source, target = _tuple(parts[_ORIGINAL])
    _, answers_from, answers_to = _tuple(parts[_REPLY])
    mark = struct.unpack("!I", parts[_MARK])[0] if _MARK in parts else 0
    return Entry(
        protocol, source, target, answers_from, answers_to, mark, family=body[0], original=parts[_ORIGINAL]
    )


def _tuple(data: bytes) -> tuple[int, tuple[str, int], tuple[str, int]]:
    parts = _attributes(data)
    addresses, ports = _attributes(parts.get(_ADDRESSES, b"")), _attributes(parts.get(_PORTS, b""))
    source, target = (
        str(ipaddress.ip_address(addresses.get(four) or addresses.get(six) or bytes(4)))
        for four, six in ((1, 3), (2, 4))
    )
    begun, ended = (struct.unpack("!H", ports[number])[0] if number in ports else 0 for number in (2, 3))
    return ports.get(1, b"\0")[0], (source, begun), (target, ended)


def _attributes(data: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[position + 4 : position + length]
        position += (length + 3) & ~3
    return found


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)
