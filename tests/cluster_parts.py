"""A real Docker engine and a real cluster for tests: fixtures that skip with their reason, and things that end with the test.

Containers and pods made here carry the label `squall.test`; Squall's own helpers carry `squall.run`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.processes import marked
from tests.cluster_api import reachable_from_pods

MINE = {"squall.test": str(os.getpid())}
FOREVER = ["sleep", "2147483647"]
PATIENCE = 30.0  # seconds
USED: set[str] = set()  # by this session: only there can anything be left


def pytest_configure(config: pytest.Config) -> None:
    """A cluster's kubeconfig may say that its certificate is not to be verified; that is no fault of ours."""
    config.addinivalue_line("filterwarnings", "ignore:Unverified HTTPS request")


def missing(what: str) -> None:
    """Skip with the reason; where everything has to be there, fail."""
    if os.environ.get("SQUALL_REQUIRE") == "1":
        pytest.fail(f"{what}; SQUALL_REQUIRE=1 wants it here")
    pytest.skip(what)


def until(wanted: Any, within: float = PATIENCE, every: float = 0.05) -> Any:
    """Wait until *wanted* gives something true; return it."""
    deadline = time.monotonic() + within
    while not (found := wanted()):
        assert time.monotonic() < deadline, f"did not come within {within} s"
        time.sleep(every)
    return found


# --- Docker ----------------------------------------------------------------------------------------------------------


def connected() -> Any:
    """Connect to the engine of DOCKER_HOST, or the local socket. Raises OSError, or what the SDK raises."""
    import docker

    client = docker.from_env(timeout=20)
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A reachable Docker engine, as a client of the docker SDK."""
    try:
        client = connected()
    except Exception as error:
        missing(f"no Docker engine answers: {str(error)[:120]}")
    USED.add("engine")
    with contextlib.closing(client):
        yield client


@pytest.fixture(scope="session")
def image(engine: Any) -> str:
    """The image of helpers and of the shop, with the sources as they are now."""
    from tests.helper_image import build

    return build()


@contextlib.contextmanager
def container(
    engine: Any,
    *command: str,
    image: str = "busybox:local",
    labels: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Run a container of our own, removed at the end; *options* are those of the SDK's `containers.run`."""
    options.setdefault("name", f"squall-test-{uuid.uuid4().hex[:8]}")
    made = engine.containers.run(
        image, list(command) or FOREVER, detach=True, init=False, labels={**MINE, **(labels or {})}, **options
    )
    try:
        until(lambda: _state(made)["Running"] or _state(made)["FinishedAt"][:4] != "0001")
        yield made
    finally:
        gone(made)


def _state(made: Any) -> dict[str, Any]:
    made.reload()
    return made.attrs["State"]


def gone(made: Any) -> None:
    """Remove a container whatever its state; one that is gone already is fine."""
    import docker.errors

    with contextlib.suppress(docker.errors.NotFound):
        made.reload()
        if made.attrs["State"]["Paused"]:
            made.unpause()
        made.remove(force=True, v=True)


@contextlib.contextmanager
def network(engine: Any) -> Iterator[Any]:
    """A bridge network of our own."""
    made = engine.networks.create(f"squall-test-{uuid.uuid4().hex[:8]}", driver="bridge", labels=MINE)
    try:
        yield made
    finally:
        made.reload()
        for each in made.containers:
            made.disconnect(each, force=True)
        made.remove()


# --- Kubernetes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kubernetes:
    """A usable cluster: the SDK's clients, and the configuration that reaches it."""

    core: Any
    apps: Any
    kubeconfig: str
    context: str

    @functools.cached_property
    def version(self) -> Any:
        import kubernetes

        return kubernetes.client.VersionApi(self.core.api_client).get_code()

    @property
    def uid(self) -> str:
        return self.core.read_namespace("kube-system").metadata.uid


def reached() -> Kubernetes:
    """Reach the cluster of the current context. Raises what the SDK raises."""
    import kubernetes

    path = os.environ.get("KUBECONFIG", str(Path("~/.kube/config").expanduser())).split(":")[0]
    if not Path(path).exists():
        raise OSError(f"there is no {path}")
    _, current = kubernetes.config.list_kube_config_contexts(path)
    api = kubernetes.config.new_client_from_config(path)
    core = kubernetes.client.CoreV1Api(api)
    core.read_namespace("kube-system", _request_timeout=5)
    return Kubernetes(core, kubernetes.client.AppsV1Api(api), path, current["name"])


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kubernetes]:
    """The cluster of KUBECONFIG's current context."""
    try:
        there = reached()
    except Exception as error:
        missing(f"no cluster answers: {' '.join(str(error).split())[:120]}")
    USED.add("cluster")
    with contextlib.closing(there.core.api_client), reachable_from_pods(there.core):
        yield there


@contextlib.contextmanager
def namespace(cluster: Kubernetes, name: str = "") -> Iterator[str]:
    """A namespace of our own; at the end its pods go at once, itself when the cluster gets to it."""
    name = name or f"squall-test-{uuid.uuid4().hex[:8]}"
    cluster.core.create_namespace({"metadata": {"name": name, "labels": MINE}})
    until(lambda: _has_an_account(cluster, name))
    try:
        yield name
    finally:
        emptied(cluster, name)
        cluster.core.delete_namespace(name)


def _has_an_account(cluster: Kubernetes, name: str) -> bool:
    """Pods are refused until the namespace's account has its token (as clusters before 1.24 make them)."""
    accounts = cluster.core.list_namespaced_service_account(name).items
    new = int(cluster.version.minor.rstrip("+")) >= 24
    return any(one.metadata.name == "default" and (new or one.secrets) for one in accounts)


def emptied(cluster: Kubernetes, name: str) -> None:
    """Delete the workloads and the pods of a namespace and wait until no pod is left."""
    for kind in ("deployment", "stateful_set", "daemon_set"):
        getattr(cluster.apps, f"delete_collection_namespaced_{kind}")(name, propagation_policy="Background")
    cluster.core.delete_collection_namespaced_pod(name, grace_period_seconds=0)
    with contextlib.suppress(AssertionError):
        until(lambda: not cluster.core.list_namespaced_pod(name).items, every=0.2)


def pod_manifest(name: str, command: tuple[str, ...], image: str, labels: dict[str, str]) -> dict[str, Any]:
    main = {"name": "main", "image": image, "command": list(command) or FOREVER, "imagePullPolicy": "Never"}
    return {
        "metadata": {"name": name, "labels": {**MINE, **labels}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [main],
        },
    }


@contextlib.contextmanager
def pods(
    cluster: Kubernetes,
    *command: str,
    count: int = 1,
    image: str = "busybox:local",
    labels: dict[str, str] | None = None,
    within: str = "",
    patience: float = PATIENCE,
) -> Iterator[list[Any]]:
    """Run bare pods `test-0`, `test-1` … that are up and running, in *within* or a namespace of their own."""
    with contextlib.ExitStack() as stack:
        where = within or stack.enter_context(namespace(cluster))
        names = [f"test-{uuid.uuid4().hex[:6]}-{number}" for number in range(count)]
        for name in names:
            cluster.core.create_namespaced_pod(where, pod_manifest(name, command, image, labels or {}))
            stack.callback(_pod_gone, cluster, where, name)
        yield [until(lambda name=name: running(cluster, where, name), patience) for name in names]


@contextlib.contextmanager
def deployment(
    cluster: Kubernetes,
    *command: str,
    replicas: int = 2,
    image: str = "busybox:local",
    name: str = "web",
    labels: dict[str, str] | None = None,
) -> Iterator[Any]:
    """Run a Deployment in a namespace of its own, all its replicas ready; labelled app=NAME."""
    chosen = {"app": name, **(labels or {})}
    template = pod_manifest("", command, image, chosen)
    del template["metadata"]["name"]
    with namespace(cluster) as where:
        cluster.apps.create_namespaced_deployment(
            where,
            {
                "metadata": {"name": name, "labels": {**MINE, **chosen}},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": template,
                },
            },
        )
        yield until(lambda: _rolled_out(cluster, where, name, replicas), every=0.2)


def _rolled_out(cluster: Kubernetes, where: str, name: str, replicas: int) -> Any:
    found = cluster.apps.read_namespaced_deployment(name, where)
    return found if found.status.ready_replicas == replicas else None


def running(cluster: Kubernetes, where: str, name: str) -> Any:
    """Read a pod that has an address and whose containers run; None as long as they do not."""
    found = cluster.core.read_namespaced_pod(name, where)
    states = found.status.container_statuses or []
    return found if found.status.pod_ip and states and all(each.state.running for each in states) else None


def container_of(pod: Any) -> str:
    """Read the runtime's id of a pod's first container."""
    return pod.status.container_statuses[0].container_id.rpartition("/")[2]


def _pod_gone(cluster: Kubernetes, where: str, name: str) -> None:
    from kubernetes.client.exceptions import ApiException

    with contextlib.suppress(ApiException):
        cluster.core.delete_namespaced_pod(name, where, grace_period_seconds=0)


# --- what does not answer ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def frozen(name: str) -> Iterator[None]:
    """Freeze one process of the cluster at hand, by its pid file, for a bounded time; skip where there is no such file."""
    file = Path(os.environ.get("KUBECONFIG", "")).parent / "run" / f"{name}.pid"
    if not file.exists():
        missing(f"there is no {file}: {name} cannot be stopped from here")
    pid = int(file.read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- what may not remain -------------------------------------------------------------------------------------------


def patience() -> float:
    """How many seconds helpers may take to end by themselves: their lease, and some for a busy machine."""
    return 15.0 if USED else 0.0


def leftovers(since: float = 0.0) -> list[str]:
    """Name what Squall's runs left, since *since* (Unix time), on the engine and in the cluster that this session used.

    What belongs to a run that still lives on this machine is not left behind.
    """
    left: list[str] = []
    if "engine" in USED:
        with contextlib.closing(connected()) as client:
            left += _left_containers(client, since)
    if "cluster" in USED:
        there = reached()
        with contextlib.closing(there.core.api_client):
            left += _left_objects(there, since)
    return left


def _left_containers(client: Any, since: float) -> Iterator[str]:
    for each in client.api.containers(all=True, filters={"label": "squall.run"}):
        run = each["Labels"]["squall.run"]
        if "io.kubernetes.pod.uid" in each["Labels"]:
            continue  # a pod's: looked for in the cluster; its kubelet takes its time to sweep up
        if each["Created"] >= since and not any(marked(run)):
            yield f"container {each['Names'][0]} of run {run}: {each['Status']}"


def _left_objects(there: Kubernetes, since: float) -> Iterator[str]:
    for kind in ("pod", "config_map"):
        found = getattr(there.core, f"list_{kind}_for_all_namespaces")(label_selector="squall.run").items
        for each in found:
            run, made = each.metadata.labels["squall.run"], each.metadata.creation_timestamp
            if made.timestamp() >= since - 1 and not any(marked(run)):
                yield f"{kind} {each.metadata.namespace}/{each.metadata.name} of run {run}"
