"""An API server that has nothing but objects as Kubernetes 1.20 to 1.35 return them, and answers what is read."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

_PLURALS = {"Endpoints": "endpoints"}


@contextlib.contextmanager
def served(folder: Path, name: str, *objects: dict[str, Any]) -> Iterator[Path]:
    """Serve *objects* as the cluster *name*, with uids that are its own; give a kubeconfig that leads there."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "cluster"}}
    everything = json.loads(
        json.dumps([space, *objects]),
        object_hook=lambda read: read | ({"uid": f"{name}/{read['uid']}"} if "uid" in read else {}),
    )

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            found = _answer(everything, url.path, parse_qs(url.query))
            body = json.dumps(found or {"kind": "Status", "message": "not found", "code": 404}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    (folder / name).write_text(yaml.safe_dump(config))
    try:
        yield folder / name
    finally:
        server.shutdown()
        server.server_close()


def _answer(objects: list[dict[str, Any]], path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
    one = next((each for each in objects if f"{_collection(each)}/{each['metadata']['name']}" == path), None)
    if one is not None or path not in {_collection(each) for each in objects} | _COLLECTIONS:
        return one
    wanted = dict(term.split("=") for text in query.get("labelSelector", ()) for term in text.split(","))
    here = [each for each in objects if _collection(each) == path]
    return {
        "kind": "List",
        "items": [one for one in here if wanted.items() <= one["metadata"].get("labels", {}).items()],
    }


_COLLECTIONS = {
    f"{group}/namespaces/{space}/{plural}"
    for space in ("shop", "other", "kube-system")
    for group, plural in (("/api/v1", "pods"), ("/api/v1", "endpoints"), ("/apis/policy/v1", "poddisruptionbudgets"))
}  # fmt: skip  # these are there with nothing in them too


def _collection(made: dict[str, Any]) -> str:
    version, kind, space = made["apiVersion"], made["kind"], made["metadata"].get("namespace")
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"{group}/namespaces/{space}/{plural}" if space else f"{group}/{plural}"


def workload(kind: str, name: str, *, space: str = "shop", status: Any = None, **spec: Any) -> dict[str, Any]:
    """What runs pods that are labelled app=NAME; *spec* as it is written, `updateStrategy` and all."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": _meta(name, space, kind) | {"generation": 1, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": _template()},
            "revisionHistoryLimit": 10,
            **spec,
        },
        "status": status or {"observedGeneration": 1},
    }


def pod(
    name: str, owner: dict[str, Any] | None, *, node: str = "n1", space: str = "shop", **spec: Any
) -> dict[str, Any]:
    """A pod that runs and is ready, of *owner* or of nobody."""
    meta = _meta(name, space, "pod") | {"labels": {"app": name.rpartition("-")[0]}}
    began = "2026-01-05T09:00:03Z"
    container = {
        "name": "main",
        "state": {"running": {"startedAt": began}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": "registry.example/web:1",
        "imageID": "registry.example/web@sha256:" + "1" * 64,
        "containerID": "containerd://" + f"{abs(hash(meta['uid'])):064x}"[-64:],
        "started": True,
    }
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": node, "tolerations": DEFAULT_TOLERATIONS, **_template(), **spec},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": began}
            ],
            "hostIP": "10.0.0.1",
            "podIP": "10.1.0.7",
            "podIPs": [{"ip": "10.1.0.7"}],
            "startTime": began,
            "containerStatuses": [container],
            "qosClass": "BestEffort",
        },
    }
    return made if owner is None else owned(made, owner)


def owned(made: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    """Say that *owner* controls what is made."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return made | {"metadata": made["metadata"] | {"ownerReferences": [reference]}}


DEFAULT_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{why}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for why in ("not-ready", "unreachable")
]


def node(name: str, zone: str = "") -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name} | ({"topology.kubernetes.io/zone": zone} if zone else {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}", "creationTimestamp": "2026-01-05T08:00:00Z", "labels": labels},
        "spec": {"podCIDR": "10.1.0.0/24"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        },
    }  # fmt: skip


def budget(name: str, *, allowed: int, healthy: int, space: str = "shop") -> dict[str, Any]:
    """A disruption budget of the pods that are labelled app=NAME."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(name, space, "pdb") | {"generation": 1},
        "spec": {"minAvailable": healthy - allowed, "selector": {"matchLabels": {"app": name}}},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": healthy - allowed,
            "expectedPods": healthy,
        },
    }


def endpoints(name: str, *pods: dict[str, Any], space: str = "shop") -> dict[str, Any]:
    """What a service leads to."""
    addresses = [
        {
            "ip": one["status"]["podIP"],
            "nodeName": one["spec"]["nodeName"],
            "targetRef": {
                "kind": "Pod",
                "namespace": one["metadata"]["namespace"],
                "name": one["metadata"]["name"],
                "uid": one["metadata"]["uid"],
            },
        }
        for one in pods
    ]
    ports = [{"port": 80, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": _meta(name, space, "endpoints"),
        "subsets": [{"addresses": addresses, "ports": ports}],
    }


def _meta(name: str, space: str, what: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": space,
        "uid": f"{what.lower()}-{space}-{name}",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-05T09:00:00Z",
    }


def _template() -> dict[str, Any]:
    return {
        "containers": [
            {"name": "main", "image": "registry.example/web:1", "imagePullPolicy": "IfNotPresent"}
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
