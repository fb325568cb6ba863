"""The text of our nftables tables, made of typed values only. Pure.

Every rule asks the set `alive` first: its elements end by themselves, and with them all that the table does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from runner.errors import OperationFailed
from runner.operations.record import Cut, Match

ALIVE = "alive"
PARTS = 10_000  # a share is a number of these
NOBODY = 0x5C00  # a queue for user space that nobody reads
RAW = -300  # before connection tracking and address translation: packets look as the target sees them
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def cut_table(operation: Cut, *, quiet: bool = True) -> str:
    """The table that cuts packets. Not *quiet*: a local sender may be told that its packet was dropped."""
    if operation.how != "drop" and operation.match.protocol == "icmp":
        raise OperationFailed(f"{operation.how} cannot answer icmp; drop it")
    strike = {"drop": _drop(quiet=quiet), "reject": _reject(), "reset": _reset()}[operation.how]
    by_packet = operation.how == "drop" and operation.of == "packets"
    chance = _share(operation.share, by_packet=by_packet)
    tcp = "meta l4proto tcp" if operation.how == "reset" else ""
    conditions = (tcp, chance)
    return table(operation.table, *strike, *hooks(operation.match, conditions, "both"))


def mark_table(name: str, match: Match, priority: int, *, share: float = 1.0) -> str:
    """The table that gives matching packets the priority that our qdisc knows."""
    strike = chain("strike_out", f"counter meta priority set {priority:#x}")
    return table(name, strike, *hooks(match, (_share(share, by_packet=False),), "out"))


def table(name: str, *parts: str) -> str:
    """One owned table, in one line as an interactive nft reads it."""
    alive = f"set {ALIVE} {{ type nf_proto; flags timeout; }}"
    return f"table inet {name} {{ flags owner; {alive}; {' '.join(parts)} }}"


def renewal(name: str, timeout: float) -> str:
    """Let the table live for *timeout* more seconds: one transaction, right whether it had expired or not."""
    ends = f"timeout {max(1, round(timeout * 1000))}ms"
    return f"flush set inet {name} {ALIVE}; add element inet {name} {ALIVE} {{ ipv4 {ends}, ipv6 {ends} }}"


def chain(name: str, *rules: str, hook: str = "") -> str:
    """One chain; with *hook* it begins there: `type filter hook output priority -300`."""
    return f"chain {name} {{ {' '.join(f'{part};' for part in (hook, *rules) if part)} }};"


def hooks(match: Match, conditions: Sequence[str], directions: str) -> list[str]:
    """The chains that matching packets come through: they jump to strike_out and strike_in. Loopback never does."""
    out = match.direction in ("out", "both")
    into = match.direction in ("in", "both") and directions == "both"
    alive = f"meta nfproto @{ALIVE}"
    chains = []
    if out:
        rules = [_line(alive, way, *conditions, "jump strike_out") for way in ways(match, towards=True)]
        hook = f"type filter hook output priority {RAW}; policy accept"
        chains.append(chain("leaving", 'oifname "lo" return', *rules, hook=hook))
    if into:
        rules = [_line(alive, way, *conditions, "jump strike_in") for way in ways(match, towards=False)]
        hook = f"type filter hook prerouting priority {RAW}; policy accept"
        chains.append(chain("coming", 'iifname "lo" return', *rules, hook=hook))
    return chains


def ways(match: Match, *, towards: bool) -> list[str]:
    """What a packet of *match* looks like, one expression for each family that has peers."""
    theirs, ours = ("daddr", "dport"), "sport"
    if not towards:
        theirs, ours = ("saddr", "sport"), "dport"
    ports = _line(_protocol(match), _ports(theirs[1], match.ports), _ports(ours, match.local_ports))
    if not match.peers:
        return [ports]
    return [
        _line(f"{family} {theirs[0]} {_set(networks)}", ports) for family, networks in _families(match.peers)
    ]


def read_peers(peers: Iterable[str]) -> list[Network]:
    """Read addresses and networks. Raises OperationFailed where one is neither."""
    try:
        return [ipaddress.ip_network(peer, strict=False) for peer in peers]
    except ValueError as error:
        raise OperationFailed(f"{error}; write an IP or a network such as 10.0.0.0/8") from None


def _families(peers: Iterable[str]) -> list[tuple[str, list[Network]]]:
    networks = read_peers(peers)
    four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    found: list[tuple[str, list[Network]]] = []
    if four:
        found.append(("ip", list(ipaddress.collapse_addresses(four))))
    if six:
        found.append(("ip6", list(ipaddress.collapse_addresses(six))))
    return found


def _protocol(match: Match) -> str:
    ports = match.ports or match.local_ports
    match match.protocol:
        case "":
            return "meta l4proto { tcp, udp }" if ports else ""
        case "icmp":
            if ports:
                raise OperationFailed("icmp has no ports; leave ports out, or choose tcp or udp")
            return "meta l4proto { icmp, ipv6-icmp }"
        case protocol:
            return f"meta l4proto {protocol}"


def _ports(side: str, ports: Sequence[int]) -> str:
    if not ports:
        return ""
    if bad := [port for port in ports if not 0 < port < 65536]:
        raise OperationFailed(f"{bad[0]} is no port; it must lie between 1 and 65535")
    return f"th {side} {_set(sorted(set(ports)))}"


def _share(share: float, *, by_packet: bool) -> str:
    if share >= 1:
        return ""
    most = min(max(1, round(share * PARTS)), PARTS - 1)
    return f"{'numgen random' if by_packet else 'symhash'} mod {PARTS} < {most}"


def _drop(*, quiet: bool) -> tuple[str, ...]:
    """Lose packets. A plain drop of what leaves tells the sender (EPERM), which no broken wire does.

    A queue that nobody reads loses it without a word.
    """
    out = f"queue num {NOBODY}" if quiet else "drop"
    return (
        chain("strike_out", f"counter {out}"),
        chain("strike_in", "counter drop"),
    )


def _reject() -> tuple[str, ...]:
    """Say that nobody listens: to what opens a TCP connection, and to every datagram."""
    new = "tcp flags & (fin | syn | rst | ack) == syn"
    rules = (
        f"{new} counter reject with tcp reset",
        "meta l4proto udp counter reject with icmpx type port-unreachable",
    )
    return chain("strike_out", *rules), chain("strike_in", *rules)


def _reset() -> tuple[str, ...]:
    """Answer every segment with RST, so that both ends of a connection learn of it.

    What leaves is answered to the local socket. What comes is first turned into a RST itself (the local socket
    may only be listening), and from its repetition on answered, which ends the peer's side. A RST passes.
    """
    answer = "counter reject with tcp reset"
    new = "tcp flags & (fin | syn | rst | ack) == syn"
    coming = ["tcp flags & rst == rst return", f"{new} {answer}"]
    sets = []
    for number, family in (("4", "ip"), ("6", "ip6")):
        key = f"{family} saddr . tcp sport . tcp dport"
        kind = "flags dynamic,timeout; timeout 60s; size 65535;"
        sets.append(f"set struck{number} {{ typeof {key}; {kind} }};")
        coming.append(f"{key} @struck{number} {answer}")
        coming.append(f"add @struck{number} {{ {key} }} tcp flags set rst counter return")
    return (
        *sets,
        chain("strike_out", "tcp flags & rst == rst return", answer),
        chain("strike_in", *coming),
    )


def _set(items: Iterable[object]) -> str:
    return f"{{ {', '.join(str(item) for item in items)} }}"


def _line(*parts: str) -> str:
    return " ".join(part for part in parts if part)
