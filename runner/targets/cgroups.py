"""The cgroup of a process: what it may use there, and whether the cgroup is its own to change."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from runner.targets.family import family

_V2_FILES = ("cpu.max", "memory.max", "memory.high")
_V1_FILES = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes")


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
    mounts = _mounts()
    found = []
    for line in lines:
        _, names, path = line.split(":", 2)
        key = names or "v2"
        for controller in key.split(","):
            if root := mounts.get(controller):
                directory = root / path.lstrip("/")
                version = 2 if key == "v2" else 1
                found.append(Group(directory, root, version, tuple(key.split(","))))
                break
    return sorted(found, key=lambda group: "cpu" not in group.controllers)


def quota(pid: int) -> float:
    """CPU cores that the cgroups of *pid* and those above them allow; infinite without a quota."""
    return min((_quota(level) for group in groups(pid) for level in _upwards(group)), default=float("inf"))


def own(pid: int, peers: Collection[int]) -> tuple[str, int, dict[str, str]]:
    """Find a cgroup that holds *pid* and its descendants alone and that we may write.

    Returns its directory, version and the current values of its limit files; ("", 0, {}) where there is none.
    *peers* are processes that must not be in it: the other instances of the target.
    """
    for group in groups(pid):
        files = _writable(group)
        if files and group.directory != group.root and _holds_only(group.directory, pid, peers):
            return str(group.directory), group.version, files
    return "", 0, {}


def _writable(group: Group) -> dict[str, str]:
    names = _V2_FILES if group.version == 2 else _V1_FILES
    paths = [group.directory / name for name in names]
    return {path.name: text for path in paths if os.access(path, os.W_OK) and (text := _read(path))}


def _holds_only(directory: Path, pid: int, peers: Collection[int]) -> bool:
    members = {int(entry) for path in directory.rglob("cgroup.procs") for entry in _read(path).split()}
    return (
        bool(members) and members <= family(pid) and members.isdisjoint(peers) and os.getpid() not in members
    )


def _upwards(group: Group) -> Iterator[Path]:
    level = group.directory
    while level not in (group.root, level.parent):
        yield level
        level = level.parent
    yield group.root


def _quota(directory: Path) -> float:
    if text := _read(directory / "cpu.max"):
        most, period = text.split()
    else:
        most, period = _read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us")
    if not most or not period or most in ("max", "-1"):
        return float("inf")
    return int(most) / int(period)


def _mounts() -> dict[str, Path]:
    """Where each controller of version 1, and `v2`, is mounted."""
    mounts: dict[str, Path] = {}
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        place = Path(before.split()[4])
        if kind == "cgroup2":
            mounts.setdefault("v2", place)
        elif kind == "cgroup":
            for option in options.split()[-1].split(","):
                mounts.setdefault(option, place)
    return mounts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
