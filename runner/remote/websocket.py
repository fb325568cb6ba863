"""A WebSocket as the attach calls of Kubernetes speak it (RFC 6455, v4.channel.k8s.io): channels of bytes, no more."""

from __future__ import annotations

import contextlib
import os
import socket

from runner.remote.stream import SocketStream

STDIN, STDOUT, STDERR, ERROR = b"\0", b"\1", b"\2", b"\3"
PROTOCOL = "v4.channel.k8s.io"
_BINARY, _CLOSE, _PING, _PONG = 0x2, 0x8, 0x9, 0xA
_CONTROL = 0x8  # bit of the opcodes that are no data


class PodStream(SocketStream):
    """The attached streams of a container in a pod."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        super().__init__(connection, rest)
        self._message = b""

    def close(self) -> None:
        """Say goodbye, and hang up."""
        if not self.ended:
            with contextlib.suppress(Exception):
                self._send_all(_frame(_CLOSE, (1000).to_bytes(2, "big")))
        super().close()

    def _packed(self, data: bytes) -> bytes:
        return _frame(_BINARY, STDIN + data)

    def _unpacked(self) -> bytes:
        out = b""
        while (frame := _first(self._bytes)) is not None:
            final, opcode, payload, size = frame
            self._bytes = self._bytes[size:]
            if opcode == _CLOSE:
                self.ended = True
            elif opcode == _PING:
                self._send_all(_frame(_PONG, payload))
            elif not opcode & _CONTROL:
                self._message += payload
                if final:
                    out += self._heard(self._message[:1], self._message[1:])
                    self._message = b""
        return out

    def _heard(self, channel: bytes, payload: bytes) -> bytes:
        if channel == STDERR or (channel == ERROR and b'"Failure"' in payload):
            self._complained(payload)
        return payload if channel == STDOUT else b""


def _frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame, as a client has to send it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + mask + masked


def _first(data: bytes) -> tuple[bool, int, bytes, int] | None:
    """The first complete frame: is it final, opcode, payload, bytes taken. None where it is not complete."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if data[1] & 0x80:  # a server does not mask; skip the mask of one that does
        return None
    if len(data) < start + size:
        return None
    return bool(data[0] & 0x80), data[0] & 0xF, data[start : start + size], start + size
