"""Targets of this machine: which processes a name means, where they serve, how they are started."""

from runner.targets.choice import choose
from runner.targets.facts import facts
from runner.targets.finding import find
from runner.targets.names import instance_names
from runner.targets.ports import addresses, assign_ports, port_is_free
from runner.targets.readiness import wait_ready
from runner.targets.spawning import link_spawn, spawns

__all__ = [
    "addresses",
    "assign_ports",
    "choose",
    "facts",
    "find",
    "instance_names",
    "link_spawn",
    "port_is_free",
    "spawns",
    "wait_ready",
]
