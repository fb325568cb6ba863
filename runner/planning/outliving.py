"""Whether what undoes a fault outlives the runner's job: in a container all of it ends at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from runner.errors import Mistake
from runner.operations.record import Await
from runner.planning.scouting import Draft

_OUTERMOST = {"pid": "pid:[4026531836]", "cgroup": "cgroup:[4026531835]"}  # fixed in the kernel's proc_ns.h
_MACHINES = ("systemd", "init")  # process 1 of what lives on as a machine does: LXC, WSL
_CONTAINER = re.compile(r"[0-9a-f]{64}")  # every engine names a container's cgroup by its id


def refuse_without_end(drafts: Iterable[Draft], proc: Path = Path("/proc")) -> None:
    """Raise Mistake where only we could undo a fault elsewhere, and nothing of us would be left to do it."""
    if not (here := container(proc)):
        return
    for use, name in ((draft.use, draft.body.name) for draft in drafts if _needs_us(draft)):
        kind = str(use.fault.__struct_config__.tag)
        raise Mistake(
            use.place,
            f"faults.{use.name}",
            f"{kind} on {name} has no end of its own, and Squall runs in a container {here}, which would take"
            " the undo along; run it on a host or a virtual machine, or choose a fault that helpers undo, such as pause",
        )


def _needs_us(draft: Draft) -> bool:
    """An undo that only waits changes nothing: somebody else brings it back."""
    return not draft.steps.expiry and not all(isinstance(each, Await) for each in draft.steps.undo)


def container(proc: Path = Path("/proc")) -> str:
    """Say what ends the container that we and the guardian live in; empty: we live in none.

    Files such as /.dockerenv do not tell: a virtual machine made of an image has them too.
    """
    if _namespace(proc, "pid") != _OUTERMOST["pid"]:
        first = _read(proc / "1/comm")
        return "" if first in _MACHINES else f"that ends with its process 1 ({first or 'unknown'})"
    inside = _namespace(proc, "cgroup") != _OUTERMOST["cgroup"]
    return "that ends with its cgroup" if inside or _CONTAINER.search(_read(proc / "self/cgroup")) else ""


def _namespace(proc: Path, kind: str) -> str:
    try:
        return str((proc / "self/ns" / kind).readlink())
    except OSError:  # a kernel without such namespaces has only the outermost
        return _OUTERMOST[kind]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
