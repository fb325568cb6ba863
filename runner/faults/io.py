"""Io: a container reads and writes its disks only so fast."""

from __future__ import annotations

from typing import ClassVar

from runner.errors import Refused
from runner.faults.cgroup import Setting, first_file, set_there
from runner.faults.record import Fault, Instance, Steps
from runner.faults.subjects import suited
from runner.operations.record import CheckCounter
from runner.units import Bandwidth, written

_LEAST = 4096  # bytes a second; less is no speed but a standstill
_REQUEST = 4 << 20  # bytes that come at once: version 1 counts what is asked for, before it is let through
_V1 = {"read": "blkio.throttle.read_bps_device", "write": "blkio.throttle.write_bps_device"}
_FREE = "rbps=max wbps=max riops=max wiops=max"


class Io(Fault, frozen=True, kw_only=True, tag="io"):
    """Let it *read* and *write* no faster than that, on each disk of its machine.

    By io.max, or blkio.throttle of version 1, where what is written through the page cache is not counted:
    there only reads, and writes that bypass or flush the cache themselves, are slowed down.
    """

    platforms: ClassVar[frozenset[str]] = frozenset({"container", "pod"})
    property: ClassVar[str] = "io"
    is_limit: ClassVar[bool] = True

    read: Bandwidth | None = None
    write: Bandwidth | None = None

    def __post_init__(self) -> None:
        if self.read is None and self.write is None:
            raise ValueError("give read, write or both, for example write: 1MB/s")
        for name, rate in (("read", self.read), ("write", self.write)):
            if rate is not None and rate < _LEAST:
                raise ValueError(f"{name} is {written('bandwidth', rate)}; it must be at least 4KiB/s")

    def compile(self, instance: Instance) -> Steps:
        suited(self, instance)
        numbers = instance.cgroup_files.get("disks", "").split()
        if not numbers:
            raise Refused(
                f"{instance.name}: no disk of its machine could be seen, so none can be slowed down"
            )
        if first_file(instance, ("io.max", _V1["read"]), "io") == "io.max":
            settings = tuple(self._line(instance, number) for number in numbers)
        else:
            settings = tuple(
                Setting(
                    file, str(int(rate)), _line_of(instance.cgroup_files.get(file, ""), number, "0"), number
                )
                for number in numbers
                for file, rate in ((_V1["read"], self.read), (_V1["write"], self.write))
                if rate is not None
            )
        return set_there(instance, settings, confirm=(self._seen(instance, numbers),))

    def does(self) -> str:
        parts = [
            f"{word} at most {written('bandwidth', rate)}"
            for word, rate in (("read", self.read), ("write", self.write))
            if rate is not None
        ]
        return f"{' and '.join(parts)} of each disk"

    def _line(self, instance: Instance, number: str) -> Setting:
        before = _line_of(instance.cgroup_files["io.max"], number, _FREE)
        now = dict(part.split("=") for part in before.split())
        for key, rate in (("rbps", self.read), ("wbps", self.write)):
            if rate is not None:
                now[key] = str(int(rate))
        return Setting("io.max", " ".join(f"{key}={value}" for key, value in now.items()), before, number)

    def _seen(self, instance: Instance, numbers: list[str]) -> CheckCounter:
        """Watch every disk, each has the limit; who both reads and writes slowly need not do both."""
        limited = [name for name, rate in (("read", self.read), ("write", self.write)) if rate is not None]
        fastest = (self.read or 0.0) + (self.write or 0.0)
        if "io.max" in instance.cgroup_files:
            path, keys, fields = "io.stat", numbers, tuple(f"{name[0]}bytes=" for name in limited)
        else:
            word = "Total" if len(limited) == 2 else limited[0].title()
            path, keys, fields = "blkio.throttle.io_service_bytes", [f"{each} {word}" for each in numbers], ()
        return CheckCounter(
            path=f"cgroup:/{path}", keys=tuple(keys), fields=fields, fastest=fastest, burst=_REQUEST
        )


def _line_of(text: str, number: str, none: str) -> str:
    """What stands for a disk in such a file; *none* where it has no line."""
    lines = (line.partition(" ") for line in text.splitlines())
    return next((rest.strip() for key, _, rest in lines if key == number), none)
