"""Real parts for the tests of links: a proxy process, servers to relay to, clients to be hurt."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.links.state import LinkState, Order
from runner.operations.links import LinkGone, ask, perform_check_link, perform_link_set
from runner.operations.record import CheckLink, LinkSet, Reading

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20.0  # seconds for what must come, also on a busy machine


class Proxy:
    """A link's proxy in a process of its own, on a listener that we hold, as the guardian does."""

    def __init__(self, upstream: str, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.upstream, self.control = upstream, str(folder / "link.sock")
        self.listener = socket.create_server((host, port), family=family)
        self.process: subprocess.Popen[bytes] | None = None
        self.lifeline = -1
        self.address: tuple[str, int] = self.listener.getsockname()[:2]

    def start(self) -> None:
        """Start the process, also in place of one that died."""
        pulse, self.lifeline = os.pipe()
        listener = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runner.links.proxy", "--link", "store",
             "--upstream", self.upstream, "--control", self.control],
            env=os.environ | {"SQUALL_LISTENERS": f"store={listener},lifeline={pulse}"},
            pass_fds=(listener, pulse), cwd=ROOT,
        )  # fmt: skip
        os.close(pulse)
        until(lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, "the proxy did not start"

    def answers(self) -> bool:
        try:
            return ask(self.control, Order(verb="get")).state is not None
        except LinkGone:
            return False

    def state(self) -> LinkState:
        state = ask(self.control, Order(verb="get")).state
        assert state is not None
        return state

    def set(self, name: str, **value: float | str) -> Reading:
        return perform_link_set(LinkSet(link="store", socket=self.control, property=name, value=value))

    def heal(self, name: str, **expect: float | str) -> Reading:
        return perform_link_set(
            LinkSet(link="store", socket=self.control, property=name, expect=expect or None)
        )

    def check(self, name: str) -> Reading:
        return perform_check_link(CheckLink(link="store", socket=self.control, property=name))

    def client(self, timeout: float = PATIENCE) -> socket.socket:
        client = socket.create_connection(self.address, timeout=timeout)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def cut_lifeline(self) -> None:
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.cut_lifeline()
        self.listener.close()


@contextmanager
def proxy(upstream: str, folder: Path, **options: str | int) -> Iterator[Proxy]:
    """Run a proxy for a while."""
    running = Proxy(upstream, folder, **options)
    try:
        running.start()
        yield running
    finally:
        running.close()


Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve with a thread for each connection; the address is host:port as the proxy takes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=4096)
    stop = threading.Event()
    open_ones: list[socket.socket] = []

    def serve_one(peer: socket.socket) -> None:
        with suppress(OSError), peer:
            talk(peer)

    def serve() -> None:
        while not stop.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            open_ones.append(peer)
            threading.Thread(target=serve_one, args=(peer,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    try:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for peer in open_ones:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


@contextmanager
def crowd_server() -> Iterator[str]:
    """Echo for thousands of connections in one thread."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    chooser, alive = selectors.DefaultSelector(), [True]
    chooser.register(listener, selectors.EVENT_READ)

    def serve() -> None:
        while alive[0]:
            for key, _ in chooser.select(0.1):
                if key.fileobj is listener:
                    peer, _ = listener.accept()
                    chooser.register(peer, selectors.EVENT_READ)
                    continue
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.send(data)
                else:
                    chooser.unregister(key.fileobj)
                    key.fileobj.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        alive[0] = False
        thread.join(PATIENCE)
        for key in list(chooser.get_map().values()):
            key.fileobj.close()
        chooser.close()


def echo(peer: socket.socket) -> None:
    """Send back what comes, until the end of the stream; then end too."""
    while data := peer.recv(65536):
        peer.sendall(data)


def greet(peer: socket.socket) -> None:
    """Speak first, as a database does."""
    peer.sendall(b"hello\n")
    echo(peer)


def round_trip(client: socket.socket, data: bytes = b"ping") -> float:
    """Send and wait for the echo; the seconds it took."""
    begun = time.monotonic()
    client.sendall(data)
    assert receive(client, len(data)) == data
    return time.monotonic() - begun


def receive(client: socket.socket, size: int) -> bytes:
    """Read exactly *size* bytes."""
    whole = b""
    while len(whole) < size:
        part = client.recv(size - len(whole))
        assert part, f"the stream ended after {len(whole)} of {size} bytes"
        whole += part
    return whole


def until(true: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.005)
