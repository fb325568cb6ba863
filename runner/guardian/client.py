"""The runner's side of the guardian: requests as futures, events as they come, and its death noticed at once."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from runner.clock import TimeAnchor
from runner.errors import GuardianLost, Refused
from runner.guardian import messages
from runner.guardian.answers import Answers
from runner.guardian.journal import copy_redacted
from runner.guardian.launch import start_guardian
from runner.guardian.messages import Undone
from runner.guardian.state import journal_of
from runner.operations.record import Act, Reading
from runner.timeline import Event

SILENCE = 1.0  # seconds without a beat after which the guardian is lost
STARTING = 10.0  # seconds that it has to get ready
CLOSING = 10.0  # seconds that it has to close when everything is clean
UNDO = 30.0  # seconds that it has at least to undo everything
BEYOND = 10.0  # and beyond the longest deadline, for the tries after the first


class GuardianClient:
    """One guardian. Threads may share it; on_event and on_lost are called on its reader thread."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        guardian: socket.socket,
        *,
        anchor: TimeAnchor,
        on_event: Callable[[Event], Any],
        journal: Path,
    ) -> None:
        self._process, self._guardian, self._anchor = process, guardian, anchor
        self._on_event, self._journal = on_event, journal
        self.on_lost: Callable[[str], Any] = lambda _reason: None
        self.lost, self.lost_reason = threading.Event(), ""
        self._numbers = itertools.count(1)
        self._answers = Answers(anchor)
        self._ready: Future[Any] = Future()
        self._lock = threading.Lock()
        self._losing = threading.Lock()
        self._may_end = False
        self._longest = 0.0  # deadline of an act
        self._patience, self._closing_patience = STARTING, SILENCE
        self._reader = threading.Thread(target=self._read, name="guardian's words", daemon=True)

    @classmethod
    def start(
        cls,
        *,
        run: str,
        state: Path,
        lock_fd: int,
        report: Path,
        anchor: TimeAnchor,
        lease: float = 2.0,
        on_event: Callable[[Event], Any] = lambda _event: None,
    ) -> GuardianClient:
        """Start a guardian and wait until it can arm. From now on beat() is due. Raises Refused."""
        hello = messages.Hello(run=run, lease=lease, anchor=anchor, report=str(report), state=str(state))
        return cls._greeted(hello, lock_fd, on_event)

    @classmethod
    def roll_back(
        cls,
        journal: Path,
        *,
        run: str,
        lock_fd: int,
        report: str,
        anchor: TimeAnchor,
        on_event: Callable[[Event], Any],
    ) -> GuardianClient:
        """Start a guardian that undoes what *journal* holds, then ends by itself. Raises Refused."""
        hello = messages.Hello(
            run=run,
            lease=0.0,
            anchor=anchor,
            report=report,
            state=str(journal.parent.parent),
            journal=str(journal),
        )
        return cls._greeted(hello, lock_fd, on_event)

    @classmethod
    def _greeted(
        cls, hello: messages.Hello, lock_fd: int, on_event: Callable[[Event], Any]
    ) -> GuardianClient:
        report = Path(hello.report) if hello.report else None
        try:
            process, guardian = start_guardian(run=hello.run, report=report, lock_fd=lock_fd)
        except OSError as error:
            raise Refused(f"the guardian cannot be started: {error.strerror or error}") from error
        journal = Path(hello.journal) if hello.journal else journal_of(Path(hello.state), hello.run)
        client = cls(process, guardian, anchor=hello.anchor, on_event=on_event, journal=journal)
        if hello.journal:  # what it has to end may take its time, and nobody else would undo meanwhile
            client._may_end, client._closing_patience = True, CLOSING
        client._ready = ready = client._ask(hello)
        client._reader.start()
        if hello.journal:
            return client
        try:
            ready.result(STARTING)
        except (GuardianLost, TimeoutError) as error:
            client.kill()
            raise Refused(f"the guardian did not get ready: {error or 'no answer'}; see its log") from error
        except Refused:
            client.kill()
            raise
        return client

    @property
    def ended(self) -> messages.Ended | None:
        """The guardian's last word, when it has ended in order."""
        return self._answers.ended

    @property
    def pid(self) -> int:
        """Of the guardian's process."""
        return self._process.pid

    def listen(self, name: str, host: str, port: int) -> int:
        """Let the guardian hold a listening socket; return its port. Raises Refused, GuardianLost."""
        port_held: int = self._ask(messages.Listen(name=name, host=host, port=port)).result(STARTING)
        return port_held

    def adopt(self, pid: int) -> None:
        """Name a process of the load, to be killed when we are gone."""
        self._send(messages.Adopt(pid=pid))

    def arm(self, act: Act) -> Future[None]:
        """Bring the way back on record. Fails with Refused."""
        self._longest = max(self._longest, act.deadline)
        return self._ask(messages.Arm(act=act))

    def inject(self, act: str) -> Future[tuple[Reading, ...]]:
        """Do an armed act. Fails with OperationFailed; it is undone then."""
        return self._ask(messages.Inject(act=act))

    def confirm(self, act: str) -> Future[tuple[Reading, ...]]:
        """Read whether an act has its effect."""
        return self._ask(messages.Confirm(act=act))

    def undo(self, act: str) -> Future[Undone]:
        """Undo one act."""
        return self._ask(messages.Undo(act=act))

    def undo_all(self, *, rank_at_least: int = 0) -> Future[list[Undone]]:
        """Undo every act of at least this rank; from now on none such can be armed or injected."""
        return self._ask(messages.UndoAll(rank_at_least=rank_at_least))

    @property
    def undone_within(self) -> float:
        """Seconds after which whatever was armed is clean or dirty, where all of it is undone now."""
        return max(UNDO, self._longest + BEYOND)

    def beat(self) -> None:
        """Say that the watch loop turns. Never blocks, never raises."""
        with contextlib.suppress(GuardianLost):
            self._send(messages.Beat())

    def expect(self, acts: int) -> None:
        """Say how many acts will be injected at once, ahead of time: hands need some to be warm. Raises GuardianLost."""
        self._send(messages.Expect(acts=acts))

    def copy_journal(self, to: Path) -> None:
        """Put a redacted copy of the journal where the report is; without one the report says less."""
        with contextlib.suppress(OSError):
            copy_redacted(self._journal, to)

    def close(self) -> bool:
        """Let the guardian undo what is left and end; True when everything is clean and the journal closed."""
        self._patience = self._closing_patience = CLOSING
        self._may_end = True
        with contextlib.suppress(GuardianLost):
            self._send(messages.Bye(request=next(self._numbers)))
        self._reader.join(CLOSING)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSING if self.ended else 0.0)
        if self.ended and self._process.returncode is not None:
            self._guardian.close()
            return not self.ended.dirty and not self.ended.notes
        self.kill()
        return False

    def wait(self) -> messages.Ended | None:
        """Wait for a rollback's end; None where its guardian was lost. Raises Refused where it could not begin."""
        self._reader.join()
        self._process.wait()
        self._guardian.close()
        if self._ready.done() and isinstance(refusal := self._ready.exception(), Refused):
            raise refusal
        return self.ended

    def kill(self) -> None:
        """Make sure that the guardian is gone. Its acts are then for a rollback."""
        self._lose("it was killed by its runner")
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSING)
        if self._reader.ident and self._reader is not threading.current_thread():
            self._reader.join(CLOSING)
        self._guardian.close()

    def _ask(self, request: messages.Request) -> Future[Any]:
        number = next(self._numbers)
        future = self._answers.expect(number, request)
        try:
            self._send(msgspec.structs.replace(request, request=number))
        except GuardianLost as lost:
            self._answers.fail(lost)
        return future

    def _send(self, request: messages.Request) -> None:
        if self.lost.is_set():
            raise GuardianLost(self.lost_reason)
        try:
            with self._lock:
                self._guardian.send(messages.pack(request), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except (
            BrokenPipeError,
            ConnectionResetError,
        ) as error:  # how it ended the reader says, who hears it out
            raise GuardianLost("the guardian has ended") from error
        except OSError as error:
            self._lose(f"the guardian cannot be told anything: {error.strerror or error}")
            raise GuardianLost(self.lost_reason) from error

    def _read(self) -> None:
        """The reader thread: until the guardian ends, or is silent for too long."""
        try:
            reason = self._read_to_the_end()
        except Exception as error:  # noqa: BLE001 - whoever waits for an answer must not wait for ever
            reason = f"its words could not be taken: {type(error).__name__}: {error}"
        if self.ended and self._may_end:
            self._answers.fail(GuardianLost("the guardian has ended: the run is over"))
        else:
            self._lose(reason)

    def _read_to_the_end(self) -> str:
        poll = select.poll()
        poll.register(self._guardian, select.POLLIN)
        while True:
            if not poll.poll(self._patience * 1000):
                return f"the guardian was silent for {self._patience:g} s"
            try:
                packet = self._guardian.recv(messages.PACKET)
            except ConnectionResetError:
                continue  # it ended and left words of ours unread: said once, and before its own last words
            except OSError as error:
                return f"the guardian cannot be heard: {error.strerror or error}"
            if not packet:
                return "the guardian gave up, see its log" if self.ended else "the guardian has ended"
            self._patience = max(SILENCE, self._closing_patience)
            if event := self._answers.take(messages.read_reply(packet)):
                self._on_event(event)

    def _lose(self, reason: str) -> None:
        with self._losing:
            if self.lost.is_set() or (self.ended and self._may_end):
                return
            self.lost_reason = reason
            self._process.kill()  # silent is not dead: nothing of it may act beside a rollback
            self.lost.set()
        self._answers.fail(GuardianLost(reason))
        self.on_lost(reason)
