"""A launcher of guardian and hands that kills them before a given line runs for the first time; nothing in the product.

    python -I linekill.py ROLE PLAN ARGUMENTS…

PLAN, in JSON: root (of the checkout), record (a file that collects "role file:line" as lines are first reached), mark (a file: only lines after it count),
kill ("role file:line"), token (a file; whoever removes it is the one that dies, so that one process dies, not all).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

ROLE, PLAN = sys.argv[1:3]
HOW = json.loads(PLAN)
sys.path.append(HOW["root"])

from runner.guardian import hand, launch, process  # noqa: E402 - the checkout is named by the plan

PLACES = tuple(f"{HOW['root']}/runner/{room}/" for room in ("guardian", "operations"))
seen: set[str] = set()
begun = [] if HOW.get("mark") else [True]


def tracer(frame, event: str, _argument: object) -> Callable | None:
    name = frame.f_code.co_filename
    if not name.startswith(PLACES) or frame.f_code.co_name == "<module>":
        return None
    return reached


def reached(frame, event: str, _argument: object) -> Callable:
    if event == "line" and under_way():
        point = f"{ROLE} {frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        if point not in seen:
            seen.add(point)
            first_time(point)
    return reached


def under_way() -> bool:
    """Count lines only from the moment at which harm has landed."""
    if not begun and os.path.exists(HOW["mark"]):  # noqa: PTH110 - asked before every line
        begun.append(True)
    return bool(begun)


def first_time(point: str) -> None:
    if HOW.get("record"):
        descriptor = os.open(HOW["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, point.encode() + b"\n")
        os.close(descriptor)
    if point == HOW.get("kill"):
        try:
            Path(HOW["token"]).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


launch.HAND = (sys.executable, "-I", str(Path(__file__).resolve()), "hand", PLAN)
sys.argv = ["linekill", *sys.argv[3:]]
threading.settrace(tracer)
sys.settrace(tracer)
(process if ROLE == "guardian" else hand).main()
