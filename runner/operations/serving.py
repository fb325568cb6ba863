"""Ports redirected to a responder of ours in this network namespace, while a hand holds it."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import threading
import zlib
from typing import Protocol

from runner.errors import OperationFailed
from runner.operations import conntrack
from runner.operations.dns import DnsResponder
from runner.operations.http_proxy import HttpProxy
from runner.operations.nft import OwnedTable, read_table
from runner.operations.nft_rules import ALIVE, chain, table
from runner.operations.record import Reading, Serve

LIFETIME = 5.0  # seconds that a table leads here when nobody renews it
_BEFORE = -110  # before anybody else translates addresses (-100)
_served: dict[str, Served] = {}


class Responder(Protocol):
    """What answers on a port of its own, by a thread of this process."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def said(self) -> tuple[int, str]:
        """How often it has done harm, and a sentence about it."""

    def run(self) -> None:
        """Answer until it is closed."""

    def hang_up(self) -> None:
        """End every connection that came here, and take none any more."""

    def close(self) -> None:
        """Answer nobody any more, after `hang_up`."""


class Served:
    """A responder and the table that leads to it."""

    def __init__(self, operation: Serve) -> None:
        self._name = operation.table
        mark = mark_of(operation.table)
        dns = operation.what == "dns"
        _take_descriptors()
        self._responder: Responder = (
            DnsResponder(operation.names, operation.answer, mark) if dns else HttpProxy(operation.answer)
        )
        self._table: OwnedTable | None = None
        try:
            threading.Thread(target=self._responder.run, daemon=True).start()
            lead = _lead_out if dns else _lead_in
            text = lead(operation, self._responder.port, mark)
            self._table = OwnedTable(operation.table, text, LIFETIME)
            if dns:  # a resolver that keeps its socket would not be redirected
                with contextlib.suppress(OSError):
                    conntrack.delete(lambda entry: entry.target[1] == operation.port and entry.mark == 0)
        except BaseException:
            self.release()
            raise
        _served[operation.table] = self

    @property
    def reading(self) -> Reading:
        """What the responder has done, where the table still leads to it."""
        seen = read_table(self._name)
        if seen.ok is False:
            return seen
        count, said = self._responder.said()
        return Reading(ok=bool(count) or None, evidence=said)

    def tick(self) -> float:
        """Keep the table."""
        return self._table.tick() if self._table else math.inf

    def release(self) -> None:
        """Lead nobody here any more, hang up on who was, which the kernel still translates, forget them, then end."""
        _served.pop(self._name, None)
        table, self._table = self._table, None
        if table:
            table.lapse()
        self._responder.hang_up()
        if table:
            table.release()
        with contextlib.suppress(OSError):  # TableGone tries again, and says so
            forget(self._name)
        self._responder.close()


def serve(operation: Serve) -> Served:
    """Begin to answer in others' place."""
    try:
        return Served(operation)
    except PermissionError as error:
        raise OperationFailed(
            f"not permitted ({os.strerror(error.errno or 0)}); it needs CAP_NET_ADMIN in this network namespace"
        ) from error


def said_of(name: str) -> Reading | None:
    """What a responder of this process says of itself."""
    served = _served.get(name)
    return served.reading if served else None


def mark_of(name: str) -> int:
    """The mark of connections that a table redirects, by its name alone: what is left is found by it."""
    return 0x5C000000 | (zlib.crc32(name.encode()) & 0xFFFFFF)


def forget(name: str) -> int:
    """Delete what the kernel knows of connections that a table redirected; tell how many. Raises OSError."""
    mark = mark_of(name)
    return conntrack.delete(lambda entry: entry.mark == mark)


def _take_descriptors() -> None:
    """Let this process open as many as it may: a connection that passes takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _lead_out(operation: Serve, port: int, mark: int) -> str:
    """What programs here ask others, but not what the responder itself does."""
    asked = f"meta nfproto @{ALIVE} meta l4proto {{ tcp, udp }} th dport {operation.port}"
    rules = (f"meta mark {mark:#x} return", f"{asked} {_redirect(port, mark)}")
    return table(
        operation.table,
        chain("asked", *rules, hook=f"type nat hook output priority {_BEFORE}; policy accept"),
    )


def _lead_in(operation: Serve, port: int, mark: int) -> str:
    """What others ask the program here, but not what it is asked over loopback: so asks the proxy."""
    new = (
        "tcp flags & (fin | syn | rst | ack) == syn"  # an open connection may be new to the kernel's tracking
    )
    asked = f"meta nfproto @{ALIVE} tcp dport {operation.port} {new}"
    rules = ('iifname "lo" return', f"{asked} {_redirect(port, mark)}")
    hook = f"type nat hook prerouting priority {_BEFORE}; policy accept"
    return table(operation.table, chain("asked", *rules, hook=hook))


def _redirect(port: int, mark: int) -> str:
    return f"ct mark set {mark:#x} counter redirect to :{port}"
