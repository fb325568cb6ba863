"""Steps that a helper takes in a target's network namespace, and the packets that they are meant for."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from runner.errors import Refused
from runner.faults.afar import afar, needs_kernel
from runner.faults.record import Instance, Steps
from runner.operations.record import CheckNetem, CheckTable, Cut, Match, Netem, NetemGone, Serve, TableGone

Direction = Literal["down", "up", "both"]
THERE = frozenset({"container", "pod", "wire"})
SHAPE, CUT = "network shape", "network cut"  # one tree of qdiscs, one table: each has one owner at a time
_CUT_TABLE = "squall_cut"
_OF_A_LINK = "a link is one way already: leave out peers, ports and local_ports"


def check_peers(peers: tuple[str, ...], *ports: tuple[int, ...]) -> None:
    """Raise ValueError where something is no address or no port."""
    for peer in peers:
        try:
            ipaddress.ip_network(peer, strict=False)
        except ValueError:
            raise ValueError(
                f'peers: "{peer}" is no address; write an IP such as 10.0.0.7, or a network such as 10.0.0.0/8'
            ) from None
    for port in (each for some in ports for each in some):
        if not 0 < port < 65536:
            raise ValueError(f"{port} is no port; it must lie between 1 and 65535")


def check_share(share: float) -> None:
    """Raise ValueError where no part, or more than all, is meant."""
    if not 0 < share <= 1:
        raise ValueError(f"share is {share * 100:g}%; it must be more than 0% and at most 100%")


def chosen(peers: tuple[str, ...], ports: tuple[int, ...], local_ports: tuple[int, ...]) -> str:
    """Say whose packets are meant, for plan and report: ` with 10.0.0.7 (port 5432)`. Empty: everybody's."""
    whom = f" with {', '.join(peers)}" if peers else ""
    where = [*(f"port {port}" for port in ports), *(f"own port {port}" for port in local_ports)]
    return whom + (f" ({', '.join(where)})" if where else "")


def unsuited_choice(platform: str, *choices: object) -> str:
    """Say that a link and a wire have their peers already."""
    if platform == "link" and any(choices):
        return _OF_A_LINK
    return (
        "a wire has its peers and port already: leave them out" if platform == "wire" and any(choices) else ""
    )


def matching(
    instance: Instance,
    direction: Direction,
    *,
    peers: tuple[str, ...] = (),
    ports: tuple[int, ...] = (),
    local_ports: tuple[int, ...] = (),
) -> Match:
    """Which packets are meant. `down` is what the serving end sends: a container or pod itself, a wire's peers."""
    if instance.platform == "wire":
        way: Literal["out", "in", "both"] = {"down": "in", "up": "out"}.get(direction, "both")  # type: ignore[assignment]
        return Match(peers=instance.peers, ports=(instance.port,) if instance.port else (), direction=way)
    way = {"down": "out", "up": "in"}.get(direction, "both")  # type: ignore[assignment]
    return Match(peers=peers, ports=ports, local_ports=local_ports, direction=way)


def shaped(instance: Instance, kind: str, netem: Netem, *, losses: bool = False) -> Steps:
    """Let packets pass a netem. Raises Refused where the kernel there has none."""
    needs = ["netem"]
    if netem.match.direction != "in":
        needs += ["nft-owner", "nft-timeout"]
    if netem.match.direction != "out":
        needs.append("ifb")
    _refuse_shared(instance, kind)
    for feature in needs:
        needs_kernel(instance, feature, kind)
    check = CheckNetem(losses=losses, match=netem.match)
    if netem.share == 1 and not netem.reorder:  # else a packet of ours may be spared, or overtake
        spread = netem.jitter * (4 if netem.distribution == "normal" else 1)
        check = msgspec.structs.replace(check, delay=netem.delay, jitter=spread)
    return afar(instance, "network", do=(netem,), undo=(NetemGone(),), confirm=(check,))


def cut(
    instance: Instance,
    kind: str,
    match: Match,
    *,
    how: Literal["drop", "reject", "reset"],
    share: float = 1.0,
    of: Literal["packets", "connections"] = "packets",
) -> Steps:
    """Let packets be cut by a table that dies with its holder."""
    _refuse_shared(instance, kind)
    operation = Cut(table=_CUT_TABLE, how=how, match=match, share=share, of=of, timeout=instance.lease)
    return held_table(instance, kind, operation)


def held_table(instance: Instance, kind: str, operation: Cut | Serve) -> Steps:
    """Let a table of ours act while a helper holds it."""
    _refuse_shared(instance, kind)
    for feature in ("nft-owner", "nft-timeout"):
        needs_kernel(instance, feature, kind)
    table = operation.table
    return afar(
        instance,
        "network",
        do=(operation,),
        undo=(TableGone(table=table),),
        confirm=(CheckTable(table=table),),
    )


def _refuse_shared(instance: Instance, kind: str) -> None:
    if instance.shared_network:
        raise Refused(
            f"{instance.name}: uses the network of {instance.shared_network}, and {kind} would hurt that whole;"
            " choose a target with a network of its own"
        )
