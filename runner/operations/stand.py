"""Where a helper stands: the container it was posted to, found by its id, and what limits that container now."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from runner import cgroups, processes
from runner.cgroups import HELD, LIMITS, Group
from runner.operations.context import Stand

READINGS = ("pids.current",)  # no limits, but what a fault has to know
_NO_DISKS = ("loop", "ram", "zram", "nbd", "sr", "fd")


def find_stand(container: str) -> Stand | None:
    """Find a container by its id. None where neither a cgroup nor a process of it can be seen from here."""
    if not container:
        return None
    directories = cgroups.of_container(container)
    found: set[int] = set()
    for directory in dict.fromkeys(directories.values()):
        found |= cgroups.members(directory)
    if not found:
        found = {pid for pid in processes.pids() if _is_in(pid, container)}
    if not directories and not found:
        return None
    named = {controller: str(directory) for controller, directory in directories.items()}
    return Stand(container=container, pid=_main(found), cgroups=named)


def file_of(stand: Stand, name: str) -> str:
    """The path of a file of the container's cgroup, in the hierarchy that has it.

    Raises FileNotFoundError where none has.
    """
    prefix = name.partition(".")[0]
    for controller in (prefix, "v2"):
        if directory := stand.cgroups.get(controller):
            path = f"{directory}/{name}"
            if os.path.lexists(path):
                return path
    raise FileNotFoundError(f"cgroup:/{name}")


def limits(stand: Stand) -> dict[str, str]:
    """Read every limit that a fault may change, what it has to know beside, and `disks`: their numbers."""
    found = {}
    for name in (*LIMITS, *READINGS):
        try:
            found[name] = Path(file_of(stand, name)).read_text(encoding="utf-8").strip()
        except OSError:
            continue
    return found | {"disks": " ".join(disks())}


def cores(stand: Stand) -> float:
    """CPU cores that the container may use now."""
    quotas = [
        cgroups.quota(Group(Path(directory), root, 2 if controller == "v2" else 1))
        for controller, directory in stand.cgroups.items()
        for name, root in cgroups.mounts()
        if name == controller and Path(directory).is_relative_to(root)
    ]
    return min([float(_allowed(stand.pid)), *quotas])


def memory_held(stand: Stand) -> int:
    """Bytes of memory that the container holds and that cannot simply be dropped; 0 where it is not seen."""
    try:
        lines = Path(file_of(stand, "memory.stat")).read_text(encoding="utf-8").splitlines()
    except OSError:
        return _resident(stand.pid)
    counted = {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}
    keys = next((keys for keys in HELD.values() if keys[0] in counted), ())
    return sum(counted.get(key, 0) for key in keys)


def disks() -> list[str]:
    """The numbers of this machine's disks, `major:minor`, whole ones only: no others can be throttled."""
    found = []
    for entry in sorted(Path("/sys/block").glob("*")):
        size = cgroups.content(entry / "size")
        if size not in ("", "0") and not entry.name.startswith(_NO_DISKS):
            found.append(cgroups.content(entry / "dev"))
    return [number for number in found if number]


def _main(found: set[int]) -> int:
    """The oldest whose parent is none of them; 0 where there is nobody."""
    born = {}
    for pid in found:
        if (facts := _birth(pid)) is not None and facts[0] not in found:
            born[pid] = facts[1]
    return min(born, key=lambda pid: (born[pid], pid), default=0)


def _birth(pid: int) -> tuple[int, int] | None:
    """Parent and start of a process; None where it is gone or a zombie."""
    text = cgroups.content(Path(f"/proc/{pid}/stat"))
    fields = text[text.rfind(")") + 2 :].split()
    return None if len(fields) < 20 or fields[0] == "Z" else (int(fields[1]), int(fields[19]))


def _is_in(pid: int, container: str) -> bool:
    return container in cgroups.content(Path(f"/proc/{pid}/cgroup"))


def _allowed(pid: int) -> int:
    try:
        return len(os.sched_getaffinity(pid))
    except OSError:
        return os.cpu_count() or 1


def _resident(pid: int) -> int:
    pages = cgroups.content(Path(f"/proc/{pid}/statm")).split()
    return int(pages[1]) * resource.getpagesize() if pid and pages else 0
