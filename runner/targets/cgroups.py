"""The cgroup of a process: what it may use there, and whether the cgroup is its own to change."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from runner import cgroups
from runner.cgroups import Group, groups
from runner.targets.family import family

_V2_FILES = ("cpu.max", "memory.max", "memory.high")
_V1_FILES = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes")


def quota(pid: int) -> float:
    """CPU cores that the cgroups of *pid* and those above them allow; infinite without a quota."""
    return min((cgroups.quota(group) for group in groups(pid)), default=float("inf"))


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
    return {path.name: text for path in paths if os.access(path, os.W_OK) and (text := cgroups.content(path))}


def _holds_only(directory: Path, pid: int, peers: Collection[int]) -> bool:
    members = cgroups.entries(directory)
    return (
        bool(members) and members <= family(pid) and members.isdisjoint(peers) and os.getpid() not in members
    )
