"""What a helper of the shape `look` sees: what its node's kernel can do, and the containers it is asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from runner import cgroups, clock
from runner.helper.protocol import ContainerFacts, NodeFacts
from runner.operations import stand as stands

PATIENCE = 5.0  # seconds for a tool to answer
_TABLE = "add table inet squall_look { flags owner; }"
_SET = "add table inet squall_look\nadd set inet squall_look a { type ipv4_addr; flags timeout; }\ndelete table inet squall_look"
_DEVICE = "lo"  # of the helper itself: it has a network of its own


def look(containers: tuple[str, ...]) -> NodeFacts:
    """Read the node and every container; one that is not here is left out."""
    found = {name: facts for name in containers if (facts := _facts(name)) is not None}
    return NodeFacts(boot=clock.boot_id(), kernel=tuple(_features()), containers=found)


def _facts(container: str) -> ContainerFacts | None:
    stand = stands.find_stand(container)
    if stand is None or not stand.pid:
        return None
    return ContainerFacts(
        pid=stand.pid,
        cgroup_version=2 if set(stand.cgroups) == {"v2"} else 1 if stand.cgroups else 0,
        cgroups=stand.cgroups,
        files=stands.limits(stand),
        cores=stands.cores(stand),
        rss=stands.rss(stand),
    )


def _features() -> list[str]:
    """Try each in a network of our own, where nobody is hurt."""
    tried = {
        "netem": _works(("tc", "qdisc", "add", "dev", _DEVICE, "root", "netem", "delay", "1ms")),
        "tbf": _works(
            (
                "tc",
                "qdisc",
                "replace",
                "dev",
                _DEVICE,
                "root",
                "tbf",
                "rate",
                "1mbit",
                "burst",
                "32k",
                "limit",
                "32k",
            )
        ),
        "nft-owner": _works(("nft", "-f", "-"), _TABLE),
        "nft-timeout": _works(("nft", "-f", "-"), _SET),
    }
    mounted = dict(cgroups.mounts())
    tried["cgroup-v1"] = "cpu" in mounted or "memory" in mounted
    tried["cgroup-v2"] = "v2" in mounted and bool(_controllers(mounted["v2"]))
    return [name for name, works in tried.items() if works]


def _controllers(root: Path) -> str:
    return cgroups.content(root / "cgroup.controllers")


def _works(argv: Sequence[str], text: str = "") -> bool:
    try:
        done = subprocess.run(argv, input=text.encode(), capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
