"""Disk_fill: the file system of a container is full, or nearly."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from runner.faults.afar import afar
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import suited
from runner.operations.record import CheckFill, Fill, FillGone
from runner.units import Share, written


class DiskFill(Fault, frozen=True, kw_only=True, tag="disk_fill"):
    """Fill the file system that holds *folder*, as the container sees it, up to *share*.

    By a file that has no name, held open by a helper: the space is back when that ends, however it ends. 1 % always
    stays free, of small ones 64 MiB or 5 %, whichever is less. A folder that is no volume of its own lies on the disk
    of the machine, and everybody there feels it. A file system in memory counts as the container's memory.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "disk"
    spreads: ClassVar[bool] = True

    share: Share
    folder: str = "/tmp"  # noqa: S108 - in the target, and nothing is named there

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(
                f"share is {written('share', self.share)}; it must be more than 0% and at most 100%"
            )
        if not self.folder.startswith("/") or ".." in self.folder.split("/"):
            raise ValueError(
                "folder must be a full path without `..`, as the container sees it, such as /data"
            )

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        of = hashlib.sha256(f"{instance.container} {self.folder}".encode()).hexdigest()[:12]
        name = f"squall-fill-{of}"
        return afar(
            instance,
            "disk",
            do=(Fill(folder=self.folder, name=name, share=self.share),),
            undo=(FillGone(folder=self.folder, name=name),),
            confirm=(CheckFill(folder=self.folder, share=self.share),),
        )

    def does(self) -> str:
        return f"fill the file system of {self.folder} to {written('share', self.share)}"
