"""Whether the names that links of ours pass their connections on to are known here."""

from __future__ import annotations

import socket

from runner.errors import Refused
from runner.scenario import Environment
from runner.targets.names import where
from runner.targets.ports import split


def refuse_unknown_upstreams(environment: Environment) -> None:
    """Refuse a link whose upstream is a name that does not resolve; `$TARGET.address` is known later. Raises Refused."""
    for spec in environment.targets.values():
        if spec.link is None or "$" in spec.link.upstream:
            continue
        host, port = split(spec.link.upstream)
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            cause = getattr(error, "strerror", None) or error
            raise Refused(
                f"{where(spec)}.link.upstream: the name {host} is not known here ({cause}); correct it,"
                " or write the address of the service behind the link"
            ) from error
