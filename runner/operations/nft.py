"""Tables of nftables that live no longer than the process that holds them."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess

from runner import clock
from runner.errors import OperationFailed
from runner.operations import programs
from runner.operations.nft_rules import ALIVE, renewal
from runner.operations.record import Reading

RENEWALS = 4  # in each lifetime: three may come to nothing
_PATIENCE = 10.0  # seconds until a table that was asked for must be seen, and until one must be gone
_STEP = 0.005
_LAPSE = 0.1  # seconds that an undo waits at most for a table to do nothing any more
_ALIVE = re.compile(rf"set {ALIVE} {{[^}}]*elements = {{")
_COUNTER = re.compile(r"counter packets (\d+)")
_held: dict[str, OwnedTable] = {}  # the tables of this process


class OwnedTable:
    """A table with `flags owner`: the kernel destroys it when the nft that made it ends, and that ends with us.

    Its rules ask a set whose elements expire: where this process hangs, they do nothing after *timeout* seconds.
    """

    def __init__(self, name: str, text: str, timeout: float) -> None:
        self.name, self._timeout = name, timeout
        self._renewed = clock.now()
        try:
            self._owner = subprocess.Popen(
                ("nft", "-i"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=programs.environment(),
                pipesize=1 << 16,
            )
        except FileNotFoundError:
            raise programs.missing("nft") from None
        assert self._owner.stdin is not None
        assert self._owner.stderr is not None
        self._orders, self._complaints = self._owner.stdin.fileno(), self._owner.stderr.fileno()
        for descriptor in (self._orders, self._complaints):
            os.set_blocking(descriptor, False)
        _held[name] = self
        try:
            self._say(text)
            self._say(renewal(name, timeout))
            self._wait_until_listed()
        except BaseException:
            self.release()
            raise

    @property
    def reading(self) -> Reading:
        """What the table says of itself."""
        return read_table(self.name)

    def tick(self) -> float:
        """Renew what ends by itself; return the seconds until it is due again. Raises OperationFailed."""
        due = self._renewed + self._timeout / RENEWALS - clock.now()
        if due > 0:
            return due
        self._check()
        self._say(renewal(self.name, self._timeout))
        self._renewed = clock.now()
        return self._timeout / RENEWALS

    def lapse(self) -> None:
        """Let the table do nothing more, but stay: connections that it redirected are still translated.

        Where nft does not say in time that it is so, that is not waited for: `release` comes next.
        """
        said = select.poll()
        said.register(self._complaints, select.POLLIN)
        with contextlib.suppress(OperationFailed):
            self._say(f"flush set inet {self.name} {ALIVE}")
            self._say("?")  # nft complains of it once it is done with the line before
            said.poll(_LAPSE * 1000)

    def release(self) -> None:
        """End the owner: the kernel takes the table away. Safe to repeat."""
        _held.pop(self.name, None)
        owner = self._owner
        for pipe in (owner.stdin, owner.stderr):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            owner.wait(1.0)
        except subprocess.TimeoutExpired:
            owner.kill()
            owner.wait(1.0)

    def _say(self, line: str) -> None:
        try:
            written = os.write(self._orders, f"{line}\n".encode())
        except OSError as error:
            raise OperationFailed(f"nft does not listen any more: {error.strerror}") from error
        if written != len(line.encode()) + 1:
            raise OperationFailed("nft does not read what it is told: it hangs")

    def _check(self) -> None:
        """Raise OperationFailed where nft complained or ended."""
        if select.select((self._complaints,), (), (), 0)[0]:
            said = os.read(self._complaints, 4096).decode(errors="replace")
            raise OperationFailed(f"nft does not take the table {self.name}: {explain(said)}")
        if self._owner.poll() is not None:
            raise OperationFailed(f"nft ended by itself with status {self._owner.returncode}")

    def _wait_until_listed(self) -> None:
        deadline = clock.now() + _PATIENCE
        while not alive(find_table(self.name)):
            self._check()
            if clock.now() > deadline:
                raise OperationFailed(f"nft has not made the table {self.name} in {_PATIENCE:g} s")
            select.select((self._complaints,), (), (), _STEP)


def find_table(name: str) -> str | None:
    """List a table. None where there is none. As text: nft 1.0.6 dies of an owned table's flags in JSON."""
    done = programs.run("nft", "list", "table", "inet", name)
    if done.returncode == 0:
        return done.stdout
    if "No such file or directory" in done.stderr:
        return None
    raise OperationFailed(f"the table {name} cannot be read: {explain(done.stderr)}")


def alive(listed: str | None) -> bool:
    """Tell whether the table's rules act: what they ask for has not expired."""
    return _ALIVE.search(listed or "") is not None


def packets(listed: str) -> int:
    """Count the packets that the table has hurt."""
    return sum(int(count) for count in _COUNTER.findall(listed))


def read_table(name: str) -> Reading:
    """Say whether our table acts, and on how many packets it did."""
    listed = find_table(name)
    if listed is None:
        return Reading(ok=False, evidence=f"the table {name} is not there")
    if not alive(listed):
        return Reading(ok=False, evidence=f"the table {name} has expired: nobody renews it")
    count = packets(listed)
    if not count:
        return Reading(
            ok=None, evidence=f"the table {name} is set, but nothing passed by that it could have hurt"
        )
    return Reading(evidence=f"the table {name} has struck {count:,} packet{'s' if count != 1 else ''}")


def remove_table(name: str) -> Reading:
    """Make sure that a table of ours is gone. Only its owner can take it away, so another's is waited for."""
    if own := _held.get(name):
        own.release()
    deadline = clock.now() + 2.0
    while (listed := find_table(name)) is not None:
        if clock.now() > deadline:
            state = "still acts" if alive(listed) else "has expired and does nothing"
            return Reading(
                ok=False,
                evidence=f"the table {name} {state}; only the end of its owner removes it: end that nft process",
            )
        select.select((), (), (), 0.02)
    return Reading(evidence=f"the table {name} is gone")


def explain(said: str) -> str:
    """Make one sentence of nft's complaint: what is usual first."""
    if "Operation not permitted" in said:
        return "not permitted; it needs CAP_NET_ADMIN in this network namespace"
    return programs.first_line(said).removeprefix("Error: ")
