"""Our tree of queueing disciplines below the devices of this network namespace: laid, read, taken away.

A prio of two bands at the root lets everything through its first; packets that a table of ours gave the priority
of the second pass a netem. What comes in is led through a device of ours (ifb) that has such a netem at its root.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
from typing import Any

from runner.errors import OperationFailed
from runner.operations import programs

ROOT = "5c00:"
NETEM = "5c02:"
HURT = 0x5C000002  # the second band of our prio, as a packet's priority
MIRROR = "squall5c"  # our device for what comes in
PREFERENCE = 0x5C00  # of our filters
DEFAULT = "0:"  # handle of what the kernel laid itself
_FLAGS = 0x8913  # SIOCGIFFLAGS
_UP, _LOOPBACK = 0x1, 0x8


def devices() -> list[str]:
    """The devices that traffic of this namespace leaves by: up, no loopback, none of ours."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, _FLAGS, struct.pack("16sH14x", name.encode(), 0))
            except OSError:
                continue  # it went away
            flags = struct.unpack_from("=H", answer, 16)[0]
            if flags & _UP and not flags & _LOOPBACK and name != MIRROR:
                found.append(name)
    return found


def qdiscs(device: str = "") -> list[dict[str, Any]]:
    """Read all disciplines and their counters."""
    done = programs.run("tc", "-s", "-j", "qdisc", "show", *(("dev", device) if device else ()))
    if done.returncode:
        raise OperationFailed(f"tc cannot read qdiscs: {explain(done.stderr)}")
    return list(json.loads(done.stdout or "[]"))


def ours(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which of them are our roots."""
    return [each for each in found if each.get("root") and each["handle"] == ROOT]


def refuse_foreign(found: list[dict[str, Any]], names: list[str], *, coming: bool) -> None:
    """Raise OperationFailed where a device has a discipline that somebody laid."""
    for each in found:
        if each["dev"] not in names:
            continue
        if each.get("root") and each["handle"] not in (DEFAULT, ROOT):
            raise OperationFailed(
                f"{each['dev']} has a root qdisc that is not ours: {each['kind']} {each['handle']};"
                f" take it away for the experiment (tc qdisc del dev {each['dev']} root), or choose another target"
            )
        if coming and each["kind"] in ("ingress", "clsact"):
            raise OperationFailed(
                f"{each['dev']} has an {each['kind']} qdisc that is not ours: what comes in cannot be shaped;"
                " choose direction up (out), or shape it at its sender"
            )


def lay(device: str, netem: str, tables: str = "") -> None:
    """Lay our tree below a device: nothing is hurt before a packet has our priority."""
    priomap = " ".join(["0"] * 16)
    _batch(
        (
            f"qdisc add dev {device} root handle {ROOT} prio bands 2 priomap {priomap}",
            f"qdisc add dev {device} parent {ROOT}2 handle {NETEM} netem {netem}",
        ),
        tables,
    )


def lay_mirror(names: list[str], netem: str, filters: list[str], tables: str = "") -> None:
    """Lead what comes in and matches through a device of ours with that netem."""
    _ip("link", "add", MIRROR, "type", "ifb")
    _ip("link", "set", MIRROR, "up")
    lines = [f"qdisc add dev {MIRROR} root handle {NETEM} netem {netem}"]
    for device in names:
        lines.append(f"qdisc add dev {device} handle ffff: ingress")
        lines += [
            f"filter add dev {device} parent ffff: pref {PREFERENCE + number} {text}"
            f" action mirred egress redirect dev {MIRROR}"
            for number, text in enumerate(filters)
        ]
    _batch(tuple(lines), tables)


def take_away() -> list[str]:
    """Take away what is ours, and nothing else; tell from where. Safe to repeat."""
    found = qdiscs()
    taken = []
    for each in ours(found):
        _tc("qdisc", "del", "dev", each["dev"], "root", "handle", ROOT)
        taken.append(str(each["dev"]))
    if any(name == MIRROR for _, name in socket.if_nameindex()):
        for each in found:
            if each["kind"] == "ingress" and _is_ours(each["dev"]):
                _tc("qdisc", "del", "dev", each["dev"], "ingress")
                taken.append(f"{each['dev']} (in)")
        _ip("link", "del", MIRROR)
    return taken


def left() -> list[str]:
    """Where something of ours is still to be seen."""
    seen = [str(each["dev"]) for each in ours(qdiscs())]
    return seen + [name for _, name in socket.if_nameindex() if name == MIRROR]


def explain(said: str) -> str:
    """Make one sentence of tc's complaint: what is usual first."""
    if "Operation not permitted" in said:
        return "not permitted; it needs CAP_NET_ADMIN in this network namespace"
    if "Specified qdisc kind is unknown" in said or ("No such file or directory" in said and "qdisc" in said):
        return "the kernel here lacks netem or prio (modules sch_netem, sch_prio)"
    return programs.first_line(said).removeprefix("Error: ").removeprefix("RTNETLINK answers: ")


def _is_ours(device: str) -> bool:
    """Tell of an ingress qdisc, while our mirror is there: it leads to that, or nowhere yet, where we lay one."""
    done = programs.run("tc", "filter", "show", "dev", device, "parent", "ffff:")
    leads_nowhere = done.returncode == 0 and not done.stdout.strip()
    return MIRROR in done.stdout or (leads_nowhere and device in devices())


def _batch(lines: tuple[str, ...], tables: str) -> None:
    env = {"TC_LIB_DIR": tables} if tables else None
    done = programs.run("tc", "-batch", "-", text="\n".join(lines) + "\n", env=env)
    if done.returncode or done.stderr:
        raise OperationFailed(f"tc: {explain(done.stderr)}")


def _tc(*argv: str) -> None:
    done = programs.run("tc", *argv)
    if done.returncode:
        raise OperationFailed(f"tc {' '.join(argv)}: {explain(done.stderr)}")


def _ip(*argv: str) -> None:
    done = programs.run("ip", *argv)
    if done.returncode:
        raise OperationFailed(f"ip {' '.join(argv)}: {programs.first_line(done.stderr)}")
