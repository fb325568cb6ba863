"""Indicators that a command prints: one number, or a part and its total, on standard output, in time."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from typing import IO, Literal

import msgspec

from runner.errors import ProbeFailed
from runner.indicators.probe import Reading, counted, finite
from runner.processes import pids
from runner.scenario import Indicator

_MOST = 200  # characters of what it said that an error shows
_PIPE = 65536  # bytes


class CommandProbe:
    """Runs argv in a session of its own; what is left of the session is killed after every reading."""

    def __init__(self, indicator: Indicator, run: str = "") -> None:
        argv = indicator.argv
        self._argv = (sys.executable, *argv[1:]) if argv[0] in ("python", "python3") else argv
        self._timeout, self._counts = indicator.every, indicator.counts
        self._cwd = indicator.cwd or None
        self._environment = os.environ | ({"SQUALL_RUN": run, "SQUALL_ROLE": "probe"} if run else {})
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False

    def read(self) -> list[Reading]:
        """Run it to its end. Raises ProbeFailed where it fails, is late or prints something else."""
        process = self._start()
        try:
            in_time = _ended(process.pid, self._timeout)
            out, error = _said(process.stdout), _said(process.stderr)
        finally:
            self._end(process)
        if not in_time:
            raise ProbeFailed(f"{self._argv[0]} did not end within {self._timeout:g}s (its `every`)")
        if process.returncode != 0:
            said = error.decode(errors="replace").strip().rpartition("\n")[2]
            raise ProbeFailed(
                f"{self._argv[0]} ended with {process.returncode}: {said[:_MOST] or 'it said nothing'}"
            )
        text = out.decode(errors="replace").strip()
        if self._counts:
            return [_ratio(text, self._argv[0], self._counts)]
        return [Reading(value=_number(text, self._argv[0]))]

    def close(self) -> None:
        """Kill a command under way; none starts any more."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                kill_session(self._running.pid)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ProbeFailed("the run is over")
            try:
                self._running = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    env=self._environment,
                    cwd=self._cwd,
                )
            except OSError as error:
                raise ProbeFailed(f"{self._argv[0]} cannot be started: {error.strerror}") from None
            return self._running

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running = None
            kill_session(process.pid)  # before it is waited for: until then nobody else gets its pid
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def kill_session(leader: int) -> None:
    """Kill every process of the session that *leader* leads, also those born meanwhile."""
    for _ in range(5):
        members = [pid for pid in pids() if pid != leader and _session(pid) == leader]
        for pid in (leader, *members):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not members:
            return


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _ended(pid: int, timeout: float) -> bool:
    """Wait until a child ends, without reaping it."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(descriptor)


def _said(stream: IO[bytes] | None) -> bytes:
    """What is in the pipe: a command that writes more than a pipe holds does not end, and is late."""
    if stream is None:
        return b""
    os.set_blocking(stream.fileno(), False)
    return stream.read(_PIPE) or b""


def _ratio(text: str, who: str, counts: Literal["bad", "valid"]) -> Reading:
    """Read `PART TOTAL`, or a JSON map that has both."""
    words = text.split()
    if text.startswith("{"):
        try:
            told = msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise ProbeFailed(f"{who} printed what is no JSON: {text[:_MOST]!r}") from None
        words = [str(told[key]) for key in (counts, "total") if key in told]
    if len(words) != 2:
        raise ProbeFailed(
            f"{who} printed {text[:_MOST]!r}, `{counts.upper()} TOTAL` or JSON of both is wanted"
        )
    return counted(_number(words[0], who), _number(words[1], who), counts=counts)


def _number(text: str, who: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ProbeFailed(f"{who} printed {text[:_MOST]!r}, a number is wanted") from None
    return finite(number, f"what {who} printed")
