"""The pod of a helper: what each shape needs, and nothing more."""

from __future__ import annotations

from typing import Any

from runner.places import Post

COMMAND = ("python3", "-m", "runner.helper")
CONTAINER = "helper"
GRACE = 10  # seconds to undo when the pod is deleted
OUTER = 24 * 3600  # seconds after which the cluster ends a helper whatever else failed
_CGROUPS = "/sys/fs/cgroup"
_REQUESTS = {"cpu": "10m", "memory": "48Mi"}  # or the node's first victim under pressure would be who undoes
# no limits: an undo must not be throttled, and what fills a disk of memory is counted as the helper's own


def pod_of(post: Post, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """The manifest: on the target's node without asking a scheduler, tolerating whatever the node is tainted with."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "activeDeadlineSeconds": OUTER,
        "automountServiceAccountToken": post.shape == "api",
        "enableServiceLinks": False,
        "tolerations": [{"operator": "Exists"}],
        "hostPID": post.shape != "api",
        "containers": [_container(post)],
        "volumes": [],
    }
    if post.node:
        spec["nodeName"] = post.node
    if post.shape == "api" and post.service_account:
        spec["serviceAccountName"] = post.service_account
    if post.shape != "api":
        spec["volumes"] = [{"name": "cgroup", "hostPath": {"path": _CGROUPS, "type": "Directory"}}]
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def _container(post: Post) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": post.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*COMMAND],
        "resources": {"requests": _REQUESTS},
        "stdin": True,
        "stdinOnce": True,  # its input ends when we hang up, however we do
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": False,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": _capabilities(post)},
        },
    }
    if post.shape == "api":
        container["securityContext"] |= {"runAsUser": 65534, "runAsNonRoot": True}
    else:
        mount = {"name": "cgroup", "mountPath": _CGROUPS, "readOnly": post.shape != "cgroup"}
        container["volumeMounts"] = [mount]
    return container


def _capabilities(post: Post) -> list[str]:
    match post.shape:
        case "look":  # in a network of its own, to try what the kernel can do there
            return ["NET_ADMIN"]
        case "network":  # to enter the pod's by /proc/PID/ns/net, and to work there
            return ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"]
        case "process":
            return ["KILL"]
        case "disk":
            return ["SYS_PTRACE", "DAC_OVERRIDE"]
        case _:
            return []
