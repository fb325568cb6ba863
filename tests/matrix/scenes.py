"""The scenes of the matrix: what is hurt, what it was like before, and a quick look whether it is hurt now."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from runner.planning.preparation import Prepared, prepare
from runner.running.acts import compile_act
from tests.cluster_api import reachable_from_pods, trust
from tests.cluster_parts import connected, container, deployment, reached, until
from tests.cluster_parts import container_of as container_of_pod
from tests.fingerprints import difference, of_cgroup, of_container, of_namespace, of_nodes
from tests.helper_image import IMAGE
from tests.matrix.kinds import ELSEWHERE, Kind

SERVING = (
    "python3",
    "-m",
    "scenarios.shop.web",
    "--host",
    "0.0.0.0",
    "--port",
    "8080",
    "--store",
    "127.0.0.1:1",
)
LEASE = 2.0  # seconds, of the helpers


class Scene:
    """One kind of fault and its target, for many tries; use as a context."""

    platform = ""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self._parts = contextlib.ExitStack()
        self._hosts: dict[str, int] = {}
        self._ready: tuple[Kind, Any, Prepared] | None = None

    def __enter__(self) -> Self:
        self.engine = self._parts.enter_context(contextlib.closing(connected()))
        self.set_up()
        self.before = self.fingerprint()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def prepared(self) -> tuple[str, list[Any]]:
        """Let Squall itself prepare a run here, anew when the target has; return a name for a run and its acts."""
        lives = self.lives()
        if self._ready is None or self._ready[:2] != (self.kind, lives):
            self._ready = self.kind, lives, self._prepare()
        ready = self._ready[2]
        run, bodies = f"matrix-{secrets.token_hex(5)}", ready.found.bodies()
        [use], [window] = ready.plan.scenario.faults, ready.plan.windows
        return run, [compile_act(use, bodies[name], 0, run=run) for name in window.instances]

    def _prepare(self) -> Prepared:
        self.folder.mkdir(exist_ok=True)
        scenario = self.folder / "matrix.yaml"
        knobs = f", {self.kind.knobs}" if self.kind.knobs else ""
        scenario.write_text(
            "squall: 1\ntitle: One cell of the matrix\nbefore: 1s\nafter: 1s\nfaults:\n"
            f"  hurt: {{kind: {self.kind.name}, target: {self.kind.target}, at: 0s, for: 60s, pick: 1{knobs}}}\n"
        )
        environment = self.folder / "here.yaml"
        environment.write_text(self.environment())
        [ready] = prepare(scenario, environment=str(environment), settings={})
        return ready

    def lives(self) -> Any:
        """Tell one life of the target from the next."""
        raise NotImplementedError

    def aim(self, acts: list[Any]) -> None:
        """Note whom the acts are about, and what that one is like now."""
        raise NotImplementedError

    def hurt(self) -> bool:
        """Look quickly whether the one who was aimed at is not as it was."""
        try:
            return self.look() != self.well
        except OSError:  # it ended under our eyes
            return True

    def landed(self) -> bool:
        """Look whether harm was done that is over by itself: the target lives another life."""
        return self.kind.looks == "life" and self._ready is not None and self.lives() != self._ready[1]

    def look(self) -> Any:
        """What the quick look sees."""
        match self.kind.looks:
            case "network":
                script = "nft list tables; tc qdisc show"
                inside = ["nsenter", "-t", str(self.host_pid()), "-n", "sh", "-c", script]
                return subprocess.run(inside, capture_output=True, text=True, check=False).stdout
            case "cgroup":
                return of_cgroup(self.host_pid())
            case "stopped":
                stopped = [value for name, value in of_cgroup(self.host_pid()).items() if "freeze" in name]
                return stopped, _state(self.host_pid())
            case "files":
                return os.statvfs(f"/proc/{self.host_pid()}/root/tmp").f_bfree  # what fills it has no name
            case "ended" | "life":
                return self.state()["Running"]
        raise NotImplementedError(self.kind.looks)

    def state(self) -> dict[str, Any]:
        return self.engine.api.inspect_container(self.container)["State"]

    def any_container(self) -> str:
        """The container that is aimed at."""
        return self.container

    def host_pid(self) -> int:
        """The pid of the target's main process; asked again only when that is gone."""
        pid = self._hosts.get(self.container, 0)
        if not pid or not Path(f"/proc/{pid}").exists():
            pid = self.state()["Pid"]
            if not pid:
                raise ProcessLookupError(self.container)
            self._hosts[self.container] = pid
        return pid

    def differences(self) -> list[str]:
        """What is not as it was before, in full."""
        return difference(self.before, self.fingerprint())

    def helpers(self, labels: str) -> list[str]:
        """Name the helpers that have *labels*."""
        found = self.engine.api.containers(all=True, filters={"label": labels.split(",")})
        return [each["Names"][0].lstrip("/") for each in found]

    def delete_helper(self, name: str) -> None:
        """Remove one under everybody's feet."""
        self.engine.api.remove_container(name, force=True)

    set_up: Callable[[], None]
    fingerprint: Callable[[], Any]
    environment: Callable[[], str]
    container = ""
    well: Any = None


def _state(pid: int) -> str:
    return "stopped" if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt" else ""


def container_of(acts: list[Any]) -> str:
    """Find the container that acts are about."""
    for act in acts:
        for operation in act.do:
            post = getattr(operation, "post", None)
            found = (post.container if post else "") or getattr(operation, "container", "")
            if found:
                return str(found)
    return ""


class OnDocker(Scene):
    """A container that serves pages."""

    platform = "docker"

    def set_up(self) -> None:
        self.made = self._parts.enter_context(
            container(self.engine, *SERVING, image=IMAGE, tmpfs={"/tmp": "size=32m"})
        )
        self.container = self.made.id

    def environment(self) -> str:
        return textwrap.dedent(f"""
            targets:
              victim: {{docker: {{name: {self.made.name}}}}}
              way: {{link: {{from: victim, to: {ELSEWHERE}, port: 8900}}}}
            helper: {{image: '{IMAGE}', lease: {LEASE:g}s}}
        """)

    def lives(self) -> Any:
        return self.state()["StartedAt"]

    def aim(self, acts: list[Any]) -> None:
        self.well = self.look()

    def fingerprint(self) -> Any:
        return of_container(self.engine, self.container)


class OnKubernetes(Scene):
    """A deployment of pods that serve pages, on a cluster whose engine is this machine's."""

    platform = "kubernetes"
    account = "default"  # of the reverter

    def set_up(self) -> None:
        self.cluster = reached()
        core = self.cluster.core
        self._parts.enter_context(contextlib.closing(core.api_client))
        self._parts.enter_context(reachable_from_pods(core))
        made = self._parts.enter_context(deployment(self.cluster, *SERVING, image=IMAGE))
        self.namespace = self.posts = made.metadata.namespace
        self.kubeconfig, self.context = self.cluster.kubeconfig, self.cluster.context
        self.allow()

    def allow(self) -> None:
        """Let the reverter do everything: which rights suffice is shown by tests/test_rbac.py."""
        core = self.cluster.core
        trust(core, self.namespace)
        _let_everything(core, self.namespace)
        self._parts.callback(_let_nothing, core, self.namespace)

    def environment(self) -> str:
        there = f"kubeconfig: {self.kubeconfig}, context: {self.context}"
        return textwrap.dedent(f"""
            targets:
              victim: {{kubernetes: {{{there}, namespace: {self.namespace}, workload: deployment/web}}}}
              node: {{kubernetes: {{{there}, nodes: '*'}}}}
              way: {{link: {{from: victim, to: {ELSEWHERE}, port: 8900}}}}
            helper: {{image: '{IMAGE}', lease: {LEASE:g}s, namespace: {self.posts}, service_account: {self.account}}}
        """)

    def lives(self) -> Any:
        return sorted(
            (pod.metadata.uid, [each.container_id for each in pod.status.container_statuses or []])
            for pod in self._pods()
        )

    def helpers(self, labels: str) -> list[str]:
        found = self.cluster.core.list_namespaced_pod(self.posts, label_selector=labels).items
        return [each.metadata.name for each in found]

    def delete_helper(self, name: str) -> None:
        self.cluster.core.delete_namespaced_pod(name, self.posts, grace_period_seconds=0)

    def aim(self, acts: list[Any]) -> None:
        self.container = container_of(acts) or self.container
        self.well = self.look()

    def look(self) -> Any:
        match self.kind.looks:
            case "pods":
                return sorted(pod.metadata.uid for pod in self._pods()), True
            case "workload":
                return self.cluster.apps.read_namespaced_deployment("web", self.namespace).spec.replicas
            case "node":
                return of_nodes(self.cluster)
        return super().look()

    def hurt(self) -> bool:
        if self.kind.looks != "pods":
            return super().hurt()
        pods = self._pods()
        return len(pods) != 2 or not all(_ready(pod) for pod in pods)

    def any_container(self) -> str:
        """The container that is aimed at, or one of the target's where it is no container that is hurt."""
        return self.container or until(self._some_container, every=0.1)

    def _some_container(self) -> str:
        """One of those that run already: a pod that is only being made has none."""
        begun = [pod for pod in self._pods() if _ready(pod)]
        return container_of_pod(begun[0]) if begun else ""

    def _pods(self) -> list[Any]:
        found = self.cluster.core.list_namespaced_pod(self.namespace, label_selector="app=web").items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def fingerprint(self) -> Any:
        def settled() -> bool:
            every = self.cluster.core.list_namespaced_pod(self.namespace, label_selector="app=web").items
            return len(every) == 2 and all(_ready(pod) for pod in every)

        with contextlib.suppress(AssertionError):
            until(settled, every=0.1)
        return json.loads(
            json.dumps(
                [
                    of_namespace(self.engine, self.cluster, self.namespace, selector="app=web"),
                    of_nodes(self.cluster),
                ],
                default=str,
            )
        )


def _ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def _let_everything(core: Any, namespace: str) -> None:
    """Bind the reverter's account of *namespace* to all rights: which of them suffice is shown by the RBAC tests."""
    import kubernetes

    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    kubernetes.client.RbacAuthorizationV1Api(core.api_client).create_cluster_role_binding(
        {"metadata": {"name": namespace}, "subjects": [subject], "roleRef": role}
    )


def _let_nothing(core: Any, namespace: str) -> None:
    import kubernetes

    kubernetes.client.RbacAuthorizationV1Api(core.api_client).delete_cluster_role_binding(namespace)
