"""A network namespace of a test's own, joined to another by a cable, and a process in it that performs operations."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from runner.operations import Context, Held, perform
from runner.operations.record import Operation, Reading

ROOT = Path(__file__).parent.parent
OURS4, THEIRS4, OTHER4 = "10.92.0.2", "10.92.0.1", "10.92.0.3"
OURS6, THEIRS6 = "fd92::2", "fd92::1"

# Performs lists of operations, one JSON line each, and ticks what it holds; "release" lets go; end of input too.
PROGRAM = """
import json, math, select, sys
import msgspec
from runner.operations import Context, perform
from runner.operations import Context, Held, perform
from runner.operations.record import Operation, Reading
decode = msgspec.json.Decoder(tuple[Operation, ...]).decode
held, buffer = [], b""
def let_go():
    while held: held.pop().release()
def answer(line):
    if line == b"release":
        let_go()
        return []
    readings = []
    for operation in decode(line):
        result = perform(operation, Context())
        if not isinstance(result, Reading):
            held.append(result)
            result = result.reading
        readings.append(msgspec.to_builtins(result))
    return readings
import os
try:
    while True:
        due = min((each.tick() for each in held), default=math.inf)
        if not select.select((0,), (), (), None if due == math.inf else max(0, due))[0]:
            continue
        data = os.read(0, 1 << 16)
        if not data: break
        buffer += data
        while b"\\n" in buffer:
            line, buffer = buffer.split(b"\\n", 1)
            try: said = {"readings": answer(line)}
            except Exception as error: said = {"problem": f"{type(error).__name__}: {error}"}
            print(json.dumps(said), flush=True)
finally:
    let_go()
"""


class Room:
    """A namespace, by name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def argv(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str, check: bool = True, text: str | None = None) -> str:
        done = subprocess.run(self.argv(*argv), capture_output=True, text=True, timeout=60, input=text)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def python(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(sys.executable, "-c", program, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the namespace with this thread: sockets made meanwhile stay there, programs started run there."""
        own, other = Path("/proc/thread-self/ns/net"), Path("/run/netns", self.name)
        with own.open() as before, other.open() as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())

    def echo(self, port: int, stack: contextlib.ExitStack) -> None:
        """Answer connections and datagrams with what they bring, by threads of this process."""
        with self.entered():
            stream, datagrams = bound_to(port)
        serving(stack, stream, _echo_streams)
        serving(stack, datagrams, _echo_datagrams)

    def trip(self, host: str, port: int, *, patience: float = 5.0, size: int = 1) -> float | str:
        """Seconds that an echo takes over a new connection, that included; or refused, reset, silence."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.entered():
            peer = socket.socket(family, socket.SOCK_STREAM)
        with peer:
            peer.settimeout(patience)
            begun = time.monotonic()
            try:
                peer.connect((host, port))
                threading.Thread(target=_send, args=(peer, size), daemon=True).start()
                got = 0
                while got < size and (data := peer.recv(1 << 16)):
                    got += len(data)
            except ConnectionRefusedError:
                return "refused"
            except ConnectionResetError:
                return "reset"
            except TimeoutError:
                return "silence"
            except OSError as error:
                return str(error)
            return time.monotonic() - begun

    def pings(self, host: str, port: int, number: int, *, pause: float = 0.0) -> list[float]:
        """Seconds that datagrams take to a peer and back, one after the other; the first two are for warming up.

        *pause* before each: what sleeps that long wakes as slowly as behind a delay.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.entered():
            peer = socket.socket(family, socket.SOCK_DGRAM)
        seconds = []
        with peer:
            peer.settimeout(5.0)
            peer.connect((host, port))
            for _ in range(number + 2):
                time.sleep(pause)
                begun = time.monotonic()
                peer.send(b"x")
                peer.recv(1)
                seconds.append(time.monotonic() - begun)
        return seconds[2:]


class Here:
    """Performs and holds operations in a room, by this process itself: cheap where starting another is slow."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held: list[Held] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def do(self, operation: Operation) -> Reading:
        with self._lock, self._room.entered():
            result = perform(operation, Context())
            assert operation.holds != isinstance(result, Reading), operation
            if isinstance(result, Reading):
                return result
            self._held.append(result)
            return result.reading

    def release(self) -> None:
        with self._lock, self._room.entered():
            while self._held:
                self._held.pop().release()

    def close(self) -> None:
        self._over.set()
        self.release()

    def _tick(self) -> None:
        while not self._over.wait(0.1):
            with self._lock:
                for held in self._held:
                    held.tick()


def _set_namespace(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def bound_to(port: int) -> tuple[socket.socket, socket.socket]:
    """A listener and a socket of datagrams at one port, of both families."""
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", port))
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True), datagrams


def serving(
    stack: contextlib.ExitStack, bound: socket.socket, serve: Callable[[socket.socket], None]
) -> None:
    """Serve until the stack ends, with a thread that has ended by then.

    One that is left in `accept` takes the connections of whichever socket gets the number next.
    """
    thread = threading.Thread(target=serve, args=(bound,), daemon=True)
    thread.start()

    def end() -> None:
        with contextlib.suppress(OSError):  # not connected: it is woken all the same
            bound.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        bound.close()

    stack.callback(end)


def _send(peer: socket.socket, size: int) -> None:
    with contextlib.suppress(OSError):
        peer.sendall(b"x" * size)


def _echo_streams(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed: the test is over
        while True:
            threading.Thread(target=_echo, args=(listener.accept()[0],), daemon=True).start()


def _echo(peer: socket.socket) -> None:
    with contextlib.suppress(OSError), peer:
        while data := peer.recv(1 << 16):
            peer.sendall(data)


def _echo_datagrams(bound: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while (said := bound.recvfrom(1 << 16))[1]:
            bound.sendto(*said)


class Holder:
    """A process in a room that performs and holds operations, as a helper does."""

    def __init__(self, room: Room) -> None:
        self._process = room.python(PROGRAM)
        self.pid = self._process.pid

    def do(self, *operations: Operation) -> list[Reading]:
        """Perform them; raises AssertionError with the problem."""
        said = self._ask(msgspec.json.encode(operations).decode())
        assert "problem" not in said, said["problem"]
        return msgspec.convert(said["readings"], list[Reading])

    def problem(self, *operations: Operation) -> str:
        """Perform what must fail."""
        return self._ask(msgspec.json.encode(operations).decode())["problem"]

    def release(self) -> None:
        self._ask("release")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, line: str) -> dict:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Cable:
    """Two rooms joined by a cable: *ours* is the target's, *theirs* its peer's."""

    def __init__(self, ours: Room, theirs: Room) -> None:
        self.ours, self.theirs = ours, theirs
        self._stack = contextlib.ExitStack()

    def holder(self) -> Holder:
        holder = Holder(self.ours)
        self._stack.callback(holder.close)
        return holder

    def close(self) -> None:
        self._stack.close()

    def server(self, room: Room, *, port: int = 7000, kind: str = "echo") -> None:
        """Let a server answer in a room, until the test ends."""
        process = room.python(SERVER, kind, str(port))
        self._stack.callback(_end, process)
        assert process.stdout.readline() == "up\n"

    def client(self, room: Room, *arguments: str, seconds: float = 20) -> str:
        """What a client in a room experiences: one word or number."""
        done = subprocess.run(
            room.argv(sys.executable, "-c", CLIENT, *arguments),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def talker(self, room: Room, *arguments: str) -> subprocess.Popen[str]:
        """A client that keeps its connection: write a line, read what came of it."""
        process = room.python(TALKER, *arguments)
        self._stack.callback(_end, process)
        assert process.stdout.readline() == "up\n"
        return process


def ask(talker: subprocess.Popen[str], line: str = "x") -> str:
    talker.stdin.write(line + "\n")
    talker.stdin.flush()
    return talker.stdout.readline().strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    process.stdin.close()
    process.stdout.close()


SERVER = """
import socket, socketserver, sys
kind, port = sys.argv[1], int(sys.argv[2])
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            if kind == "push":
                import time
                while True: self.request.sendall(b"x"); time.sleep(0.05)
            while data := self.request.recv(65536): self.request.sendall(data)
        except OSError: pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True; daemon_threads = True; address_family = socket.AF_INET6
    request_queue_size = 100
server = Server(("::", port), Handler)
print("up", flush=True)
server.serve_forever()
"""

# connect HOST PORT PATIENCE [SIZE]: seconds of an echo's round trip, or refused, reset, silence.
CLIENT = """
import socket, sys, time
host, port, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
size = int(sys.argv[4]) if len(sys.argv) > 4 else 1
try:
    with socket.create_connection((host, port), timeout=patience) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        import threading
        begun = time.monotonic()
        threading.Thread(target=peer.sendall, args=(b"x" * size,), daemon=True).start()
        got = 0
        while got < size:
            data = peer.recv(65536)
            if not data: break
            got += len(data)
        print(time.monotonic() - begun)
except ConnectionRefusedError: print("refused")
except ConnectionResetError: print("reset")
except TimeoutError: print("silence")
"""

# HOST PORT PATIENCE: keeps one connection; `x` makes a round trip, `hear` waits for what comes by itself.
TALKER = """
import socket, sys, time
host, port, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
peer = socket.create_connection((host, port), timeout=patience)
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("up", flush=True)
for line in sys.stdin:
    try:
        begun = time.monotonic()
        if line.strip() != "hear": peer.sendall(b"x")
        data = peer.recv(1)
        print(time.monotonic() - begun if data else "end", flush=True)
    except ConnectionResetError: print("reset", flush=True)
    except TimeoutError: print("silence", flush=True)
    except OSError as error: print(error, flush=True)
"""


def cannot(reason: str) -> None:
    """Skip; where everything must run (SQUALL_REQUIRE=1), fail."""
    if os.environ.get("SQUALL_REQUIRE") == "1":
        pytest.fail(f"required here: {reason}")
    pytest.skip(reason)


def tool(name: str) -> bool:
    return bool(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"))


@contextlib.contextmanager
def cable() -> Iterator[Cable]:
    """Two namespaces with a pair of virtual devices between them, for a while."""
    if missing := [name for name in ("ip", "nft", "tc") if not tool(name)]:
        cannot(f"{missing[0]} is not installed")
    if os.geteuid() != 0:
        cannot("namespaces need root")
    tag = f"{os.getpid():x}{threading.get_ident() & 0xFFF:x}"
    rooms = Room(f"squall-{tag}-a"), Room(f"squall-{tag}-b")
    made: list[Room] = []
    joined = Cable(*rooms)
    try:
        for room in rooms:
            _ip("netns", "add", room.name)
            made.append(room)
        _ip(
            "link",
            "add",
            "near",
            "netns",
            rooms[0].name,
            "type",
            "veth",
            "peer",
            "name",
            "far",
            "netns",
            rooms[1].name,
        )
        for room, device, addresses in (
            (rooms[0], "near", (f"{OURS4}/24", f"{OURS6}/64")),
            (rooms[1], "far", (f"{THEIRS4}/24", f"{OTHER4}/24", f"{THEIRS6}/64")),
        ):
            for address in addresses:
                nodad = ("nodad",) if ":" in address else ()
                _ip("-n", room.name, "addr", "add", address, "dev", device, *nodad)
            for each in (device, "lo"):
                _ip("-n", room.name, "link", "set", each, "up")
        _wait_for(rooms[0], THEIRS6)
        yield joined
    finally:
        joined.close()
        for room in made:
            _ip("netns", "del", room.name)


def _wait_for(room: Room, host: str) -> None:
    """Wait until the other end answers, if only that nobody listens: a new device takes a moment."""
    deadline = time.monotonic() + 10
    while room.trip(host, 1, patience=0.2) != "refused":
        assert time.monotonic() < deadline, f"{host} cannot be reached"


def _ip(*argv: str) -> None:
    done: Sequence[str] = ("ip", *argv)
    ended = subprocess.run(done, capture_output=True, text=True, timeout=30)
    if ended.returncode:
        cannot(f"{' '.join(done)}: {ended.stderr.strip()}")
