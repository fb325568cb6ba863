"""The tree of Squall's errors.

* SquallError
  + Refused            exit 2: nothing was touched; says what, where (file, line) and what to do
    - Mistake          the user's file is wrong; carries its place
    - NobodyThere      a target has no instance that runs
  + GuardianLost       the guardian died or fell silent; a rollback has to heal
  + OperationFailed    one operation on a target raised; what raised may still have happened
    - NothingDone        it was refused before anything was touched: there is nothing to undo
    - OutOfReach       an effect that was held cannot be seen nor renewed any more
  + ProbeFailed        an indicator gave no usable value: no data, with the reason
  + RecordUnreadable   a report folder that cannot be judged
"""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where something is written: *line* and *column* count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class SquallError(Exception):
    """Anything that Squall says in one line instead of a traceback."""


class Refused(SquallError):
    """The run does not start; nothing was touched."""


class Mistake(Refused):
    """Something in a user's file is wrong: *place*, *path* of keys, what and what to do."""

    def __init__(self, place: Place, path: str, what: str) -> None:
        self.place, self.path, self.what = place, path, what
        super().__init__(f"{place}: {path}: {what}" if path else f"{place}: {what}")


class NobodyThere(Refused):
    """Who was asked for is not there: whoever could say so was asked, and said it."""


class GuardianLost(SquallError):
    """The guardian is gone or silent: nothing may be injected any more."""


class OperationFailed(SquallError):
    """An operation raised; whether it took effect is unknown. *remedy* is what to do, where that is known."""

    def __init__(self, what: str = "", remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(what)


class NothingDone(OperationFailed):
    """An operation found what it must not touch, and touched nothing: its undo would touch what is somebody else's."""


class OutOfReach(OperationFailed):
    """Nobody can tell what became of an effect that was held; it ends by itself."""


class RecordUnreadable(SquallError):
    """A report folder lacks what a verdict needs."""


class ProbeFailed(SquallError):
    """An indicator gave no usable value; the message says what came instead."""
