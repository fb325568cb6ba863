"""The kinds of fault that the matrix knows, on each platform."""

from __future__ import annotations

from dataclasses import dataclass

ELSEWHERE = "203.0.113.9"  # nobody's: what is cut off there hurts nobody


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault with its knobs, on what, and which quick look sees it."""

    name: str
    knobs: str
    target: str = "victim"
    looks: str = "network"
    needs: str = ""  # netem


NETWORK = (
    Kind("blackhole", "", target="way"),
    Kind("reset", "", target="way"),
    Kind("refuse", "", target="way"),
    Kind("partition", f"peers: [{ELSEWHERE}]"),
    Kind("dns", "answer: nxdomain"),
    Kind("http", "port: 8080, status: 503"),
    Kind("bandwidth", "rate: 1MiB/s", needs="netem"),
    Kind("latency", "delay: 50ms", needs="netem"),
    Kind("loss", "share: 20%", needs="netem"),
)
CGROUP = (
    Kind("cpu", "limit: 20%", looks="cgroup"),
    Kind("memory", "limit: 64MiB", looks="cgroup"),
    Kind("pids", "headroom: 5", looks="cgroup"),
    Kind("io", "read: 1MiB/s", looks="cgroup"),
    Kind("pause", "", looks="stopped"),
)
DOCKER = (
    *NETWORK, *CGROUP,
    Kind("kill", "", looks="ended"),
    Kind("restart", "", looks="life"),
    Kind("disk_fill", "folder: /tmp, share: 30%", looks="files"),  # a tmpfs of 32 MiB
)  # fmt: skip
KUBERNETES = (
    *NETWORK, *CGROUP,
    Kind("kill", "how: delete", looks="pods"),
    Kind("scale", "replicas: 1", looks="workload"),
    Kind("restart", "", looks="pods"),
    Kind("cordon", "", target="node", looks="node"),
    Kind("taint", "key: squall.test/matrix, value: 'yes'", target="node", looks="node"),
)  # fmt: skip
