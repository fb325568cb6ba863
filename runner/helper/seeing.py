"""What a helper of the shape `look` sees: what its node's kernel can do, and the containers it is asked for."""

from __future__ import annotations

from pathlib import Path

from runner import cgroups, clock
from runner.helper.protocol import ContainerFacts, NodeFacts
from runner.operations import stand as stands
from runner.operations.kernel import features_of_this_network


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
        held=stands.memory_held(stand),
    )


def _features() -> list[str]:
    """Try each in a network of our own, where nobody is hurt."""
    tried = dict.fromkeys(sorted(features_of_this_network()), True)
    mounted = dict(cgroups.mounts())
    tried["cgroup-v1"] = "cpu" in mounted or "memory" in mounted
    tried["cgroup-v2"] = "v2" in mounted and bool(_controllers(mounted["v2"]))
    return [name for name, works in tried.items() if works]


def _controllers(root: Path) -> str:
    return cgroups.content(root / "cgroup.controllers")
