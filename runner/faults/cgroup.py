"""Limits of a container or a pod, set in its cgroup by a helper there; of either version of cgroups."""

from __future__ import annotations

import msgspec

from runner.errors import Refused
from runner.faults.afar import afar
from runner.faults.record import Instance, Steps
from runner.operations.record import CheckFile, Holding, Operation, WriteFile


class Setting(msgspec.Struct, frozen=True):
    """A file, or its line of *key*, and what it shall read instead of *before*; never less than is *held* then."""

    file: str
    value: str
    before: str
    key: str = ""
    held: Holding | None = None

    @property
    def path(self) -> str:
        return f"cgroup:/{self.file}"


def first_file(instance: Instance, names: tuple[str, ...], kind: str) -> str:
    """Choose the file that the instance's version of cgroups has. Raises Refused where it has none of *names*."""
    name = next((name for name in names if name in instance.cgroup_files), None)
    if name is None:
        raise Refused(
            f"{instance.name}: {kind} needs the file {' or '.join(names)} of its cgroup, which cannot be seen there"
        )
    return name


def set_there(
    instance: Instance, settings: tuple[Setting, ...], *, confirm: tuple[Operation, ...] = ()
) -> Steps:
    """Set all, undo them in the opposite order, and confirm that they stand, and *confirm*."""
    return afar(
        instance,
        "cgroup",
        do=tuple(
            WriteFile(path=s.path, value=s.value, expect=s.before, key=s.key, strict=True, held=s.held)
            for s in settings
        ),
        undo=tuple(
            WriteFile(path=s.path, value=s.before, expect=s.value, key=s.key, gone_is_fine=True)
            for s in reversed(settings)
        ),
        confirm=(*(CheckFile(path=s.path, expect=s.value, key=s.key) for s in settings), *confirm),
    )
