"""A client of a runner process: starts `squall run`, waits for its turn, pulls the brake, reads the verdict."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runner.clock import now
from runner.errors import Refused
from runner.guardian.state import open_folder, state_folder
from runner.verdict.record import Verdict

RUNNER: tuple[str, ...] = (sys.executable, "-P", "-m", "runner.cli")
_BUSY = "under way on this machine"
_POLL = 0.2  # seconds
_UNDOING = 60.0  # seconds that a runner may take to undo after the brake was pulled
_KEPT = 400  # lines of its output


@dataclass(frozen=True, slots=True)
class Order:
    """One `squall run`."""

    scenario: Path
    environment: str
    reports: Path
    settings: dict[str, str] = field(default_factory=dict)
    wait: float = 600.0  # seconds for another run on this machine to end


@dataclass(frozen=True, slots=True)
class Ended:
    """How a runner ended. *verdict* and *report* are None where it left none."""

    code: int
    said: str
    complained: str
    verdict: Verdict | None = None
    report: Path | None = None

    @property
    def reason(self) -> str:
        """The last line it wrote on standard error, or how it ended."""
        lines = [line for line in self.complained.splitlines() if line.strip()]
        return lines[-1] if lines else f"the runner ended with {self.code} and left no verdict"


def carry_out(order: Order, tell: Callable[[str], None]) -> Ended:
    """Run a scenario to its end when no other run lives on this machine. Raises Refused after waiting too long.

    Whatever interrupts the wait pulls the runner's brake, and is raised again when all is undone.
    """
    deadline = now() + order.wait
    with _turn(deadline, tell):
        while True:
            ended = _once(order, tell)
            if ended.code != 2 or _BUSY not in ended.complained or now() > deadline:
                return ended
            _wait_until(lambda: not _a_run_lives(), deadline, tell)
            time.sleep(_POLL)


def _once(order: Order, tell: Callable[[str], None]) -> Ended:
    with tempfile.TemporaryDirectory(prefix="squall-") as scratch:
        told, complaints = Path(scratch) / "folders", Path(scratch) / "complaints"
        with complaints.open("wb") as errors, _started(_argv(order, told), errors.fileno()) as process:
            said = _listen(process, tell)
        complained = complaints.read_text(encoding="utf-8", errors="replace")
        folders = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    report = Path(folders[-1]).absolute() if folders else None
    verdict = msgspec.json.decode((report / "verdict.json").read_bytes(), type=Verdict) if report else None
    return Ended(process.returncode, said, complained, verdict, report)


def _argv(order: Order, told: Path) -> list[str]:
    settings = [word for name, value in order.settings.items() for word in ("--set", f"{name}={value}")]
    where = ["--env", order.environment, "--report", str(order.reports), "--verdict-to", str(told)]
    return [*RUNNER, "run", str(order.scenario), *where, "--plain", *settings]


def _started(argv: list[str], errors: int) -> subprocess.Popen[str]:
    """Start the runner in our own session: a terminal that closes pulls its brake too."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        encoding="utf-8",
        errors="replace",
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    try:
        importlib.metadata.version("squall")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree, which -P keeps off the path
        return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return dict(os.environ)


def _listen(process: subprocess.Popen[str], tell: Callable[[str], None]) -> str:
    lines: list[str] = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines = [*lines[-_KEPT:], line.rstrip("\n")]
            tell(lines[-1])
        process.wait()
    except BaseException:  # Ctrl-C, a timeout of pytest's: never leave while something is still hurt
        _pull_the_brake(process)
        raise
    return "\n".join(lines)


def _pull_the_brake(process: subprocess.Popen[str]) -> None:
    """Let the runner undo everything; a further Ctrl-C does not end the wait, only the runner's end does."""
    deadline = now() + _UNDOING
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    while process.poll() is None:
        try:
            process.communicate(timeout=max(0.1, deadline - now()))
        except KeyboardInterrupt:
            continue
        except subprocess.TimeoutExpired:
            process.kill()  # its guardian undoes
            process.wait()


@contextlib.contextmanager
def _turn(deadline: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Queue with the other pytest workers of this machine, then wait for any other run to end."""
    state = open_folder(state_folder())
    try:
        queue = os.open(
            "pytest.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=state
        )
    finally:
        os.close(state)
    try:
        _wait_until(lambda: _locked(queue), deadline, tell)
        _wait_until(lambda: not _a_run_lives(), deadline, tell)
        yield
    finally:
        os.close(queue)


def _wait_until(true: Callable[[], bool], deadline: float, tell: Callable[[str], None]) -> None:
    told = False
    while not true():
        if not told:
            tell("waiting for another run on this machine to end")
            told = True
        if now() > deadline:
            raise Refused("another run on this machine did not end in time; wait longer with --squall-wait")
        time.sleep(_POLL)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _a_run_lives() -> bool:
    """Look who holds the machine's lock without touching it: trying it could make a run that starts now fail."""
    try:
        inode = (state_folder() / "lock").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any(
        line.split()[1] == "FLOCK" and line.split()[5].endswith(f":{inode}")
        for line in locks
        if "->" not in line
    )
