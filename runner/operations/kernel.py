"""What the kernel here can do to packets, found by trying it in a network namespace that nobody else is in."""

from __future__ import annotations

import json
import sys

from runner.operations import programs

# Each feature is one try; what it leaves goes with the namespace, and that with its last process.
_TRIES: dict[str, tuple[tuple[str, ...], str]] = {
    "netem": (
        ("tc", "-batch", "-"),
        "qdisc add dev lo root handle 5c00: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\nqdisc add dev lo parent 5c00:2 netem delay 1ms\n",
    ),
    "tbf": (
        ("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "10kb", "latency", "1s"),
        "",
    ),
    "nft-owner": (("nft", "-f", "-"), "table inet squall_try { flags owner; }\n"),
    "nft-timeout": (
        ("nft", "-f", "-"),
        "table inet squall_other { set s { type nf_proto; flags timeout; elements = { ipv4 timeout 1s }; }; }\n",
    ),
    "ifb": (("ip", "link", "add", "squall-try", "type", "ifb"), ""),
}
_PROGRAM = """
import ctypes, json, os, subprocess, sys
tries = json.loads(sys.argv[1])
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
    sys.exit(os.strerror(ctypes.get_errno()))
able = []
for name, (argv, text) in tries.items():
    try:
        if subprocess.run(argv, input=text.encode(), capture_output=True, timeout=5).returncode == 0:
            able.append(name)
    except (OSError, subprocess.TimeoutExpired):
        pass
    subprocess.run(("tc", "qdisc", "del", "dev", "lo", "root"), capture_output=True)
print(" ".join(able))
"""


def kernel_features() -> set[str]:
    """Which of netem, tbf, nft-owner, nft-timeout and ifb work here; none where we may make no namespace."""
    done = programs.run(sys.executable, "-S", "-c", _PROGRAM, json.dumps(_TRIES))
    return set(done.stdout.split()) if done.returncode == 0 else set()
