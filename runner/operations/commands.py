"""Commands that a scenario brought: run to their end in a session of their own, output kept, time bounded."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from runner import clock, processes
from runner.operations import launching
from runner.operations.gate import gate
from runner.operations.record import Identity, Reading, Run
from runner.operations.stopping import end_all, in_session

HEAD = TAIL = 1000  # characters kept of the beginning and of the end of the output
CHUNK = 65536
HAND_MARK = "SQUALL_HAND"


@dataclass(slots=True)
class _Output:
    """The beginning and the end of what a command says, however much it says."""

    head: bytes = b""
    tail: bytes = b""

    def add(self, chunk: bytes) -> None:
        room = HEAD - len(self.head)
        self.head += chunk[:room] if room > 0 else b""
        self.tail = (self.tail + (chunk[room:] if room > 0 else chunk))[-TAIL:]

    def text(self, secrets: Sequence[tuple[str, str]]) -> str:
        words = self.head.decode(errors="replace") + self.tail.decode(errors="replace")
        for name, value in secrets:
            words = words.replace(value, f"${name}")
        return words.strip()


def perform_run(operation: Run) -> Reading:
    """Run the command; exit 0 is success. Raises OperationFailed where it cannot be started.

    First ends commands whose hand was killed while they ran: an undo must not race with the rest of its do.
    """
    _keep_exit_statuses()
    env = launching.environment(operation.env, operation.env_from) | {HAND_MARK: _ourselves()}
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(ours, False)
        run = env.get("SQUALL_RUN", "")
        with gate(run, "commands"):
            end_all(lambda: unattended(run), grace=0.0)
            pid = launching.start(operation.argv, env=env, cwd=operation.cwd, output=theirs, birth_mark=True)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        return _attended(operation, pid, ours)
    finally:
        os.close(ours)


def unattended(run: str) -> list[Identity]:
    """Find commands of *run* that still run although the hand that started them is dead.

    What a command left behind at its end is not meant, though it may lead a session: it is the undo's to end.
    """
    found = (processes.identify(pid) for pid in processes.pids() if _is_unattended(pid, run))
    return [each for each in found if each]


def _is_unattended(pid: int, run: str) -> bool:
    if not launching.is_born(pid):
        return False
    pairs = (
        each.partition("=") for each in processes.environment_of(pid).decode(errors="replace").split("\0")
    )
    variables = {name: value for name, _, value in pairs}
    hand, _, started = variables.get(HAND_MARK, "").partition(":")
    if variables.get("SQUALL_RUN", "") != run or not (hand.isdigit() and started.isdigit()):
        return False
    return not processes.state_of(Identity(pid=int(hand), started=int(started), boot=clock.boot_id()))


def _ourselves() -> str:
    we = processes.identify(os.getpid())
    return f"{we.pid}:{we.started}" if we else ""


def _attended(operation: Run, pid: int, output: int) -> Reading:
    began, said = clock.now(), _Output()
    descriptor = os.pidfd_open(pid)
    try:
        in_time = _listen(descriptor, output, said, until=began + operation.timeout)
        if not in_time:
            end_all(lambda: in_session(pid), grace=0.0)
    finally:
        os.close(descriptor)
    status = _exit_status(pid)
    words = said.text([(name, os.environ[name]) for name in operation.env_from if os.environ.get(name)])
    how = f"exited with {status}" if in_time else f"still ran after {operation.timeout:g} s and was killed"
    evidence = f"`{' '.join(operation.argv)}` {how}" + (f": {words}" if words else "")
    return Reading(ok=in_time and status == 0, evidence=evidence)


def _listen(descriptor: int, output: int, said: _Output, *, until: float) -> bool:
    """Keep what it says until it ends; False where it has not ended in time."""
    waiting = [descriptor, output]
    while True:
        ready = select.select(waiting, (), (), max(0.0, until - clock.now()))[0]
        if output in ready and not _drain(output, said):
            waiting.remove(output)  # it closed its output and runs on
        if descriptor in ready:
            _drain(output, said)
            return True
        if clock.now() >= until:
            return False


def _drain(output: int, said: _Output) -> bool:
    """Take one chunk of output; False at its end."""
    try:
        chunk = os.read(output, CHUNK)
    except BlockingIOError:
        return True
    said.add(chunk)
    return bool(chunk)


def _exit_status(pid: int) -> int | str:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return "a status that somebody else collected"


def _keep_exit_statuses() -> None:
    """An ignored SIGCHLD throws exit statuses away: no command would ever be seen to fail."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
