"""How often instances begin anew, and how many can be used: of processes, containers and pods that are really there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import Place, ProbeFailed
from runner.faults.record import Instance, Pod
from runner.indicators.sampler import probe_of
from runner.operations.record import Spawn
from runner.places import Cluster, Engine
from runner.processes import identify
from runner.running.victims import Victims
from runner.scenario import Containers, Environment, Found, Indicator, Pods, TargetSpec
from runner.targets.elsewhere import resolve
from runner.targets.finding import find
from runner.targets.lineup import Lineup
from tests.cluster_parts import container, deployment, pods, until

PLACE = Place(file="x.yaml", line=9)
ONCE = ("sh", "-c", "while [ ! -f /tmp/go ]; do sleep 0.05; done; rm /tmp/go; exit 1")


def probe(measure: str, instances):
    own = Indicator(name="it", source="process", target="shop", measure=measure, place=PLACE)
    return probe_of(own, {}, lambda _: instances())


def one(readings):
    [reading] = readings
    return reading


@pytest.fixture
def sleeper():
    started = []

    def start(**more) -> Instance:
        process = subprocess.Popen(["sleep", "60"])
        started.append(process)
        return Instance(target="shop", name="shop.0", process=identify(process.pid), **more)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_process_that_its_supervisor_started_again_has_restarted(sleeper):
    living = [sleeper()]
    restarts = probe("restarts", lambda: living)
    assert one(restarts.read()).value == 0
    assert one(restarts.read()).value == 0
    living[0] = sleeper()
    assert one(restarts.read()).value == 1
    assert one(restarts.read()).value == 1


def test_what_squall_started_again_itself_is_no_restart(sleeper):
    spawn = Spawn(run="r", instance="shop.0", argv=("sleep", "60"))
    living = [sleeper(spawn=spawn)]
    restarts = probe("restarts", lambda: living)
    assert one(restarts.read()).value == 0
    living[0] = sleeper(spawn=spawn)
    assert one(restarts.read()).value == 0


def test_a_process_that_ended_and_did_not_come_back_is_no_data_and_not_zero_restarts(sleeper):
    living = [sleeper()]
    restarts = probe("restarts", lambda: living)
    assert one(restarts.read()).value == 0
    living.clear()
    assert (one(restarts.read()).value, one(restarts.read()).error) == (None, "shop.0 ended")


def present(spec: TargetSpec, folder: Path):
    """Who of the target lives now, as a run knows it."""
    there = Environment(name="there", path="there.yaml", targets={"shop": spec})
    found = Lineup(elsewhere={"shop": tuple(resolve(there, "shop"))})
    victims = Victims(there, run="r", folder=folder, sockets=folder, found=found)
    return lambda: victims.instances("shop")


def test_who_dies_takes_no_name_from_another_and_who_comes_takes_the_free_one(tmp_path):
    token, started = f"squall-test-{os.getpid()}", []

    def start():
        program = f"import time; print('up', flush=True); time.sleep(60)  # {token}"
        started.append(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"up\n"
        return started[-1].pid

    def end(pid: int):
        process = next(each for each in started if each.pid == pid)
        process.kill()
        process.wait()

    try:
        pids = {start(), start()}
        spec = TargetSpec(name="shop", found=Found(match=token), place=PLACE)
        there = Environment(name="there", path="there.yaml", targets={"shop": spec})
        found = Lineup(processes={"shop": tuple(find(spec.found))})
        victims = Victims(there, run="r", folder=tmp_path, sockets=tmp_path, found=found)
        names = {each.name: each.process.pid for each in victims.instances("shop")}
        assert set(names.values()) == pids
        restarts = probe("restarts", lambda: victims.instances("shop"))
        assert [each.value for each in restarts.read()] == [0, 0]
        end(names["shop.0"])
        assert [(each.name, each.process.pid) for each in victims.instances("shop")] == [
            ("shop.1", names["shop.1"])
        ]
        gone, here = restarts.read()
        assert (gone.error, here.value) == ("shop.0 ended", 0)
        names["shop.0"] = start()
        assert {each.name: each.process.pid for each in victims.instances("shop")} == names
        assert [each.value for each in restarts.read()] == [1, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.parametrize("measure", ["restarts", "available"])
def test_nobody_there_is_no_data(measure: str):
    with pytest.raises(ProbeFailed, match=r"none of its instances runs|no workload is known"):
        probe(measure, list).read()


def test_a_container_that_its_engine_started_again_has_restarted(engine, tmp_path):
    with container(engine, *ONCE, restart_policy={"Name": "always"}) as made:
        spec = TargetSpec(name="shop", docker=Containers(engine=Engine(), name=made.name), place=PLACE)
        restarts = probe("restarts", present(spec, tmp_path))
        assert one(restarts.read()).value == 0
        made.exec_run(["touch", "/tmp/go"])
        assert until(lambda: one(restarts.read()).value) == 1
        made.restart(timeout=0)
        assert until(lambda: (one(restarts.read()).value or 0) > 1)
        made.stop(timeout=0)
        ended = one(restarts.read())
        assert (ended.value, "exited" in ended.error) == (None, True)


def test_a_pod_whose_container_was_started_again_has_restarted(cluster):
    with pods(cluster, "sh", "-c", "sleep 4; exit 1") as [made]:
        meta = made.metadata
        where = Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context)
        pod = Pod(cluster=where, namespace=meta.namespace, name=meta.name, uid=meta.uid)
        living = [Instance(target="shop", name="shop.0", platform="pod", pod=pod)]
        restarts = probe("restarts", lambda: living)
        assert one(restarts.read()).value == 0
        living.clear()  # a pod that does not run is not among the living: it is asked for all the same
        assert until(lambda: one(restarts.read()).value, every=0.2) >= 1


def test_a_workload_says_which_share_of_its_replicas_can_be_used(cluster, tmp_path):
    with deployment(cluster, replicas=2) as made:
        name = made.metadata.namespace
        where = Cluster(kubeconfig=cluster.kubeconfig, context=cluster.context)
        wanted = Pods(cluster=where, namespace=name, workload="deployment/web")
        available = probe(
            "available", present(TargetSpec(name="shop", kubernetes=wanted, place=PLACE), tmp_path)
        )
        whole = one(available.read())
        assert (whole.instance, whole.value) == ("deployment/web", 1.0)
        victim = cluster.core.list_namespaced_pod(name).items[0].metadata.name
        cluster.core.delete_namespaced_pod(victim, name, grace_period_seconds=0)
        assert until(lambda: one(available.read()).value == 0.5, every=0.02)
        assert until(lambda: one(available.read()).value == 1.0, every=0.2)
        cluster.apps.patch_namespaced_deployment_scale("web", name, {"spec": {"replicas": 0}})
        none = until(lambda: [each for each in available.read() if each.error], every=0.2)
        assert "wants no replicas" in one(none).error or "before the last change" in one(none).error
