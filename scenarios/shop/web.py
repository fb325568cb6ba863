"""A web replica of the shop: pages and orders, read from and written to the store."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from heapq import heapreplace
from html import escape
from itertools import count
from time import perf_counter
from urllib.parse import parse_qs

from scenarios.shop.counts import Counts, page_of
from scenarios.shop.wire import BROKEN, Line, Lines, Request, Response, packed, read_message, run_server

HTML = {"content-type": "text/html; charset=utf-8"}
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
HOME = b"<!doctype html><title>Rain or shine</title><h1>Rain or shine</h1>" + b"".join(
    b"<p><a href=/item/%d>Umbrella no. %d</a>" % (n, n) for n in range(1, 13)
)

JOIN_EVERY = 0.5  # seconds


class StoreAway(Exception):
    """The store did not answer in time, or not at all."""


class StoreClient:
    """The web's side of the store's protocol: kept lines, a timeout, one fresh try for a stale line."""

    def __init__(self, address: str, timeout: float) -> None:
        self.lines, self.timeout = Lines(address), timeout

    async def ask(self, order: str) -> str:
        """Send one line and wait for the answer. Raises StoreAway."""
        try:
            return await asyncio.wait_for(self._ask(f"{order}\n".encode()), self.timeout)
        except (TimeoutError, *BROKEN) as error:
            self.lines.drop()
            raise StoreAway from error

    async def _ask(self, order: bytes) -> str:
        while True:
            line, new = await self.lines.take()
            try:
                return await self._exchange(line, order)
            except BROKEN:
                if new:
                    raise  # a kept line may have died unseen; a new one says how the store is

    async def _exchange(self, line: Line, order: bytes) -> str:
        whole = False
        try:
            line.writer.write(order)
            answer = await line.reader.readline()
            whole = answer.endswith(b"\n")
        finally:
            if whole:
                self.lines.give_back(line)
            else:
                line.close()
        if not whole:
            raise EOFError
        return answer.decode().rstrip()


async def join(front: str, address: str) -> None:
    """Tell the front where we are, again and again: it forgets who falls silent."""
    lines, request = Lines(front), packed(Request("POST", "/join", body=address.encode()), front)
    while True:
        try:
            line, _ = await asyncio.wait_for(lines.take(), JOIN_EVERY)
            line.writer.write(request)
            first, _, _ = await asyncio.wait_for(read_message(line.reader), JOIN_EVERY)
            if first.startswith("HTTP/1.1 2"):
                lines.give_back(line)
            else:  # no front: before a cluster knows the way to its services, somebody else may answer
                line.close()
        except (TimeoutError, *BROKEN):
            lines.drop()
        await asyncio.sleep(JOIN_EVERY)


class Slots:
    """So many pages at a time (0: any number), each for *delay* seconds: COUNT / DELAY a second, however late a sleep ends."""

    def __init__(self, count: int, delay: float) -> None:
        self.delay, self.free = delay, [0.0] * count

    async def take(self) -> None:
        """Wait for the slot that is free first, and for the delay in it."""
        if not self.free:
            await asyncio.sleep(self.delay)
            return
        now = perf_counter()
        done = max(now, self.free[0]) + self.delay
        heapreplace(self.free, done)
        await asyncio.sleep(done - now)


class Web:
    """The pages of one replica. A worse version takes longer for a page (*slots*), and fails a share of *errors*."""

    def __init__(self, store: StoreClient, replica: str, *, slots: Slots, errors: float = 0.0) -> None:
        self.store, self.replica, self.slots, self.errors = store, replica, slots, errors
        self.counts, self.numbers = Counts("web"), count(1)

    async def answer(self, request: Request) -> Response:
        """Answer one request, counted, with the replica's name on it."""
        begun = perf_counter()
        try:
            response = await self.page(request)
        except StoreAway:
            response = Response(503, b"the store does not answer\n", TEXT)
        self.counts.count(page_of(request.path), response.status, begun)
        return Response(response.status, response.body, {**response.headers, "x-replica": self.replica})

    async def page(self, request: Request) -> Response:
        if request.path not in ("/healthz", "/metrics"):
            await self.slots.take()
            if random.random() < self.errors:
                return Response(500, b"this version has a fault\n", TEXT)
        match request.method, request.path:
            case "GET", "/":
                return Response(200, HOME, HTML)
            case "GET", "/healthz":
                return Response(200, b"ok\n", TEXT)
            case "GET", "/metrics":
                return Response(200, self.counts.text(), TEXT)
            case "GET", path if path.startswith("/item/"):
                return await self.item(path.removeprefix("/item/"))
            case "POST", "/order":
                return await self.order(request.body)
        return Response(404, b"no such page\n", TEXT)

    async def item(self, number: str) -> Response:
        found = await self.store.ask(f"GET item/{number}") if number.isdigit() else "NONE"
        if not found.startswith("VALUE "):
            return Response(404, b"no such item\n", TEXT)
        item = json.loads(found.removeprefix("VALUE "))
        text = f"<!doctype html><title>{escape(item['name'])}</title><p>{item['price'] / 100:.2f}"
        return Response(200, text.encode(), HTML)

    async def order(self, body: bytes) -> Response:
        number = parse_qs(body.decode("utf-8", "replace")).get("item", [""])[0]
        if not number.isdigit():
            return Response(400, b"which item? send item=NUMBER\n", TEXT)
        order = f"{self.replica}-{next(self.numbers)}"
        await self.store.ask(f"PUT order/{order} {json.dumps({'item': int(number)})}")
        return Response(201, json.dumps({"order": order}).encode(), JSON)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--store", required=True, help="host:port")
    parser.add_argument("--store-timeout", type=float, default=0.5, help="seconds")
    parser.add_argument("--name", help="of this replica; its port, unless said")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that every page takes more")
    parser.add_argument(
        "--slots", type=int, default=0, help="pages at a time, each for --delay; 0: any number"
    )
    parser.add_argument("--errors", type=float, default=0.0, help="share of the pages that fail, 0 to 1")
    parser.add_argument("--join", help="host:port of a front that takes replicas in")
    parser.add_argument("--address", help="host:port at which that front reaches this replica")
    chosen = parser.parse_args()
    if chosen.join and not chosen.address:
        parser.error("--join needs --address")
    store = StoreClient(chosen.store, chosen.store_timeout)
    slots = Slots(chosen.slots, chosen.delay)
    web = Web(store, chosen.name or str(chosen.port), slots=slots, errors=chosen.errors)
    joining = join(chosen.join, chosen.address) if chosen.join else None
    run_server(web.answer, host=chosen.host, port=chosen.port, background=joining)


if __name__ == "__main__":
    main()
