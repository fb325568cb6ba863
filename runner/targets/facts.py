"""What is true of a process just before a fault is compiled for it."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

import msgspec

from runner.errors import Refused
from runner.faults.record import Instance
from runner.operations.record import Identity
from runner.processes import identify
from runner.targets import cgroups

_RESOURCES = {"AS": resource.RLIMIT_AS, "DATA": resource.RLIMIT_DATA}


def facts(instance: Instance, peers: Collection[Identity] = ()) -> Instance:
    """Fill limits, memory, cores and own cgroup of a process; a link is returned as it is.

    *peers*: the other instances of the target; a cgroup shared with them is nobody's own.
    Raises Refused where the process is gone or may not be looked at.
    """
    process = instance.process
    if process is None:
        return instance
    if not _same(process):
        raise Refused(f"{instance.name}: process {process.pid} is gone; start the target again")
    try:
        known = _measured(process.pid)
    except ProcessLookupError:
        raise Refused(f"{instance.name}: process {process.pid} is gone; start the target again") from None
    except PermissionError:
        raise Refused(
            f"{instance.name}: the limits of process {process.pid} may not be read: run Squall as its user"
        ) from None
    directory, version, files = cgroups.own(process.pid, {peer.pid for peer in peers} - {process.pid})
    return msgspec.structs.replace(
        instance, **known, cgroup=directory, cgroup_version=version, cgroup_files=files
    )


def _same(process: Identity) -> bool:
    now = identify(process.pid)
    return now is not None and now.started == process.started and now.boot == process.boot


def _measured(pid: int) -> dict[str, object]:
    limits = {name: resource.prlimit(pid, which) for name, which in _RESOURCES.items()}
    cores = min(float(len(os.sched_getaffinity(pid))), cgroups.quota(pid))
    return {"limits": limits, "held": rss(pid), "cores": cores}


def rss(pid: int) -> int:
    """Resident memory of *pid* in bytes. Raises ProcessLookupError where it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return int(pages) * resource.getpagesize()
