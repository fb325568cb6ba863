"""Operations at another place: a pair of helpers is posted there, holds the effect and undoes it."""

from __future__ import annotations

import contextlib
import functools
import select

from runner import clock
from runner.errors import OperationFailed, OutOfReach
from runner.helper.posting import data_of, ground, labels_of, name_of
from runner.helper.protocol import Orders, Report, Role, Say, line, read_report
from runner.operations.afar_end import perform_afar_gone, perform_check_afar, together
from runner.operations.at_once import at_once
from runner.operations.context import Held
from runner.operations.record import Afar, AfarGone, CheckAfar, Reading
from runner.remote.stream import Stream

READY = 20.0  # seconds for a helper to be there; for it to have done it
LOOK = 0.25  # seconds between two looks at what they say
_BEATS = 5  # in a lease
_ORDER: tuple[Role, Role] = ("warden", "hand")


def perform_afar(operation: Afar | AfarGone | CheckAfar) -> Reading | Held:
    """Perform what happens by helpers. Raises OperationFailed."""
    match operation:
        case Afar():
            return HeldAfar(operation)
        case AfarGone():
            return perform_afar_gone(operation)
        case CheckAfar():
            return perform_check_afar(operation)


class Helper:
    """One attached helper, the last that it said, and why it failed: its farewell does not say that again."""

    def __init__(self, role: Role, name: str, stream: Stream) -> None:
        self.role, self.name, self.stream = role, name, stream
        self.last: Report | None = None
        self.failure = ""
        self.ordered = False  # before it has its orders whatever it is told would be taken for them
        self.heard = clock.now()

    def hear(self) -> None:
        """Take what has arrived."""
        for text in self.stream.lines():
            if report := read_report(text):
                self.last, self.heard = report, clock.now()
                self.failure = self.failure or (report.problem if report.state == "failed" else "")

    def say(self, value: Orders | Say) -> None:
        """Tell it something. Raises OperationFailed."""
        self.ordered = True
        self.stream.send(line(value))

    def trouble(self) -> str:
        """Say what is wrong with it; empty where nothing is."""
        self.hear()
        if self.last is not None and self.last.state in ("failed", "clean", "dirty"):
            known = dict.fromkeys(filter(None, (self.failure, self.last.problem)))
            return f"{self.role}: {'; '.join(known) or f'it undid because of {self.last.why}'}"
        return ""

    def vanished(self) -> str:
        """Say that it hung up without a word of farewell; empty where it did not."""
        if self.stream.ended:
            complaint = getattr(self.stream, "trouble", b"").decode(errors="replace").strip().splitlines()
            return f"the {self.role} helper {self.name} vanished" + (
                f": {complaint[-1]}" if complaint else ""
            )
        return ""


class HeldAfar:
    """An effect that two helpers hold. Letting go of it does not wait for them."""

    def __init__(self, operation: Afar) -> None:
        self._operation = operation
        self._ground = ground(operation.post)
        self._helpers: dict[Role, Helper] = {}
        self._beaten = clock.now()
        try:
            self._begin()
        except BaseException:
            self.release()
            raise
        done = self._helpers["hand"].last
        readings = done.readings if done else ()
        self.reading = together(readings, f"{len(self._helpers)} helpers hold it")

    def tick(self) -> float:
        """Send beats, hear reports. Raises OperationFailed where a helper is in trouble, OutOfReach where it is not heard."""
        if problem := self._problem():
            raise OperationFailed(problem)
        if problem := self._silence() or self._vanished():
            raise OutOfReach(problem)
        try:
            return min(LOOK, self._beat())
        except OperationFailed as error:
            raise OutOfReach(str(error)) from error

    def release(self) -> None:
        """Tell both to undo, and hang up; what became of one is asked only for the sake of one that can still hear."""
        helpers, self._helpers = tuple(self._helpers.values()), {}
        for helper in helpers:
            helper.hear()
        ended = [helper for helper in helpers if helper.stream.ended]
        gone = [helper for helper in ended if len(ended) < len(helpers) and self._is_gone(helper)]
        untouched = any(helper.last and helper.last.why == "nothing done" for helper in helpers)
        for helper in helpers:
            other_gone = any(each is not helper for each in gone)
            with contextlib.suppress(OperationFailed):
                if helper.ordered:
                    helper.say(Say(say="leave" if untouched else "undo", other_gone=other_gone))
        for helper in helpers:
            helper.stream.close()

    def _begin(self) -> None:
        operation = self._operation
        self._post()
        record = AfarGone(
            run=operation.run,
            act=operation.act,
            post=operation.post,
            undo=operation.undo,
            lease=operation.lease,
        )
        self._ground.record(
            name_of(operation.run, operation.act, "record"),
            data_of(record),
            labels_of(operation.run, operation.act, "record"),
        )
        for role in _ORDER:
            self._helpers[role].say(self._orders(role))
            self._await(self._helpers[role], "done" if role == "hand" else "ready")

    def _post(self) -> None:
        """Post both at once: starting a container takes most of the time."""

        def one(role: Role) -> None:
            name = name_of(self._operation.run, self._operation.act, role)
            labels = labels_of(self._operation.run, self._operation.act, role)
            self._helpers[role] = Helper(role, name, self._ground.post(name, labels))

        problems = at_once(functools.partial(one, role) for role in _ORDER)
        if problems:
            raise OperationFailed(f"no helper could be posted: {problems[0]}") from problems[0]

    def _orders(self, role: Role) -> Orders:
        operation, hand = self._operation, role == "hand"
        return Orders(
            role=role,
            post=operation.post,
            do=operation.do if hand else (),
            undo=operation.undo,
            confirm=operation.confirm if hand else (),
            lease=operation.lease,
        )

    def _await(self, helper: Helper, wanted: str) -> None:
        until = clock.now() + READY
        while not (helper.last and helper.last.state in (wanted, "seen")):
            if clock.now() >= until:
                raise OperationFailed(f"the {helper.role} helper was not {wanted} within {READY:g} s")
            try:
                due = self._beat()
            except OperationFailed as error:  # one that ends hangs up: what it said before is the reason
                raise OperationFailed(self._problem() or str(error)) from error
            select.select((helper.stream,), (), (), min(due, LOOK))
            if problem := self._problem() or self._vanished():
                raise OperationFailed(problem)

    def _problem(self) -> str:
        return next((problem for each in self._helpers.values() if (problem := each.trouble())), "")

    def _vanished(self) -> str:
        return next((problem for each in self._helpers.values() if (problem := each.vanished())), "")

    def _silence(self) -> str:
        """Say who was not heard for a lease: by now it has undone, and cannot tell us."""
        for helper in self._helpers.values():
            if clock.now() > helper.heard + self._operation.lease:
                return f"the {helper.role} helper {helper.name} was not heard for {self._operation.lease:g} s"
        return ""

    def _beat(self) -> float:
        """Renew the lease where it is time to; return the seconds until the next time."""
        every = self._operation.lease / _BEATS
        if clock.now() >= self._beaten + every:
            self._beaten = clock.now()
            for helper in self._helpers.values():
                if helper.last is not None:  # it has its orders
                    helper.say(Say(say="beat"))
        return max(0.0, self._beaten + every - clock.now())

    def _is_gone(self, helper: Helper) -> bool:
        """Say whether it is certain that it does nothing any more; a lost connection alone is no proof."""
        try:
            return self._ground.standing(helper.name) != "running"
        except OperationFailed:
            return False
