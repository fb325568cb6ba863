"""One client's connection through a link: its two sockets, its two flows, and what hurts it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from runner.clock import now
from runner.links.flow import End, Flow, hang_up
from runner.links.hurt import Hurt
from runner.links.loop import BROKEN, READABLE, WRITABLE, Loop
from runner.links.properties import Reset

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


class Owner(Protocol):
    """Who keeps the connections of a link."""

    loop: Loop
    upstream: Sequence[Address]

    def left(self, connection: Connection) -> None: ...


class Connection:
    """From accept to the end of both sockets. Before the upstream answers, only the client's is watched."""

    __slots__ = ("_client", "_dialled", "_ends", "_flows", "_owner", "gone", "hurts", "number", "torn")

    def __init__(self, owner: Owner, client: socket.socket, number: int) -> None:
        self._owner, self._client, self.number = owner, client, number
        self._dialled: socket.socket | None = None
        self._ends: tuple[End, ...] = ()
        self._flows: tuple[Flow, ...] = ()
        self.hurts: dict[str, Hurt] = {}
        self.gone = self.torn = False

    def open(self) -> None:
        """Begin: dial the upstream, unless the link is a black hole to this connection."""
        if "blackhole" in self.hurts:
            self._owner.loop.watch(self._client.fileno(), READABLE, self._swallow)
        elif not self.gone:
            self._owner.loop.watch(self._client.fileno(), 0, self._abandoned)
            self._dial(0)

    def _dial(self, nth: int) -> None:
        """Connect to the *nth* address of the upstream, or the next one that takes us."""
        for position, (family, address) in enumerate(self._owner.upstream[nth:], nth + 1):
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                continue  # out of descriptors, or of a family that the kernel lacks: another may do
            sock.setblocking(False)
            if sock.connect_ex(address) in (0, errno.EINPROGRESS):
                self._dialled = sock
                self._owner.loop.watch(sock.fileno(), WRITABLE, partial(self._answered, sock, position))
                return
            sock.close()
        self.reset()

    def _answered(self, sock: socket.socket, tried: int, _events: int) -> None:
        """Take the upstream's answer to the dial: relay, or try its next address."""
        self._owner.loop.forget(sock.fileno())
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._owner.loop.retire(sock)
            self._dial(tried)
            return
        self._owner.loop.forget(self._client.fileno())
        client, upstream = (End(self._owner.loop, each, self) for each in (self._client, sock))
        self._ends = (client, upstream)
        self._flows = (
            Flow(self._owner.loop, "up", source=client, sink=upstream, pair=self),
            Flow(self._owner.loop, "down", source=upstream, sink=client, pair=self),
        )
        for end in self._ends:
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.attend()
        self._set_portions()

    def _abandoned(self, events: int) -> None:
        if events & BROKEN:
            self.reset()

    def _swallow(self, _events: int) -> None:
        """Read and lose what a client sends into a black hole that never dialled."""
        try:
            data = self._client.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            self.reset()
            return
        self.torn = True
        self.hurts["blackhole"].count(self.number, chunks=1, size=len(data))
        if not data:
            self._owner.loop.forget(self._client.fileno())

    def afflict(self, name: str, hurt: Hurt) -> None:
        """Let a property of the link hurt this connection from now on."""
        self.hurts[name] = hurt
        self._set_portions()
        if name == "blackhole":
            for flow in self._flows:
                flow.swallow_held(hurt)
        if isinstance(hurt.knobs, Reset):
            if hurt.knobs.after:
                self._owner.loop.call_at(now() + hurt.knobs.after, lambda: self._reset_by(hurt))
            else:
                self._reset_by(hurt)

    def _reset_by(self, hurt: Hurt) -> None:
        if self.hurts.get("reset") is hurt and not self.gone:
            hurt.count(self.number)
            self.reset()

    def heal(self, name: str) -> None:
        """End a property here: what was held back goes on at once; what lost bytes is reset."""
        if self.hurts.pop(name, None) is None:
            return
        self._set_portions()
        if name == "blackhole" and self.torn:
            self.reset()
        elif name == "blackhole" and not self._ends and self._dialled is None:
            self._owner.loop.forget(self._client.fileno())
            self.open()
        for flow in self._flows:
            flow.hurry()

    def _set_portions(self) -> None:
        portion = self.hurts["bandwidth"].portion if "bandwidth" in self.hurts else 0
        for flow in self._flows:
            flow.portion = portion

    def ended(self) -> None:
        """One flow has come to its end; after both, close."""
        if all(flow.closed for flow in self._flows):
            self._close(reset=False)

    def lose(self, end: End) -> None:
        """A socket broke: its peer learns by a reset, unless there is a black hole between them."""
        if "blackhole" not in self.hurts:
            self.reset()
            return
        self.torn = True
        end.close(reset=True)

    def reset(self) -> None:
        """End at once, with RST to both sides."""
        self._close(reset=True)

    def _close(self, *, reset: bool) -> None:
        if self.gone:
            return
        self.gone = True
        if self._ends:
            for end in self._ends:
                end.close(reset=reset)
        else:
            for sock in (self._client, self._dialled):
                if sock is not None:
                    hang_up(self._owner.loop, sock, reset=reset)
        self._owner.left(self)
