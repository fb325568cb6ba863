"""The shop's front: balances over web replicas, knows which are healthy, tries another one once, shares between versions."""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import re
from time import perf_counter

from scenarios.shop.counts import Counts, page_of
from scenarios.shop.wire import BROKEN, Line, Lines, Request, Response, packed, read_message, run_server

HEALTH_EVERY = 0.5  # seconds
HEALTH_AGAIN = 0.1  # for one that is not healthy: it is missed
HEALTH_TIMEOUT = 0.5
FORGOTTEN = 5.0  # seconds after which one that joined and is neither heard nor healthy is forgotten
IDEMPOTENT = frozenset({"GET", "HEAD"})
ADDRESS = re.compile(r"[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}")
PASSED_ON = frozenset({"content-type", "x-replica"})


class Unsent(OSError):
    """The replica took no connection: the request never reached it, so it may go elsewhere."""


class Replica:
    """One web process as the front sees it."""

    def __init__(self, address: str) -> None:
        self.address, self.lines, self.healthy, self.busy = address, Lines(address), True, 0
        self.heard = perf_counter()  # when it joined last

    async def send(self, request: Request) -> Response:
        """Pass a request on. Raises Unsent, TimeoutError or what is in BROKEN."""
        self.busy += 1
        try:
            line, _ = await self._line()
            return await self._exchange(line, request)
        finally:
            self.busy -= 1

    async def _line(self) -> tuple[Line, bool]:
        try:
            return await self.lines.take()
        except OSError as error:
            raise Unsent from error

    async def _exchange(self, line: Line, request: Request) -> Response:
        whole = False
        try:
            line.writer.write(packed(request, self.address))
            first, headers, body = await read_message(line.reader)
            whole = headers.get("connection", "") != "close"
            kept = {name: value for name, value in headers.items() if name in PASSED_ON}
            return Response(int(first.split(" ")[1]), body, kept)
        finally:
            if whole:
                self.lines.give_back(line)
            else:
                line.close()


class Front:
    """Balances over *replicas*: the least busy healthy one, in turn where they are level.

    With *joining*, replicas say themselves where they are, again and again: in a cluster their addresses come and go.
    """

    def __init__(
        self, replicas: list[Replica], *, timeout: float, retry: bool, joining: bool = False
    ) -> None:
        self.replicas, self.timeout, self.retry, self.joining = replicas, timeout, retry, joining
        self.counts = Counts("front")
        self.watches: set[asyncio.Task[None]] = set()

    async def answer(self, request: Request) -> Response:
        """Answer one request by a replica, counted."""
        begun = perf_counter()
        match request.path:
            case "/healthz":
                return Response(200, b"ok\n")
            case "/metrics":
                return Response(200, self.counts.text(), {"content-type": "text/plain"})
            case "/join" if self.joining and request.method == "POST":
                return self.joined(request.body.decode("latin-1"))
        response = await self.balanced(request)
        self.counts.count(page_of(request.path), response.status, begun)
        return response

    def joined(self, address: str) -> Response:
        """Take in a replica, or note that it is still there."""
        if not ADDRESS.fullmatch(address):
            return Response(400, b"say host:port\n")
        for replica in self.replicas:
            if replica.address == address:
                replica.heard = perf_counter()
                return Response(200)
        self.replicas.append(replica := Replica(address))
        watch = asyncio.ensure_future(self.watch_one(replica))
        self.watches.add(watch)
        watch.add_done_callback(self.watches.discard)
        return Response(201)

    async def balanced(self, request: Request) -> Response:
        """Pass the request to a replica, and once more to another where that can do no harm."""
        passed = Request(request.method, request.path, _end_to_end(request), request.body)
        if not self.replicas:
            return Response(503, b"no replica has joined\n")
        first = self.choose()
        response, safe = await self.attempt(first, passed)
        other = self.choose(but=first) if self.replicas else first
        if response.status < 502 or not safe or not self.retry or other is first:
            return response
        self.counts.retries += 1
        return (await self.attempt(other, passed))[0]

    async def attempt(self, replica: Replica, request: Request) -> tuple[Response, bool]:
        """Try one replica; say also whether the request may be tried again elsewhere."""
        repeatable = request.method in IDEMPOTENT
        try:
            return await asyncio.wait_for(replica.send(request), self.timeout), False
        except Unsent:
            return Response(502, b"the replica takes no connections\n"), True
        except TimeoutError:
            return Response(504, b"the replica does not answer\n"), repeatable
        except BROKEN:
            return Response(502, b"the replica broke off\n"), repeatable

    def choose(self, but: Replica | None = None) -> Replica:
        """Pick the next replica: healthy before unhealthy, idle before busy; turn by turn."""
        self.replicas.append(self.replicas.pop(0))
        others = [replica for replica in self.replicas if replica is not but] or self.replicas
        return min(others, key=lambda replica: (not replica.healthy, replica.busy))

    async def watch(self) -> None:
        """Check the health of every replica that was named, for ever."""
        await asyncio.gather(*(self.watch_one(replica) for replica in list(self.replicas)))

    async def watch_one(self, replica: Replica) -> None:
        while replica.healthy or not self.joining or perf_counter() - replica.heard < FORGOTTEN:
            try:
                answer = await asyncio.wait_for(replica.send(Request("GET", "/healthz")), HEALTH_TIMEOUT)
                replica.healthy = answer.status == 200
            except (TimeoutError, *BROKEN):
                replica.healthy = False
                replica.lines.drop()
            await asyncio.sleep(HEALTH_EVERY if replica.healthy else HEALTH_AGAIN)
        self.replicas.remove(replica)


class Splitter:
    """Shares the requests between two versions; every answer says in X-Version which it was.

    `PUT /split` with a share (0 to 1, as in `0.2`) sends that much of what comes to the next version, `GET` says how much.
    """

    def __init__(self, stable: Front, next_: Front) -> None:
        self.stable, self.next, self.share = stable, next_, 0.0

    async def answer(self, request: Request) -> Response:
        """Answer one request by a version."""
        match request.path:
            case "/split":
                return self.split(request)
            case "/healthz" | "/metrics" | "/join":
                return await self.stable.answer(request)
        front, version = (self.next, "next") if random.random() < self.share else (self.stable, "stable")
        response = await front.answer(request)
        return Response(response.status, response.body, {**response.headers, "x-version": version})

    def split(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                share = float(request.body)
            except ValueError:
                share = math.nan
            if not 0 <= share <= 1:
                return Response(400, b"say a share from 0 to 1\n")
            self.share = share
        return Response(200, f"{self.share:g}\n".encode())

    async def watch(self) -> None:
        """Check the health of all replicas of both, for ever."""
        await asyncio.gather(self.stable.watch(), self.next.watch())


def _end_to_end(request: Request) -> dict[str, str]:
    kept = ("accept", "content-type", "user-agent")
    return {name: request.headers[name] for name in kept if name in request.headers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--webs", default="", help="host:port of each replica, with commas or blanks between")
    parser.add_argument(
        "--next", default="", help="replicas of the next version; it gets what PUT /split says"
    )
    parser.add_argument("--joining", action="store_true", help="replicas may join by themselves (web --join)")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds that a replica may take")
    parser.add_argument(
        "--no-retry", action="store_true", help="show the first replica's failure to the client"
    )
    chosen = parser.parse_args()
    if not chosen.webs.strip() and not chosen.joining:
        parser.error("say --webs, or --joining")
    stable = _front(chosen, chosen.webs, joining=chosen.joining)
    front = Splitter(stable, _front(chosen, chosen.next, joining=False)) if chosen.next.strip() else stable
    run_server(front.answer, host=chosen.host, port=chosen.port, background=front.watch())


def _front(chosen: argparse.Namespace, webs: str, *, joining: bool) -> Front:
    replicas = [Replica(address) for address in re.split(r"[,\s]+", webs.strip()) if address]
    return Front(replicas, timeout=chosen.timeout, retry=not chosen.no_retry, joining=joining)


if __name__ == "__main__":
    main()
