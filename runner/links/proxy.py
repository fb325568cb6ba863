"""The process of one link: `python -m runner.links.proxy --link NAME --upstream HOST:PORT --control SOCKET`."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType

from runner.links.connection import Address
from runner.links.control import Control
from runner.links.loop import BROKEN, READABLE, Loop
from runner.links.relay import Relay


def main(argv: Sequence[str] | None = None) -> int:
    """Relay until SIGTERM. The guardian's end of the lifeline closing heals everything."""
    parser = argparse.ArgumentParser(prog="runner.links.proxy", description=__doc__)
    parser.add_argument("--link", required=True, help="its listener's name in SQUALL_LISTENERS")
    parser.add_argument("--upstream", required=True, help="host:port; a name is resolved once, now")
    parser.add_argument("--control", required=True, help="path of the control socket to make")
    chosen = parser.parse_args(argv)
    inherited = listeners(os.environ.get("SQUALL_LISTENERS", ""))
    if chosen.link not in inherited:
        parser.error(f"SQUALL_LISTENERS hands over no listener named {chosen.link}")
    try:
        addresses = resolve(chosen.upstream)
    except (OSError, ValueError) as error:
        parser.error(f"--upstream {chosen.upstream}: {error}")
    _many_descriptors()
    loop = Loop()
    relay = Relay(loop, chosen.link, socket.socket(fileno=inherited[chosen.link]), addresses)
    try:
        control = Control(loop, relay, chosen.control)
    except OSError as error:
        parser.error(f"--control {chosen.control}: {error.strerror}")
    if "lifeline" in inherited:
        hold(loop, relay, inherited["lifeline"])
    loop.hear_signals()
    signal.signal(signal.SIGTERM, _leave)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal's signals are for the runner to decide on
        signal.signal(ignored, signal.SIG_IGN)
    try:
        loop.run()
    finally:
        control.close()
    return 0


def listeners(text: str) -> dict[str, int]:
    """Read name=fd,name=fd."""
    pairs = (entry.partition("=") for entry in text.split(",") if entry)
    return {name: int(descriptor) for name, _, descriptor in pairs}


def resolve(upstream: str) -> list[Address]:
    """Find the addresses of host:port; an IPv6 host may stand in brackets."""
    host, _, port = upstream.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("write host:port")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]  # inet only


def hold(loop: Loop, relay: Relay, lifeline: int) -> None:
    """Watch the pipe that only the guardian can write to: its end of file heals the link."""
    os.set_blocking(lifeline, False)

    def pulled(events: int) -> None:
        if events & BROKEN or not os.read(lifeline, 4096):
            loop.forget(lifeline)
            relay.heal_all()

    loop.watch(lifeline, READABLE, pulled)


def _many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
