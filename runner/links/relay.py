"""A link at work: accepts, relays, and lets its properties be set and healed one by one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

from runner.clock import now
from runner.links.connection import Address, Connection
from runner.links.hurt import Hurt
from runner.links.loop import READABLE, Loop
from runner.links.properties import Value, read_property
from runner.links.state import LinkState, PropertyState

BACKLOG = 4096
TURN = 64  # connections accepted before others get their turn
BREATH = 0.05  # seconds without accepting when descriptors run out
SPENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Relay:
    """One listener, one upstream, any number of connections."""

    def __init__(self, loop: Loop, name: str, listener: socket.socket, upstream: Sequence[Address]) -> None:
        self.loop, self.name, self.upstream = loop, name, upstream
        self.connections: set[Connection] = set()
        self.hurts: dict[str, Hurt] = {}
        self.guarded = True  # somebody lives who would heal it
        self._listener, self._numbers = listener, count(1)
        self._address = listener.getsockname()
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listen()  # also where a proxy before this one left it refusing

    def _listen(self) -> None:
        self._listener.listen(BACKLOG)
        self.loop.forget(self._listener.fileno())
        self.loop.watch(self._listener.fileno(), READABLE, self._accept)

    def _accept(self, _events: int, turn: int = TURN) -> None:
        for _ in range(turn):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in SPENT:
                    self._catch_breath()
                    return
                continue  # a client that went away while it waited
            client.setblocking(False)
            self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        connection = Connection(self, client, next(self._numbers))
        self.connections.add(connection)
        for name, hurt in self.hurts.items():
            if hurt.strikes() and not connection.gone:
                connection.afflict(name, hurt)
        if "blackhole" in connection.hurts:
            self.hurts["blackhole"].count(connection.number)
        if not connection.gone:
            connection.open()

    def _catch_breath(self) -> None:
        self.loop.forget(self._listener.fileno())
        self.loop.call_at(now() + BREATH, self._breathe)

    def _breathe(self) -> None:
        if "refuse" not in self.hurts:
            self._listen()

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)

    def set(self, name: str, value: Value | None, expect: Value | None) -> bool:
        """Set or heal a property; false where a value that is not ours was left alone. Raises ValueError."""
        current = self.hurts.get(name)
        if current is not None and expect is not None and current.value != expect:
            return False
        if value is None:
            self.heal(name)
        elif current is None or current.value != value:
            if not self.guarded:
                raise ValueError("the guardian is gone: nobody would heal it, so nothing can be set any more")
            hurt = Hurt(value, read_property(name, value))
            self.heal(name)
            self._hurt(name, hurt)
        return True

    def _hurt(self, name: str, hurt: Hurt) -> None:
        self.hurts[name] = hurt
        if name == "refuse":
            self._refuse()
            return
        for connection in list(self.connections):
            if hurt.strikes():
                connection.afflict(name, hurt)

    def heal(self, name: str) -> None:
        """End a property; nothing happens where it is not set. Raises OSError where the port was taken."""
        if name not in self.hurts:
            return
        if name == "refuse":
            self._listen()  # first: where it fails, the link still refuses, and says so
        del self.hurts[name]
        for connection in list(self.connections):
            connection.heal(name)

    def heal_all(self) -> None:
        """The guardian is gone: be a good proxy, for ever."""
        self.guarded = False
        for name in list(self.hurts):
            with suppress(OSError):
                self.heal(name)
        if self.hurts:
            self.loop.call_at(now() + BREATH, self.heal_all)

    def _refuse(self) -> None:
        """Stop listening for real, and reversibly: shutdown() of a listening socket is what Linux offers.

        Who was already let in by the kernel is accepted first: established connections stay. A port that
        the kernel chose is let go with it, so it is bound again at once.
        """
        self._accept(READABLE, turn=BACKLOG)
        self.loop.forget(self._listener.fileno())
        self._listener.shutdown(socket.SHUT_RD)
        with suppress(OSError):  # EINVAL: it was bound by number and still is
            self._listener.bind(self._address)

    def state(self) -> LinkState:
        """Say how the link is and what its properties did."""
        return LinkState(
            link=self.name,
            address=self._address[0],
            port=self._address[1],
            connections=len(self.connections),
            guarded=self.guarded,
            properties={
                name: PropertyState(
                    value=hurt.value,
                    connections=hurt.connections,
                    chunks=hurt.chunks,
                    bytes=hurt.bytes,
                    seconds=hurt.seconds,
                )
                for name, hurt in self.hurts.items()
            },
        )
