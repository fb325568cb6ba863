"""What containers, pods and a cluster are like: taken before and after, it tells whether anything was left there.

Read from outside by other ways than Squall's own: this needs root on the machine of the engine.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

CGROUP_FILES = (
    "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "cpuset.cpus", "memory.limit_in_bytes", "memory.soft_limit_in_bytes",
    "memory.memsw.limit_in_bytes", "pids.max", "freezer.state", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
    "cpu.max", "cpu.weight", "memory.max", "memory.high", "io.max", "cgroup.freeze",
)  # fmt: skip
LIMITS = ("NanoCpus", "CpuQuota", "CpuPeriod", "CpuShares", "CpusetCpus", "Memory", "MemorySwap", "PidsLimit",
          "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "RestartPolicy")  # fmt: skip

# what the engine says anew at each start of a container (ports of its name service), and how often rules were of use
RENEWED = re.compile(r"(?<=127\.0\.0\.11):\d+|(?<=sport )\d+(?= .*snat)|packets \d+ bytes \d+ ?")


def of_container(engine: Any, container: str) -> dict[str, Any]:
    """Read one container: its state, limits, network, processes and files. Only pids, times and counters are left out."""
    facts = engine.api.inspect_container(container)
    pid = facts["State"]["Pid"]
    seen = {
        "state": {name: facts["State"][name] for name in ("Status", "Running", "Paused", "OOMKilled")},
        "limits": {name: facts["HostConfig"].get(name) for name in LIMITS},
        "networks": sorted(facts["NetworkSettings"]["Networks"]),
        "files": sorted(each["Path"] for each in engine.api.diff(container) or []),
    }
    if pid:
        seen |= {"network": of_network(pid), "cgroup": of_cgroup(pid), "processes": of_processes(pid)}
        seen["resolv.conf"] = Path(f"/proc/{pid}/root/etc/resolv.conf").read_text()
    return seen


def of_network(pid: int) -> dict[str, Any]:
    """Read the network namespace of a process: qdiscs, filters, rules, devices."""
    inside = ["nsenter", "-t", str(pid), "-n"]
    return {
        "qdiscs": _said(*inside, "tc", "qdisc", "show"),
        "filters": _said(*inside, "tc", "filter", "show"),
        "rules": RENEWED.sub("", _said(*inside, "nft", "list", "ruleset")),
        "devices": sorted(
            (each["ifname"], each["mtu"], each["operstate"])
            for each in json.loads(_said(*inside, "ip", "-j", "link"))
        ),
        "policy": _said(*inside, "ip", "rule"),
    }


def of_cgroup(pid: int) -> dict[str, str]:
    """Read the files of a process's cgroups that limit something."""
    return {
        f"{mount}/{name}": path.read_text().strip()
        for mount, folder in _cgroups(pid)
        for name in CGROUP_FILES
        if (path := folder / name).exists()
    }


def _cgroups(pid: int) -> list[tuple[str, Path]]:
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        name = controllers.removeprefix("name=")
        if (folder := Path(f"/sys/fs/cgroup/{name}{path}")).is_dir():
            found.append((name or "v2", folder))
    return found


def of_processes(pid: int) -> list[str]:
    """Name the processes of a container, and whether they are stopped."""
    space = Path(f"/proc/{pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "ns" / "pid").readlink() == space:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found.append(f"{command.strip()} {'stopped' if state in 'Tt' else 'well'}")
        except OSError:
            continue
    return sorted(found)


def of_label(engine: Any, label: str) -> list[dict[str, Any]]:
    """Read all containers with a label, running or not, in an order that does not depend on their age."""
    found = [
        of_container(engine, each["Id"]) for each in engine.api.containers(all=True, filters={"label": label})
    ]
    return sorted(found, key=lambda each: json.dumps(each, sort_keys=True))


def of_namespace(engine: Any, cluster: Any, namespace: str, *, selector: str = "") -> dict[str, Any]:
    """Read a namespace: its workloads as asked for, and each pod that is not on its way out."""
    seen: dict[str, Any] = {
        f"deployment/{each.metadata.name}": {
            "replicas": each.spec.replicas,
            "ready": each.status.ready_replicas,
            "labels": each.metadata.labels,
        }
        for each in cluster.apps.list_namespaced_deployment(namespace, label_selector=selector).items
    }
    pods = []
    for pod in cluster.core.list_namespaced_pod(namespace, label_selector=selector).items:
        if pod.metadata.deletion_timestamp is None:
            identity = pod.status.container_statuses[0].container_id.rpartition("/")[2]
            facts = of_container(engine, identity)
            facts["processes"] = [_whosever(pod, line) for line in facts.get("processes", [])]
            facts["owner"] = [each.kind for each in pod.metadata.owner_references or []]
            facts["labels"] = {
                key: value for key, value in pod.metadata.labels.items() if key != "pod-template-hash"
            }
            pods.append(facts)
    seen["pods"] = sorted(pods, key=lambda each: json.dumps(each, sort_keys=True))
    return seen


def _whosever(pod: Any, line: str) -> str:
    """Say the same for the pod that takes another's place: its own name and address are new, and meant to be."""
    own = re.escape(pod.metadata.name) + "|" + rf"{re.escape(pod.status.pod_ip)}(?![0-9])"
    return re.sub(rf"(?<![\w.-])(?:{own})", "ITS", line)


def of_nodes(cluster: Any) -> dict[str, Any]:
    """Read what may be scheduled where."""
    return {
        each.metadata.name: {
            "unschedulable": bool(each.spec.unschedulable),
            "taints": sorted(f"{taint.key}={taint.value}:{taint.effect}" for taint in each.spec.taints or []),
            "labels": each.metadata.labels,
            "annotations": sorted(each.metadata.annotations or {}),
        }
        for each in cluster.core.list_node().items
    }


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"{done.returncode} {done.stderr.strip()}"


def difference(before: Any, after: Any, path: str = "") -> list[str]:
    """Name what differs between two fingerprints."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted(before.keys() | after.keys())
            for line in difference(before.get(key), after.get(key), f"{path}/{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for number, pair in enumerate(zip(before, after, strict=True))
            for line in difference(*pair, f"{path}/{number}")
        ]
    return [] if before == after else [f"{path}: {before!r} became {after!r}"]
