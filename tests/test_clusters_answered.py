"""What is read of a cluster whose API says exactly what a test wants it to say."""

from __future__ import annotations

import pytest
import yaml

from runner.operations import Context, perform
from runner.operations.record import CheckKube
from runner.places import Cluster
from tests.answering import answering
from tests.victims import one

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"


@pytest.fixture
def at(tmp_path):
    def cluster_at(address):
        (tmp_path / "config").write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return Cluster(kubeconfig=str(tmp_path / "config"))

    return cluster_at


@pytest.mark.parametrize(
    ("wanted", "counted", "ready", "ok"),
    [
        (2, 2, 2, True),
        (2, 1, 1, False),
        (3, 2, 2, False),
        (5, 3, 3, True),
        (3, 3, 2, False),
        (3, 2, 3, False),
    ],
)
def test_no_more_are_awaited_than_are_wanted_by_now(at, wanted, counted, ready, ok):
    """Three were ready when the pod was killed; an autoscaler, or a `scale` of the same run, may want fewer since.

    What the controller *counted* may be of before, and of those that are *ready* some may be another's.
    """
    spec = {"replicas": wanted, "selector": {"matchLabels": {"app": "web"}}}
    web = {"metadata": {"uid": "1"}, "spec": spec, "status": {"readyReplicas": counted}}
    up = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    going = up | {"metadata": {"deletionTimestamp": "2026-11-28T18:00:00Z"}}
    pods = {"items": [up] * ready + [going, {"metadata": {}}]}
    with answering({WEB: web, "/api/v1/namespaces/shop/pods": pods}) as server:
        check = CheckKube(
            cluster=at(server.address), kind="deployment", namespace="shop", name="web", uid="1",
            expect="back", value="3",
        )  # fmt: skip
        reading = one(perform(check, Context()))
    assert reading.ok is ok
    assert f"{min(counted, ready)} of {wanted} replicas ready, 3 were" in reading.evidence
