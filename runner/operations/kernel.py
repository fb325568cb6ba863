"""What the kernel here can do to packets, found by trying it in a network namespace that nobody else is in."""

from __future__ import annotations

import subprocess
import sys

from runner.operations import programs

PATIENCE = 5.0  # seconds for one try
_PRIO = "qdisc add dev lo root handle 5c00: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
_TBF = ("qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "10kb", "latency", "1s")
_LED = (
    "qdisc add dev lo handle ffff: ingress\n"
    "filter add dev lo parent ffff: protocol ip u32 match u32 0 0 action mirred egress redirect dev squall-try\n"
)
_CLEAN = ("tc", "qdisc", "del", "dev", "lo", "root")
_PROGRAM = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
    sys.exit(os.strerror(ctypes.get_errno()))
from runner.operations.kernel import features_of_this_network
print(*features_of_this_network())
"""


def kernel_features() -> set[str]:
    """Which of netem, tbf, nft-owner, nft-timeout and ifb (what comes in, led through a device) work here; none where we may make no namespace."""
    done = programs.run(sys.executable, "-c", _PROGRAM)
    return set(done.stdout.split()) if done.returncode == 0 else set()


def features_of_this_network() -> set[str]:
    """Try them in the namespace of this process, which must be nobody else's. What is tried is taken away again."""
    tries = {
        "netem": _works("tc", "-batch", "-", text=f"{_PRIO}qdisc add dev lo parent 5c00:2 netem delay 1ms\n"),
        "tbf": _works("tc", *_TBF),
        "nft-owner": _works("nft", "-f", "-", text="table inet squall_try { flags owner; }\n"),
        "nft-timeout": _works(
            "nft",
            "-f",
            "-",
            text="table inet squall_other { set s { type nf_proto; flags timeout; }; }\n"
            "add element inet squall_other s { ipv4 timeout 1s }\ndelete table inet squall_other\n",
        ),
        "ifb": _works("ip", "link", "add", "squall-try", "type", "ifb")
        and _works("tc", "-batch", "-", text=_LED),
    }
    _works("tc", "qdisc", "del", "dev", "lo", "ingress")
    _works("ip", "link", "del", "squall-try")
    return {name for name, works in tries.items() if works}


def _works(*argv: str, text: str = "") -> bool:
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=programs.environment(),
        )
        if argv[0] == "tc":
            subprocess.run(_CLEAN, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
