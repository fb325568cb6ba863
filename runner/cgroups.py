"""Control groups of either version as the kernel shows them: where they are mounted, who is in which, what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

_DEEPEST = 12  # levels below a mount; containers lie at two to six
LIMITS = (
    "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us",
    "memory.max", "memory.high", "memory.limit_in_bytes",
    "io.max", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
    "pids.max", "cgroup.freeze", "freezer.state",
)  # fmt: skip  # what a fault may change, of either version
HELD = {
    "memory.max": ("anon", "shmem", "unevictable", "slab_unreclaimable", "kernel_stack", "pagetables"),
    "memory.limit_in_bytes": ("total_rss", "total_shmem", "total_unevictable"),
}  # by file of the limit: lines of memory.stat that the kernel cannot take back without swap; what is locked counts twice


class Group(msgspec.Struct, frozen=True):
    """One cgroup directory of a process; *root* is where that hierarchy is mounted."""

    directory: Path
    root: Path
    version: int
    controllers: tuple[str, ...] = ()


def groups(pid: int) -> list[Group]:
    """Find the cgroups of *pid*, those of version 1 that limit the CPU first. Empty where none can be read."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    mounted = dict(reversed(mounts()))  # the first of a controller
    found = []
    for line in lines:
        _, names, path = line.split(":", 2)
        key = names or "v2"
        for controller in key.split(","):
            if root := mounted.get(controller):
                directory = root / path.lstrip("/")
                version = 2 if key == "v2" else 1
                found.append(Group(directory, root, version, tuple(key.split(","))))
                break
    return sorted(found, key=lambda group: "cpu" not in group.controllers)


def quota(group: Group) -> float:
    """CPU cores that a cgroup and those above it allow; infinite without a quota."""
    return min((_quota(level) for level in _upwards(group)), default=float("inf"))


def mounts() -> list[tuple[str, Path]]:
    """Where each controller of version 1, and `v2`, is mounted; a controller may be so more than once."""
    found: list[tuple[str, Path]] = []
    for line in content(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        place = Path(before.split()[4])
        if kind == "cgroup2":
            found.append(("v2", place))
        elif kind == "cgroup":
            found += [(option, place) for option in options.split()[-1].split(",")]
    return found


def of_container(container: str) -> dict[str, Path]:
    """Find the directories of a container by its id: controller (or `v2`) -> directory. Whoever manages them."""
    found: dict[str, Path] = {}
    below = ""  # its path is mostly the same below every controller
    for controller, root in mounts():
        guess = root / below
        directory = guess if below and guess.is_dir() else _search(root, container)
        if directory is None or (controller in found and not os.access(directory, os.W_OK)):
            continue
        found[controller] = directory
        below = str(directory.relative_to(root))
    return found


def members(directory: Path) -> set[int]:
    """Every process in a cgroup and below it, as far as our pid namespace shows them."""
    return entries(directory) - {0}


def entries(directory: Path) -> set[int]:
    """Every process in a cgroup and below it, 0 for those that our pid namespace does not show.

    A directory that goes meanwhile holds nobody: os.walk passes over it, where Path.rglob raises.
    """
    places = (Path(place) for place, _, _ in os.walk(directory))
    return {int(entry) for place in places for entry in content(place / "cgroup.procs").split()}


def content(path: Path) -> str:
    """Read a kernel file; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _search(root: Path, container: str) -> Path | None:
    """Find the directory that is named for a container: its id alone, or `docker-ID.scope` and the like."""
    level = [root]
    for _ in range(_DEEPEST):
        below = []
        for directory in level:
            try:
                with os.scandir(directory) as entries:
                    names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            for name in names:
                if container in name and "conmon" not in name:
                    return directory / name
            below += [directory / name for name in names]
        level = below
    return None


def _upwards(group: Group) -> Iterator[Path]:
    level = group.directory
    while level not in (group.root, level.parent):
        yield level
        level = level.parent
    yield group.root


def _quota(directory: Path) -> float:
    if text := content(directory / "cpu.max"):
        most, period = text.split()
    else:
        most, period = content(directory / "cpu.cfs_quota_us"), content(directory / "cpu.cfs_period_us")
    if not most or not period or most in ("max", "-1"):
        return float("inf")
    return int(most) / int(period)
