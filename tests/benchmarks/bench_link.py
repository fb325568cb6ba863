"""What a link costs beside a plain asyncio relay: `.venv/bin/python tests/benchmarks/bench_link.py [SECONDS]`.

Printed: latency added at the median on one idle connection, requests/s over 20 connections through one proxy process
on one core, and by how much an injected delay is off. Clients and upstream share the other core. It judges nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.link_parts import proxy, receive, round_trip

PROXY_CORE, OTHER_CORE = 0, 1
CONNECTIONS = 20
DELAYS = (0.001, 0.005, 0.02, 0.08)
BYTES = b"x" * 64


def echo_forever(listener: socket.socket, core: int) -> None:
    """Answer many connections with the least work that Python can do."""
    os.sched_setaffinity(0, {core})
    poll, peers = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                peer, _ = listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[peer.fileno()] = peer
                poll.register(peer, select.EPOLLIN)
                continue
            data = peers[number].recv(4096)
            if data:
                peers[number].send(data)
            else:
                poll.unregister(number)
                peers.pop(number).close()


def relay_forever(listener: socket.socket, upstream: tuple[str, int], core: int) -> None:
    """The plain asyncio relay that we measure ourselves against."""
    os.sched_setaffinity(0, {core})

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*upstream)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def serve() -> None:
        async with await asyncio.start_server(talk, sock=listener) as server:
            await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def beside(work, *arguments) -> Iterator[tuple[str, int]]:
    """Run a server in a process of its own; its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(
        target=work, args=(listener, *arguments), daemon=True
    )
    process.start()
    address = listener.getsockname()
    listener.close()
    try:
        yield address
    finally:
        process.kill()
        process.join()


def dial(address: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(address, timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def idle_median(address: tuple[str, int], seconds: float) -> float:
    """Seconds of a round trip at the median, one at a time with a pause between."""
    took, end = [], time.monotonic() + seconds
    with dial(address) as client:
        while time.monotonic() < end:
            took.append(round_trip(client, BYTES))
            time.sleep(0.001)
    return statistics.median(took)


def throughput(address: tuple[str, int], seconds: float) -> float:
    """Round trips per second over many connections, each with one under way."""
    clients = {client.fileno(): client for client in (dial(address) for _ in range(CONNECTIONS))}
    poll, done = select.epoll(), 0
    for client in clients.values():
        poll.register(client, select.EPOLLIN)
        client.send(BYTES)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for number, _ in poll.poll(1):
            receive(clients[number], len(BYTES))
            clients[number].send(BYTES)
            done += 1
    took = time.monotonic() - begun
    for client in clients.values():
        receive(client, len(BYTES))
        client.close()
    return done / took


def delay_errors(link, seconds: float) -> Iterator[tuple[float, float]]:
    """By how much a delayed answer is late against the same link without a delay, at the median."""
    for delay in DELAYS:
        plain = idle_median(link.address, seconds / 4)
        link.set("latency", delay=delay)
        yield delay, idle_median(link.address, seconds) - plain - delay
        link.heal("latency")


def main(seconds: float = 2.0) -> None:
    os.sched_setaffinity(0, {OTHER_CORE})
    with (
        tempfile.TemporaryDirectory() as folder,
        beside(echo_forever, OTHER_CORE) as upstream,
        proxy(f"{upstream[0]}:{upstream[1]}", Path(folder)) as link,
        beside(relay_forever, upstream, PROXY_CORE) as relay,
    ):
        os.sched_setaffinity(link.process.pid, {PROXY_CORE})
        ways = {"direct": upstream, "link": link.address, "relay": relay}
        idle = {name: [] for name in ways}
        full = {name: [] for name in ways}
        for _ in range(3):  # in turn, so that a noisy neighbour hurts all alike
            for name, address in ways.items():
                idle[name].append(idle_median(address, seconds / 3))
                full[name].append(throughput(address, seconds / 3))
        best = {name: min(found) for name, found in idle.items()}
        for name in ("link", "relay"):
            print(f"added at the median, idle   {name:6} {(best[name] - best['direct']) * 1e6:8.0f} µs")
        rates = {name: max(found) for name, found in full.items()}
        for name, rate in rates.items():
            print(f"round trips over {CONNECTIONS}          {name:6} {rate:8,.0f} /s")
        print(f"link / relay                       {rates['link'] / rates['relay']:8.2f}")
        for delay, error in delay_errors(link, seconds):
            print(f"delay of {delay * 1e3:3.0f} ms is late by        {error * 1e3:8.3f} ms at the median")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
