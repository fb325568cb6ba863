"""Indicators of containers and pods: what the engine and the kubelet tell of them."""

import os
import time

from runner.errors import Place
from runner.faults.record import Instance, Pod
from runner.indicators.elsewhere import Elsewhere
from runner.places import Cluster, Engine
from runner.running.victims import Victims
from runner.scenario import Containers, Environment, TargetSpec
from runner.targets.elsewhere import resolve
from runner.targets.lineup import Lineup
from tests.cluster_parts import container, pods, until

PLACE = Place(file="x.yaml", line=1)
BUSY = ("sh", "-c", "while :; do :; done")


def test_a_container_is_measured_by_its_engine(engine):
    with container(engine, *BUSY) as made:
        busy = Instance(
            target="shop", name="shop.0", platform="container", engine=Engine(), container=made.id
        )
        cpu, rss = Elsewhere("cpu"), Elsewhere("rss")
        assert cpu.read([busy]) == []  # a share needs two looks
        time.sleep(1.0)
        assert 0.1 < cpu.read([busy])[0].value < 1.2
        assert 10_000 < rss.read([busy])[0].value < 50 << 20


def test_a_container_that_is_gone_is_no_data():
    gone = Instance(target="shop", name="shop.0", platform="container", engine=Engine(), container="f" * 64)
    reading = Elsewhere("rss").read([gone])[0]
    assert reading.value is None
    assert reading.error


def test_a_pod_is_measured_by_its_kubelet(cluster):
    with pods(cluster) as [made]:
        where = Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context)
        meta = made.metadata
        pod = Pod(
            cluster=where,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            node=made.spec.node_name,
        )
        one = Instance(target="shop", name="shop.0", platform="pod", container="f" * 64, pod=pod)
        measure = Elsewhere("rss")
        assert until(lambda: measure.read([one])[0].value, every=1.0) > 10_000


def test_a_run_knows_the_containers_that_its_probes_read(engine, tmp_path):
    label = f"squall.test.probe={os.getpid()}"
    key, _, value = label.partition("=")
    with container(engine, labels={key: value}) as made:
        shop = TargetSpec(name="shop", docker=Containers(engine=Engine(), label=label), place=PLACE)
        place = Environment(name="there", path="there.yaml", targets={"shop": shop})
        found = Lineup(elsewhere={"shop": tuple(resolve(place, "shop"))})
        victims = Victims(place, run="r", folder=tmp_path, sockets=tmp_path, found=found)
        assert [each.container for each in victims.instances("shop")] == [made.id]
