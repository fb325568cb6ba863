"""Programs of the system that operations use: run to their end, by argv, never by a shell."""

from __future__ import annotations

import os
import subprocess

from runner.errors import OperationFailed

PATIENCE = 20.0  # seconds; they take milliseconds, and on a slow machine much longer
_PACKAGES = {"nft": "nftables", "tc": "iproute2", "ip": "iproute2"}
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # a user's PATH may lack them


def environment() -> dict[str, str]:
    """What a program of the system is run with: its messages in English, its folders on the PATH."""
    folders = [*os.get_exec_path(), *_SYSTEM]
    return dict(os.environ) | {"LC_ALL": "C", "PATH": os.pathsep.join(dict.fromkeys(folders))}


def missing(name: str) -> OperationFailed:
    """The error that a program is not there."""
    return OperationFailed(
        f"the program {name} is not here; install {_PACKAGES.get(name, name)} (in the helper's image, where one is used)"
    )


def run(*argv: str, text: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program with *text* as its input. Raises OperationFailed where it is missing or hangs."""
    try:
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=environment() | (env or {}),
        )
    except FileNotFoundError:
        raise missing(argv[0]) from None
    except subprocess.TimeoutExpired:
        raise OperationFailed(f"{' '.join(argv)[:80]} has not ended for {PATIENCE:g} s") from None


def first_line(text: str) -> str:
    """The first sentence of what a program complained of."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "it does not say why")[:200]
