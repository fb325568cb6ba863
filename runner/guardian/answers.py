"""What the guardian's replies mean for whoever waits: results, errors and events of the timeline."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from runner.clock import TimeAnchor
from runner.errors import GuardianLost, OperationFailed, Refused
from runner.guardian import messages
from runner.guardian.messages import Undone
from runner.operations.record import Act, Reading
from runner.timeline import Confirmed, Event


class Answers:
    """Requests that wait for their reply. Threads may share it."""

    def __init__(self, anchor: TimeAnchor) -> None:
        self.ended: messages.Ended | None = None
        self._anchor = anchor
        self._lock = threading.Lock()
        self._open: dict[int, tuple[messages.Request, Future[Any]]] = {}
        self._undone: dict[int, list[Undone]] = {}
        self._acts: dict[str, Act] = {}

    def expect(self, number: int, request: messages.Request) -> Future[Any]:
        """Wait for the reply to a request that is about to be sent."""
        future: Future[Any] = Future()
        with self._lock:
            self._open[number] = (request, future)
            if isinstance(request, messages.UndoAll):
                self._undone[number] = []
            elif isinstance(request, messages.Arm):
                self._acts[request.act.id] = request.act
        return future

    def fail(self, error: GuardianLost) -> None:
        """Nobody will answer any more."""
        with self._lock:
            waiting, self._open = self._open, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(error)

    def take(self, reply: messages.Reply) -> Event | None:
        """Take a reply to whoever waits for it; return what belongs on the timeline."""
        match reply:
            case messages.Happened():
                return reply.event
            case messages.Ended():
                self.ended = reply
            case Undone() if reply.request in self._undone:
                self._undone[reply.request].append(reply)
            case messages.WasConfirmed():
                self._answer(reply)
                return self._confirmed(reply)
            case messages.Alive():
                pass
            case _:
                self._answer(reply)
        return None

    def _answer(self, reply: messages.Reply) -> None:
        with self._lock:
            request, future = self._open.pop(reply.request, (None, Future()))
        if future.done():
            return
        if isinstance(reply, messages.Failed) or (
            isinstance(reply, messages.Refusal) and isinstance(request, messages.Inject | messages.Undo)
        ):
            future.set_exception(OperationFailed(reply.reason))
        elif isinstance(reply, messages.Refusal) and not isinstance(request, messages.Confirm):
            future.set_exception(Refused(reply.reason))
        else:
            future.set_result(self._result(reply))

    def _result(self, reply: messages.Reply) -> Any:
        match reply:
            case messages.Listening():
                return reply.port
            case messages.Injected() | messages.WasConfirmed():
                return reply.readings
            case messages.Refusal():  # of a confirmation: the act is not injected any more
                return (Reading(ok=None, evidence=reply.reason, looked=False),)
            case Undone():
                return reply
            case messages.AllUndone():
                return self._undone.pop(reply.request, [])
            case _:
                return None

    def _confirmed(self, reply: messages.WasConfirmed) -> Confirmed:
        act, seen = self._acts[reply.act], [reading.ok for reading in reply.readings]
        return Confirmed(
            at=reply.moment - self._anchor.monotonic,
            act=act.id,
            fault=act.fault,
            instance=act.instance,
            occurrence=act.occurrence,
            ok=False if False in seen else None if None in seen or not seen else True,
            evidence="; ".join(reading.evidence for reading in reply.readings if reading.evidence),
            looked=all(reading.looked for reading in reply.readings),
        )
