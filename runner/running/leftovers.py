"""What runs of any machine left in the engines and clusters of an environment, and how it is undone from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from runner.errors import OperationFailed
from runner.helper.posting import ground, name_of
from runner.operations.afar_end import perform_afar_gone
from runner.operations.record import AfarGone
from runner.places import Cluster, Engine
from runner.remote import records
from runner.remote.docker import EngineClient
from runner.scenario import Environment

T = TypeVar("T")
_POD = (
    "io.kubernetes.pod.name"  # a label on each container of a kubelet, also on those that only hold a network
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A fault that a run left there. *lives*: somebody still holds it. *problem*: why it is not undone from here."""

    run: str
    name: str
    owner: str = ""
    operation: AfarGone | None = None
    lives: bool = False
    problem: str = ""

    def mend(self) -> str:
        """Undo it and take its helpers away; say who undid it. Raises OperationFailed."""
        if self.operation is None:
            raise OperationFailed(self.problem)
        return perform_afar_gone(self.operation).evidence


def leftovers(environment: Environment) -> list[Leftover]:
    """Find them all. Raises OperationFailed where an engine or a cluster does not answer."""
    targets = environment.targets.values()
    found: list[Leftover] = []
    for cluster in _distinct(spec.kubernetes.cluster for spec in targets if spec.kubernetes):
        found += _in_cluster(cluster, environment)
    for engine in _distinct(spec.docker.engine for spec in targets if spec.docker):
        found += _on_engine(engine)
    return found


def _distinct(places: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(places))


def _in_cluster(cluster: Cluster, environment: Environment) -> Iterator[Leftover]:
    helper = environment.helper
    for one in records.leftovers(cluster, helper.namespace, helper.image):
        problem = one.problem
        if one.undo is not None and one.name != name_of(one.undo.run, one.undo.act, "record"):
            problem = "it names the helpers of another record: somebody wrote it in"  # which may live
        if one.undo is None or problem:
            problem = f"{helper.namespace}/{one.name}: {problem}; look at it by hand, then delete it"
            yield Leftover(one.run, one.name, one.owner, problem=problem)
            continue
        account = helper.service_account if one.undo.post.shape == "api" else ""
        post = msgspec.structs.replace(one.undo.post, service_account=account)
        operation = msgspec.structs.replace(one.undo, post=post)
        yield Leftover(one.run, one.name, one.owner, operation, _lives(operation, f"{one.name}-hand"))


def _lives(operation: AfarGone, hand: str) -> bool:
    """Tell whether somebody still holds it: its hand helper runs and has not begun to undo.

    One that has said nothing yet may be about to do it; without orders it ends by itself.
    """
    place = ground(operation.post)
    reports = place.reports(hand)
    begun_to_undo = bool(reports) and reports[-1].state in ("failed", "clean", "dirty")
    return place.standing(hand) == "running" and not begun_to_undo


def _on_engine(engine: Engine) -> Iterator[Leftover]:
    """Helpers that are still there: an engine has no place for records."""
    filters = msgspec.json.encode({"label": ["squall.run", "squall.role=hand"]}).decode()
    for item in EngineClient(engine).get("/containers/json", all="true", filters=filters):
        run, name = item["Labels"]["squall.run"], item["Names"][0].lstrip("/")
        if _POD in item["Labels"] or name.startswith("k8s_"):
            continue  # a kubelet's, of a helper pod: that is its cluster's to say
        yield Leftover(
            run,
            name,
            lives=item["State"] == "running",
            problem=f"{name} on {engine.url}: `squall rollback` on the machine that ran {run} takes it away; where that"
            f" machine is lost, `docker logs {name}` says how it undid by itself, then remove it",
        )
