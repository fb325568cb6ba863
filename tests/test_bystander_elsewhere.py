"""The negative control in containers: who is not picked is looked at, read, and was left alone, or it has leaked."""

import secrets

import pytest

from runner.planning.preparation import prepare
from runner.running.acts import compile_act
from runner.running.bystander import Bystander
from tests.cluster_parts import container
from tests.held_parts import held, undone
from tests.helper_image import IMAGE, build

KNOBS = {
    "cpu": "limit: 10%", "memory": "limit: 64MiB", "pids": "headroom: 3", "io": "read: 1MiB/s", "pause": "",
    "blackhole": "", "partition": "peers: [203.0.113.9]", "dns": "answer: nxdomain", "http": "port: 8080, status: 503",
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(engine):
    """Two containers of one label; each is busy, and held back by a quota of its own."""
    label = f"squall.pair={secrets.token_hex(4)}"
    busy = ("sh", "-c", "while :; do :; done")
    how = {"image": build(), "labels": dict([label.split("=")]), "cpu_quota": 20_000, "mem_limit": "256m"}
    with container(engine, *busy, **how), container(engine, *busy, **how):
        yield label


def prepared(folder, label, kind, use="pick: [shop.0]"):
    """Let Squall prepare a run against the pair; return it and the one use."""
    environment, scenario = folder / "here.yaml", folder / "one.yaml"
    environment.write_text(
        f"targets:\n  shop: {{docker: {{label: {label}}}}}\nhelper: {{image: '{IMAGE}', lease: 2s}}\n"
    )
    knobs = f", {KNOBS[kind]}" if KNOBS[kind] else ""
    scenario.write_text(
        "squall: 1\ntitle: A neighbour is spared\nbefore: 1s\nafter: 1s\nfaults:\n"
        f"  harm: {{kind: {kind}, target: shop, at: 0s, for: 1s, {use}{knobs}}}\n"
    )
    [ready] = prepare(scenario, environment=str(environment), settings={})
    return ready, ready.plan.scenario.faults[0]


def seen_beside(ready, use):
    """What the control of the one window of a run says."""
    [window] = ready.plan.windows
    said = []
    control = Bystander(
        use, window, ready.found.bodies()["shop.1"], run="r", at=lambda: 1.0, record=said.append
    )
    control.start()
    control.join(30)
    return [(one.leaked, one.evidence) for one in said]


@pytest.mark.parametrize("kind", KNOBS)
def test_a_container_that_is_not_picked_is_read_and_was_left_alone(tmp_path, pair, kind):
    [(leaked, evidence)] = seen_beside(*prepared(tmp_path, pair, kind))
    assert leaked is False, evidence


def test_a_container_that_is_hurt_though_it_was_not_picked_has_leaked(tmp_path, pair):
    ready, use = prepared(tmp_path, pair, "pause")
    act = compile_act(use, ready.found.bodies()["shop.1"], 0, run="other")
    with held(act.do):
        assert [leaked for leaked, _ in seen_beside(ready, use)] == [True]
    assert undone(act)
