"""Faults of answers: names that do not resolve, requests that are late, aborted or answered with an error."""

from __future__ import annotations

import ipaddress
import json
from typing import ClassVar

from runner.faults.packets import check_share, held_table
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import suited
from runner.operations.record import Serve
from runner.units import Duration, Share, written

_LONGEST = 60.0  # seconds of delay


class Dns(Fault, frozen=True, kw_only=True, tag="dns"):
    """Lookups of *names* (globs over the whole name; none: all) get *answer*: nxdomain, servfail, timeout, or an IP.

    What a container or pod asks at port 53, over UDP or TCP, goes to a responder beside it, which asks the server that
    was meant for all other names. Caches and lookups over TLS or HTTPS are not reached.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "network dns"

    names: tuple[str, ...] = ()
    answer: str = "nxdomain"

    def __post_init__(self) -> None:
        if self.answer not in ("nxdomain", "servfail", "timeout") and not _is_address(self.answer):
            raise ValueError(
                f'answer: "{self.answer}" is none; write nxdomain, servfail, timeout or an IP address'
            )

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        return held_table(
            instance, "dns", Serve(table="squall_dns", what="dns", names=self.names, answer=self.answer)
        )

    def does(self) -> str:
        return f"answer lookups of {', '.join(self.names) or 'all names'} with {self.answer}"


class Http(Fault, frozen=True, kw_only=True, tag="http"):
    """Requests (HTTP/1) that reach *port* are *delay* late, aborted (*abort*: true), or answered with *status*.

    Those of *method* whose path matches the glob *path*, and of these a *share*. They pass a proxy beside the
    container or pod, whose program sees them come from its own address; open connections go on as they are until they are
    made again, and are broken when the fault ends if they were made during it. TLS and HTTP/2 pass unharmed.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "http"

    port: int
    delay: Duration = 0.0
    status: int = 0
    abort: bool = False
    path: str = "*"
    method: str = ""
    share: Share = 1.0

    def __post_init__(self) -> None:
        check_share(self.share)
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is no port; it must lie between 1 and 65535")
        if not 0 <= self.delay <= _LONGEST:
            raise ValueError(f"delay is {written('duration', self.delay)}; it must lie between 0s and 1m")
        if self.status and not 200 <= self.status <= 599:
            raise ValueError(f"status {self.status} is none to end with; write one from 200 to 599")
        if self.status and self.abort:
            raise ValueError("give status or abort: an aborted request has no answer")
        if not (self.delay or self.status or self.abort):
            raise ValueError("that hurts nobody; give delay, status or abort, for example status: 503")

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        knobs = ("delay", "status", "abort", "path", "method", "share")
        wrong = json.dumps({name: getattr(self, name) for name in knobs})
        table = f"squall_http_{self.port}"
        return held_table(instance, "http", Serve(table=table, what="http", port=self.port, answer=wrong))

    def does(self) -> str:
        what = [f"delay by {written('duration', self.delay)}"] if self.delay else []
        what += ["abort"] if self.abort else [f"answer with {self.status}"] if self.status else []
        meant = " ".join(
            part for part in (self.method.upper(), "" if self.path == "*" else self.path) if part
        )
        share = "" if self.share == 1 else f"{written('share', self.share)} of "
        return f"{' and '.join(what)} {share}the requests{f' {meant}' if meant else ''} at port {self.port}"

    def owns(self, platform: str) -> str:  # noqa: ARG002 - the same everywhere
        return f"{self.property} {self.port}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
