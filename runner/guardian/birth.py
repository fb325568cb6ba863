"""How a hand is born: by exec, in a session of its own, with descriptors kept in reserve for the day there are none."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, field

from runner import clock
from runner.guardian import launch, marks
from runner.guardian.orders import Perform

RESERVED = 8  # descriptors given up when there are no others for an undo
LOOKING = 4  # descriptors that a look through /proc needs


@dataclass(slots=True)
class Hand:
    """One child. *task* is what it has; *dying* once it was killed."""

    pid: int
    number: int
    socket: socket.socket
    warm: bool = False
    task: Perform | None = None
    dying: str = ""
    since: float = field(default_factory=clock.now)
    given: float = 0.0  # when it got its task


class Birth:
    """Starts hands for one run."""

    def __init__(self, run: str, score: str) -> None:
        self._run, self._score, self._numbers = run, score, 0
        self._reserve = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(RESERVED)]

    def start(self) -> Hand:
        """Start one; it says when it is warm. Raises OSError."""
        self._numbers += 1
        ours, theirs = self._pair()
        place = 3 if theirs.fileno() != 3 else 4
        environment = os.environ | {
            "SQUALL_RUN": self._run,
            "SQUALL_ROLE": "hand",
            marks.HAND: str(self._numbers),
        }
        try:
            pid = os.posix_spawn(
                launch.HAND[0],
                [*launch.HAND, str(place), self._score],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), place)],
                setsid=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return Hand(pid, self._numbers, ours)

    def make_sure_of_descriptors(self) -> None:
        """Have some free: a look at /proc without any finds nobody, and would call that the end."""
        taken: list[int] = []
        try:
            taken += (os.dup(2) for _ in range(LOOKING))
        except OSError:
            self._give_up_reserve()
        finally:
            for descriptor in taken:
                os.close(descriptor)

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        try:
            return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._give_up_reserve():
                raise
            return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def _give_up_reserve(self) -> bool:
        had, self._reserve = self._reserve, []
        for descriptor in had:
            os.close(descriptor)
        return bool(had)
