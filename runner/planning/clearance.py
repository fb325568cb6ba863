"""Asks engines and clusters, before anything is touched, whether a run may do what it is going to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import OperationFailed, Refused
from runner.operations.record import Operation
from runner.places import Cluster, Engine, Post
from runner.planning.permissions import Right, posts, rights
from runner.remote.docker import ApiError, EngineClient
from runner.remote.kubeconfig import access_of
from runner.remote.kubernetes import ClusterClient
from runner.targets.clients import client_of

Needs = Mapping[str, Iterable[Operation]]  # fault -> all that it would do, undo and check
Reads = Mapping[str, Iterable[Right]]  # indicator -> what it reads
_AT_ONCE = 8
_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
_OLDEST_API = (1, 24)


@dataclass(slots=True)
class Clearance:
    """What was found: lines of what is missing, lines of who we are where, and what could not be asked."""

    missing: list[str] = field(default_factory=list)
    acts_as: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def ask(needs: Needs, engines: Iterable[Engine], clusters: Iterable[Cluster], reads: Reads) -> Clearance:
    """Ask for all of it. Raises Refused with one line for each thing that is missing."""
    found = Clearance()
    all_of = {fault: list(operations) for fault, operations in needs.items()}
    stands: dict[Post, str] = {}
    for fault, operations in all_of.items():
        for post in posts(operations):
            stands.setdefault(_ground(post), fault)
    for engine in engines:
        found.acts_as.append(_engine(engine))
    for cluster in clusters:
        found.acts_as.append(_cluster(cluster))
    for post, fault in stands.items():
        found.missing += _not_there(post, fault)
    wanted = [(fault, right) for fault, operations in all_of.items() for right in rights(operations)]
    wanted += [(name, right) for name, of in reads.items() for right in of]  # it may have a fault's name
    found.missing += _not_allowed(wanted, found.warnings)
    if found.missing:
        raise Refused("\n".join(found.missing))
    return found


def _ground(post: Post) -> Post:
    """The same for all helpers that need the same things there."""
    account = post.service_account if post.shape == "api" else ""
    return Post(
        engine=post.engine,
        cluster=post.cluster,
        image=post.image,
        shape="api" if post.shape == "api" else "look",
        namespace=post.namespace,
        service_account=account,
    )


def _engine(engine: Engine) -> str:
    client = EngineClient(engine)
    try:
        client.ping()
        version = client.get("/version")
    except OperationFailed as error:
        raise Refused(
            f"no engine answers at {engine.url}: {error}; start it, or correct DOCKER_HOST"
        ) from error
    api = str(version.get("ApiVersion", ""))
    if _numbers(api) < _OLDEST_API:
        raise Refused(
            f"the engine at {engine.url} speaks API {api}; Squall needs {'.'.join(map(str, _OLDEST_API))}"
        )
    return f"engine {engine.url}: Docker {version.get('Version', '?')}, API {api}, as root there (whoever reaches it is)"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".") if word.isdigit())


def _cluster(cluster: Cluster) -> str:
    context, user = _names(cluster)
    try:
        access = access_of(cluster)
        version = client_of(cluster).get("/version").get("gitVersion", "?")
    except OperationFailed as error:
        raise Refused(f"the cluster of context {context or '(none)'} does not answer: {error}") from error
    if impersonated := dict(access.impersonation).get("Impersonate-User", ""):
        user = f"{impersonated}, impersonated by {user}"
    return (
        f"cluster of context {context or 'in-cluster'} at {access.server}: {version}, uid {cluster.uid or 'not readable'},"
        f" as {_who(cluster) or user}"
    )


def _names(cluster: Cluster) -> tuple[str, str]:
    """The context and the user as the kubeconfig calls them."""
    if cluster.kubeconfig == "in-cluster":
        return "in-cluster", "the pod's service account"
    import yaml  # noqa: PLC0415 - only where there is a cluster

    context = cluster.context
    contexts: dict[str, dict[str, Any]] = {}
    for path in (Path(part) for part in cluster.kubeconfig.split(os.pathsep) if part):
        try:
            read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            continue  # who cannot read it says so when the cluster is asked
        context = context or read.get("current-context") or ""
        for entry in read.get("contexts") or ():
            contexts.setdefault(entry["name"], entry.get("context") or {})
    return context, f"user {contexts.get(context, {}).get('user', '?')} of the kubeconfig"


def _who(cluster: Cluster) -> str:
    """Who the cluster takes us for; older ones do not say."""
    client = client_of(cluster)
    for version in ("v1", "v1beta1"):
        kind = {"apiVersion": f"authentication.k8s.io/{version}", "kind": "SelfSubjectReview"}
        try:
            seen = client.post(f"/apis/authentication.k8s.io/{version}/selfsubjectreviews", kind)
        except OperationFailed:
            continue
        return str(seen["status"]["userInfo"].get("username", ""))
    return ""


def _not_there(post: Post, fault: str) -> Iterator[str]:
    """What a helper would miss: its image, its namespace, its service account."""
    if post.engine is not None:
        try:
            EngineClient(post.engine).get(f"/images/{post.image}/json")
        except ApiError as error:
            if error.status != 404:
                raise
            yield (
                f"{fault}: the engine at {post.engine.url} has no image {post.image} for its helper;"
                f" docker pull {post.image}, or load it there"
            )
    if post.cluster is None:
        return
    client, space = client_of(post.cluster), f"/api/v1/namespaces/{post.namespace}"
    if _is_missing(client, space):
        yield (
            f"{fault}: there is no namespace {post.namespace} for its helpers;"
            f" kubectl create namespace {post.namespace}, or name another under helper.namespace"
        )
    if post.shape == "api" and not post.service_account:
        yield (
            f"{fault}: only a helper with an account of its own can undo it when nobody else does;"
            " write helper.service_account, and let that account do what the README says"
        )
    elif post.shape == "api" and _is_missing(client, f"{space}/serviceaccounts/{post.service_account}"):
        yield f"{fault}: there is no service account {post.service_account} in namespace {post.namespace}; create it"


def _is_missing(client: ClusterClient, path: str) -> bool:
    """Say whether it is known not to be there; who may not look finds out when it is used."""
    try:
        client.get(path)
    except ApiError as error:
        if error.status in (403, 404):
            return error.status == 404
        raise
    return False


def _not_allowed(needs: Iterable[tuple[str, Right]], warnings: list[str]) -> list[str]:
    wanted: dict[Right, list[str]] = {}
    for name, right in needs:
        if name not in wanted.setdefault(right, []):
            wanted[right].append(name)
    clients = {right.cluster: client_of(right.cluster) for right in wanted}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda right: _allowed(clients[right.cluster], right), wanted))
    unknown = sorted({right.account for right, answer in zip(wanted, answers, strict=True) if answer is None})
    warnings += [
        f"whether service account {account} may do what it has to undo cannot be asked: that needs"
        " `create subjectaccessreviews`"
        if account
        else "whether we may do what this run needs cannot be asked: that needs `create selfsubjectaccessreviews`,"
        " which system:basic-user gives"
        for account in unknown
    ]
    lines = [
        f"{', '.join(wanted[right])}: {_subject(right)} not allowed to {right.said()}"
        for right, answer in zip(wanted, answers, strict=True)
        if answer is False
    ]
    return [f"{line}; grant it, or use another identity" for line in lines]


def _subject(right: Right) -> str:
    return f"service account {right.account} is" if right.account else "we are"


def _allowed(client: ClusterClient, right: Right) -> bool | None:
    """Ask the cluster; None where we may not even ask (for another account)."""
    if right.account.endswith(":"):
        return True  # there is no such account, which is said elsewhere
    resource, _, part = right.resource.partition("/")
    attributes = {
        "namespace": right.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": part,
        "name": right.name,
    }
    spec: dict[str, Any] = {"resourceAttributes": attributes}
    kind = "SelfSubjectAccessReview"
    if right.account:
        kind, (namespace, name) = "SubjectAccessReview", right.account.split(":")
        spec["user"] = f"system:serviceaccount:{namespace}:{name}"
        spec["groups"] = [
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ]
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    try:
        said = client.post(f"{_AUTHORIZATION}/{kind.lower()}s", body)
    except ApiError as error:
        if error.status == 403:
            return None
        raise
    return bool(said["status"].get("allowed"))
