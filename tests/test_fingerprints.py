"""A fingerprint sees what faults do: otherwise that it stayed the same would show nothing."""

import subprocess

import pytest

from tests.cluster_parts import container, network
from tests.fingerprints import difference, of_cgroup, of_container, of_nodes

RULE = ("nft", "add", "table", "inet", "left")
QDISC = (
    "tc",
    "qdisc",
    "add",
    "dev",
    "eth0",
    "root",
    "tbf",
    "rate",
    "1mbit",
    "burst",
    "32kbit",
    "latency",
    "400ms",
)


def inside(made, *argv):
    made.reload()
    pid = made.attrs["State"]["Pid"]
    subprocess.run(["nsenter", "-t", str(pid), "-n", *argv], check=True)


HARMS = {
    "a rule": lambda made: inside(made, *RULE),
    "a qdisc": lambda made: inside(made, *QDISC),
    "a limit": lambda made: made.update(cpu_quota=50_000, cpu_period=100_000),
    "a pause": lambda made: made.pause(),
    "a file": lambda made: made.exec_run(["touch", "/left"]),
    "a process": lambda made: made.exec_run(["sleep", "60"], detach=True),
    "an end": lambda made: made.kill(),
}


@pytest.mark.parametrize("harm", HARMS)
def test_it_sees(engine, harm):
    with container(engine) as made:
        before = of_container(engine, made.id)
        assert difference(before, of_container(engine, made.id)) == []
        HARMS[harm](made)
        assert difference(before, of_container(engine, made.id)) != []


def test_a_container_that_starts_again_is_the_same(engine):
    with network(engine) as net, container(engine, network=net.name) as made:
        before = of_container(engine, made.id)
        assert "DOCKER_OUTPUT" in before["network"]["rules"]
        made.restart(timeout=0)
        assert difference(before, of_container(engine, made.id)) == []


def test_it_reads_the_limits_themselves(engine):
    with container(engine, cpu_quota=50_000, cpu_period=100_000) as made:
        made.reload()
        assert any(value.startswith("50000") for value in of_cgroup(made.attrs["State"]["Pid"]).values())


def test_it_sees_a_label_of_a_node(cluster):
    [name, *_] = before = of_nodes(cluster)
    cluster.core.patch_node(name, {"metadata": {"labels": {"squall.test/left": "yes"}}})
    try:
        assert difference(before, of_nodes(cluster)) != []
    finally:
        cluster.core.patch_node(name, {"metadata": {"labels": {"squall.test/left": None}}})
    assert difference(before, of_nodes(cluster)) == []
