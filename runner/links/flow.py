"""One direction of a relayed connection: read, hold until due, write; never reordered, never lost."""

from __future__ import annotations

import math
import socket
from collections import deque
from typing import NamedTuple, Protocol

from runner.clock import now
from runner.links.hurt import Hurt, Way
from runner.links.loop import BROKEN, READABLE, WRITABLE, Loop

HOLD_LIMIT = 1 << 20  # bytes that may be on their way in one direction; beyond, the source has to wait
MADE_GOOD = 0.1  # seconds: a narrow link that we woke for later than that has lost the rest
RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: on, 0 seconds
_BUFFER = bytearray(1 << 18)  # shared: one thread, and nothing stays in it
_VIEW = memoryview(_BUFFER)


class Pair(Protocol):
    """The connection as its ends and flows see it."""

    number: int
    hurts: dict[str, Hurt]
    gone: bool
    torn: bool  # bytes of it were swallowed

    def lose(self, end: End) -> None: ...

    def ended(self) -> None: ...


class End:
    """One socket of a connection: what is read here leaves by *outward*; *inward* is written here."""

    __slots__ = ("_closed", "_events", "_loop", "_watched", "inward", "outward", "pair", "socket")

    outward: Flow
    inward: Flow

    def __init__(self, loop: Loop, sock: socket.socket, pair: Pair) -> None:
        self._loop, self.socket, self.pair = loop, sock, pair
        self._events, self._watched, self._closed = 0, False, False

    def attend(self) -> None:
        """Ask the loop for just the events that can be used now."""
        if self._closed:
            return
        events = (READABLE if self.outward.reading else 0) | (WRITABLE if self.inward.waiting else 0)
        wanted = bool(events) or not self.inward.closed  # else a hang-up would be reported without end
        if wanted and not self._watched:
            self._loop.watch(self.socket.fileno(), events, self.ready)
        elif wanted and events != self._events:
            self._loop.change(self.socket.fileno(), events)
        elif self._watched and not wanted:
            self._loop.forget(self.socket.fileno())
        self._events, self._watched = events, wanted

    def ready(self, events: int) -> None:
        asked = self._events
        if asked & READABLE and events & (READABLE | BROKEN):
            self.outward.pull()
        if asked & WRITABLE and events & (WRITABLE | BROKEN) and not self._closed:
            self.inward.drain()
        if not asked and events & BROKEN and not self._closed:
            self.pair.lose(self)

    def close(self, *, reset: bool) -> None:
        """Close the socket; a reset tells the peer that something is lost."""
        if not self._closed:
            self._closed = True
            hang_up(self._loop, self.socket, reset=reset)


def hang_up(loop: Loop, sock: socket.socket, *, reset: bool) -> None:
    """Close a socket by the loop, with FIN or with RST."""
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    loop.retire(sock)


class Held(NamedTuple):
    """A chunk on its way; no *data* is the end of the stream. *hurt* made it late."""

    due: float
    came: float
    data: bytes
    hurt: Hurt | None


class Flow:
    """What *source* sends, on its way to *sink*."""

    __slots__ = (
        "_alarm", "_free_at", "_held", "_held_bytes", "_last", "_loop", "_over", "_paced", "_receive", "_transmit",
        "closed", "pair", "portion", "sink", "source", "waiting", "way",
    )  # fmt: skip

    def __init__(self, loop: Loop, way: Way, *, source: End, sink: End, pair: Pair) -> None:
        self._loop, self.way, self.source, self.sink, self.pair = loop, way, source, sink, pair
        self._receive, self._transmit = source.socket.recv_into, sink.socket.send
        source.outward = sink.inward = self
        self._held: deque[Held] = deque()
        self.waiting: deque[memoryview] = deque()  # due, but the sink has no room
        self._held_bytes, self._alarm = 0, math.inf
        self.portion = 0  # bytes to read at once; 0: as many as there are
        self._paced = False  # a narrow link is still carrying the last chunk
        self._free_at = math.inf  # when it was to have carried it, where the next waited for that
        self._over = False  # the source has sent its last
        self._last = False  # and all of it was due: what waits is the rest
        self.closed = False  # and the sink has been told

    @property
    def reading(self) -> bool:
        """Backpressure: read only what can be passed on or held."""
        return not (self._over or self.waiting or self._paced or self._held_bytes > HOLD_LIMIT)

    def pull(self) -> None:
        """Read what is there and pass it on; the path of a healthy link is short."""
        try:
            size = self._receive(_BUFFER, self.portion)
        except BlockingIOError:
            return
        except OSError:
            self.pair.lose(self.source)
            return
        if self.pair.hurts:
            self._pull_hurt(size)
        elif size:
            self._push(_VIEW[:size])
        else:
            self._over = True
            self._finish()

    def _pull_hurt(self, size: int) -> None:
        self._over = not size
        if self._swallowed(size):
            self.source.attend()
            return
        moment = due = now()
        hurts, late = self.pair.hurts, None
        if size and (narrow := hurts.get("bandwidth")):
            due = narrow.carried_at(self.way, size, min(moment, self._free_at))
            narrow.count(self.pair.number, chunks=1, size=size)
            self._pace(due)
        if (latency := hurts.get("latency")) and (delay := latency.delay(self.way)):
            due, late = due + delay, latency
        if not size and (slow := hurts.get("slow_close")):
            due, late = due + slow.end_delay(), slow
        self._hold(Held(due, moment, bytes(_VIEW[:size]), late))

    def _swallowed(self, size: int) -> bool:
        hole = self.pair.hurts.get("blackhole")
        if hole is not None:
            hole.count(self.pair.number, chunks=1, size=size)
            self.pair.torn = True
        return hole is not None

    def _pace(self, until: float) -> None:
        self._paced = True
        self.source.attend()
        self._loop.call_at(until, lambda: self._resume(until))

    def _resume(self, due: float) -> None:
        """Read on. What waits already has waited since *due*: that we woke late must not narrow the link."""
        self._paced = False
        if self.reading and not self.pair.gone:
            self._free_at = max(due, now() - MADE_GOOD)
            self.pull()
            self._free_at = math.inf
        self.source.attend()

    def _hold(self, held: Held) -> None:
        """Keep a chunk until it is due, behind those before it."""
        if self._held and self._held[-1].due > held.due:
            held = held._replace(due=self._held[-1].due)
        self._held.append(held)
        self._held_bytes += len(held.data)
        self._release()

    def _release(self) -> None:
        """Pass on what is due, and wake for the next."""
        moment = now()
        while self._held and self._held[0].due <= moment and not self.pair.gone:
            self._pass_on(self._held.popleft(), moment)
        if self._held and self._held[0].due < self._alarm:
            self._alarm = self._held[0].due
            self._loop.call_at(self._alarm, self._wake)
        self.source.attend()

    def _wake(self) -> None:
        self._alarm = math.inf
        if not self.pair.gone:
            self._release()

    def _pass_on(self, held: Held, moment: float) -> None:
        self._held_bytes -= len(held.data)
        if held.hurt is not None:
            held.hurt.count(self.pair.number, chunks=1, size=len(held.data), seconds=moment - held.came)
        if held.data:
            self._push(memoryview(held.data))
        else:
            self._finish()

    def _push(self, data: memoryview) -> None:
        """Write what the sink has room for; the rest waits, and the source with it."""
        sent = 0
        if not self.waiting:
            try:
                sent = self._transmit(data)
            except BlockingIOError:
                pass
            except OSError:
                self.pair.lose(self.sink)
                return
        if sent < len(data):
            self.waiting.append(memoryview(bytes(data[sent:])))
            self.source.attend()
            self.sink.attend()

    def drain(self) -> None:
        """Write what waits, now that the sink has room."""
        while self.waiting:
            try:
                sent = self._transmit(self.waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.pair.lose(self.sink)
                return
            if sent < len(self.waiting[0]):
                self.waiting[0] = self.waiting[0][sent:]
                return
            self.waiting.popleft()
        self.source.attend()
        self.sink.attend()
        if self._last:
            self._finish()

    def _finish(self) -> None:
        """Tell the sink that no more will come, once all is written: the other way stays open."""
        self._last = True
        if self.waiting or self.closed:
            return
        self.closed = True
        try:
            self.sink.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.pair.lose(self.sink)
            return
        self.source.attend()
        self.sink.attend()
        self.pair.ended()

    def hurry(self) -> None:
        """Pass on at once whatever was held back, in order."""
        self._paced = False
        self._held = deque(held._replace(due=0.0) for held in self._held)
        self._release()

    def swallow_held(self, hole: Hurt) -> None:
        """Lose what is on its way: the link has become a black hole."""
        chunks = len(self._held) + len(self.waiting)
        if chunks:
            size = self._held_bytes + sum(map(len, self.waiting))
            hole.count(self.pair.number, chunks=chunks, size=size)
            self.pair.torn = True
        self._held.clear()
        self.waiting.clear()
        self._held_bytes, self._paced = 0, False
        self.source.attend()
        self.sink.attend()
