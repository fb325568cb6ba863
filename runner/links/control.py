"""A link's control socket: 0600, same user only, one JSON packet in and one out, deaf to garbage."""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

import msgspec

from runner.links.loop import READABLE, Loop
from runner.links.reach import reachable
from runner.links.relay import Relay
from runner.links.state import PACKET, Answer, Order

_order = msgspec.json.Decoder(Order)
_encode = msgspec.json.Encoder().encode


class Control:
    """Takes orders for a relay."""

    def __init__(self, loop: Loop, relay: Relay, path: str) -> None:
        self._loop, self._relay, self._path = loop, relay, Path(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._bind()
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._inode = self._path.lstat().st_ino
        loop.watch(self._listener.fileno(), READABLE, self._accept)

    def _bind(self) -> None:
        """Bind with mode 0600 from the first moment; a socket left by a dead proxy makes room."""
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(self._path.lstat().st_mode):
                self._path.unlink()
        os.fchmod(self._listener.fileno(), 0o600)  # Linux takes the new name's mode from the socket
        with reachable(str(self._path)) as name:
            self._listener.bind(name)

    def close(self) -> None:
        """Take the name away, unless a later proxy has taken it over."""
        with suppress(FileNotFoundError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self, _events: int) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if _user_of(peer) not in (os.geteuid(), 0):
            peer.close()
            return
        peer.setblocking(False)
        self._loop.watch(peer.fileno(), READABLE, lambda _: self._hear(peer))

    def _hear(self, peer: socket.socket) -> None:
        try:
            packet = peer.recv(PACKET)
            if packet:
                peer.send(_encode(self.obey(packet)))
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._loop.retire(peer)

    def obey(self, packet: bytes) -> Answer:
        """Carry out one order."""
        try:
            order = _order.decode(packet)
        except msgspec.DecodeError as error:
            return Answer(error=f"not an order: {error}")
        done = True
        if order.verb == "set":
            try:
                done = self._relay.set(order.property, order.value, order.expect)
            except (ValueError, OSError) as error:
                return Answer(error=str(error), state=self._relay.state())
        return Answer(done=done, state=self._relay.state())


def _user_of(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
