"""A load worker as the runner sees it: started, ordered, listened to, and never trusted to end by itself."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from runner.clock import TimeAnchor
from runner.errors import Refused
from runner.load.frames import Chunk
from runner.load.orders import Begin, Hello, Order, Prepare, Stop, TimedStage, write_order
from runner.load.packets import packets, widen
from runner.scenario import Load

__all__ = ["Crowd", "TimedStage", "classes_in"]

LAST_WORDS = 2.5  # seconds after the grace in which the final chunk has to come and the process to end
KILLED_WITHIN = 5.0  # seconds that the kernel may take to bury a killed process

_ROOT = str(Path(__file__).parents[2])
_START = "import sys; sys.path.append(sys.argv.pop(1)); import runpy; runpy.run_module('runner.load.worker', run_name='__main__')"

_decoder = msgspec.msgpack.Decoder(Chunk)


class Crowd:
    """One worker of one load: a child process in a session of its own.

    *on_chunk* is called on the reader's thread with each chunk and its packed bytes, length included.
    *on_end* is called once there, when the worker has ended, for whatever reason; `problem` then says if it was one.
    """

    def __init__(
        self,
        load: Load,
        *,
        worker: int,
        anchor: TimeAnchor,
        run: str,
        log: Path,
        variables: Mapping[str, str],
        on_chunk: Callable[[Chunk, bytes], None],
        on_end: Callable[[Crowd], None] | None = None,
    ) -> None:
        self._load, self._worker, self._anchor, self._log = load, worker, anchor, log
        self._environment = {**os.environ, **variables, "SQUALL_RUN": run, "SQUALL_ROLE": "load"}
        for switch in ("LOCUST_SKIP_MONKEY_PATCH", "LOCUST_SKIP_URLLIB3_PATCH"):
            self._environment.pop(switch, None)  # without its patches Locust makes no load
        self._on_chunk, self._on_end = on_chunk, on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._greeted, self._ended, self._last = threading.Event(), threading.Event(), threading.Event()
        self._burial = threading.Lock()  # a pid is signalled only while its process is not reaped
        self._status: int | None = None
        self._hello: Hello | None = None
        self._stopping = False
        self.problem = ""

    @property
    def name(self) -> str:
        return f"load {self._load.name}, worker {self._worker}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended.is_set()

    def start(self) -> None:
        """Spawn the worker; return at once."""
        frames_in, frames_out = os.pipe()
        with contextlib.suppress(OSError):  # a user's pipes may be limited; a smaller one does as well
            widen(frames_out)
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START, _ROOT, str(frames_out)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(frames_out,),
                    env=self._environment,
                    start_new_session=True,
                )
        except OSError as error:
            os.close(frames_in)
            raise Refused(f"{self.name}: cannot start: {error}") from error
        finally:
            os.close(frames_out)
        threading.Thread(target=self._read, args=(frames_in,), name=self.name, daemon=True).start()
        self._order(self._preparation())

    def wait_ready(self, timeout: float) -> None:
        """Wait until the locustfile is loaded; raise Refused in its own words where it cannot be."""
        self._greeted.wait(timeout)
        hello = self._hello
        if hello is not None and not hello.refused:
            return
        self._kill()
        if hello is not None:
            raise Refused(hello.refused)
        if self._greeted.is_set():
            raise Refused(f"{self._load.locustfile}: {self.problem}; its last words are in {self._log}")
        raise Refused(f"{self._load.locustfile}: not loaded within {timeout:g} s; see {self._log}")

    def begin(self, stages: Sequence[TimedStage]) -> None:
        """Let the load follow *stages*, in seconds since the anchor; levels are this worker's share.

        Arrivals that were due before the order reached the worker are left out: let the first stage start
        a little later than now.
        """
        self._order(Begin(tuple(stages)))

    def stop(self, grace: float) -> None:
        """Begin nothing new, give users *grace* seconds to end their task, take the final chunk, end the process."""
        if self._process is None:
            return
        self._stopping = True
        self._order(Stop(grace))
        if not self._ended.wait(grace + LAST_WORDS) and not self._last.is_set():
            self.problem = (
                self.problem or f"{self.name} sent no final chunk within {grace + LAST_WORDS:g} s; killed"
            )
        self._kill()

    def _preparation(self) -> Prepare:
        load = self._load
        return Prepare(
            load=load.name,
            worker=self._worker,
            workers=load.workers,
            locustfile=load.locustfile,
            classes=load.classes,
            host=load.host,
            model=load.model,
            labels=load.labels,
            anchor=self._anchor.monotonic,
        )

    def _order(self, order: Order) -> None:
        """Send an order; of a worker that has ended the reader tells."""
        assert self._process is not None, "not started"
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(write_order(order))
            self._process.stdin.flush()

    def _kill(self) -> None:
        """End the worker's whole session and wait for the reader, which buries it."""
        assert self._process is not None, "not started"
        self._stopping = True
        with self._burial:
            if self._status is None:
                _kill_session(self._process.pid)
        self._ended.wait(KILLED_WITHIN)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _read(self, frames: int) -> None:
        assert self._process is not None, "started before its reader"
        death = os.pidfd_open(self._process.pid)
        try:
            for packet in packets(frames, death):
                self._take(packet)
        finally:
            os.close(frames)
            os.close(death)
            self._end()

    def _take(self, packet: bytes) -> None:
        if self._hello is None:
            self._hello = msgspec.msgpack.decode(packet[4:], type=Hello)
            self._greeted.set()
            return
        chunk = _decoder.decode(packet[4:])
        if chunk.problem:
            self.problem = f"{self.name}: {chunk.problem}"
        try:
            self._on_chunk(chunk, packet)
        except Exception as error:  # noqa: BLE001  # whatever the runner does with it, the worker is still listened to
            self.problem = f"{self.name}: its chunk {chunk.sequence} could not be taken: {error!r}"
        if chunk.final:
            self._last.set()

    def _end(self) -> None:
        assert self._process is not None, "started before its reader"
        with self._burial:
            _kill_session(self._process.pid)  # what user code started, too
            self._status = status = self._process.wait()
        if not self._stopping and not self._last.is_set() and not self.problem:
            how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            self.problem = f"{self.name} {how}"
        self._greeted.set()
        self._ended.set()
        if self._on_end is not None:
            self._on_end(self)


def _kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def classes_in(locustfile: Path) -> list[str]:
    """Name the user classes of a locustfile by reading, not importing it: those with a base that ends in User.

    Classes of its own are followed; abstract ones are left out. Raise Refused where it cannot be read or parsed.
    """
    try:
        tree = ast.parse(locustfile.read_text("utf-8"), str(locustfile))
    except OSError as error:
        raise Refused(f"{locustfile}: {error.strerror}; name a locustfile that can be read") from error
    except SyntaxError as error:
        raise Refused(f"{locustfile}:{error.lineno}: {error.msg}; mend the locustfile") from error
    except ValueError as error:
        raise Refused(f"{locustfile}: {error}; name a Python file") from error
    users: list[str] = []
    abstract: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_is_user(base, {*users, *abstract}) for base in node.bases):
            abstract.add(node.name) if _is_abstract(node) else users.append(node.name)
    return users


def _is_user(base: ast.expr, known: set[str]) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
    return name.endswith("User") or name in known


def _is_abstract(node: ast.ClassDef) -> bool:
    return any(
        isinstance(line, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "abstract" for target in line.targets)
        and isinstance(line.value, ast.Constant)
        and line.value.value is True
        for line in node.body
    )
