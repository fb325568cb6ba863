"""The scenarios, unchanged, against the shop in containers: whole runs of the real command on a real engine.

The long form, all of them: SQUALL_LONG=1 pytest tests/test_run_docker.py
"""

import subprocess
import sys

import pytest

from runner.operations.kernel import kernel_features
from tests.cluster_parts import container
from tests.fingerprints import difference, of_label
from tests.runs import ROOT, Workplace, injected, left_of

LONG = ("first_steps", "resource_squeeze", "lost_network", "slow_store", "game_day", "halt_on_meltdown")
SCENARIOS = [pytest.param(name, marks=pytest.mark.long) for name in LONG]
CODES = {"halt_on_meltdown": 4}

pytestmark = pytest.mark.timeout(240)


def shop(*argv):
    done = subprocess.run(
        [sys.executable, "-m", "scenarios.shop.docker", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def opened(engine, image):
    """The shop in containers, open until the end of these tests."""
    shop("up", "--image", image)
    yield
    shop("down")


@pytest.fixture(scope="module")
def direct(opened, image):
    """The same, opened anew: its replicas talk to the store without a link of ours."""
    shop("up", "--image", image, "--direct")


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def of_shop(engine):
    return {part: of_label(engine, f"app=shop-{part}") for part in ("front", "web", "store")}


UNFELT = (
    "cpu",
    "refuse",
)  # who asks for less than the limit is not throttled; who keeps his connections makes no new one


def check_faults(verdict):
    for fault in verdict["faults"]:
        assert fault["confirmed"] in ((True, None) if fault["kind"] in UNFELT else (True,)), fault
        assert fault["reverted_by"] == "runner", fault


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_runs_unchanged_against_containers_and_leaves_them_as_they_were(
    engine, opened, place, name
):
    before = of_shop(engine)
    code, output = place.squall(
        "run", ROOT / f"scenarios/{name}.yaml", "--env", "docker", "--report", place.reports, timeout=150
    )
    assert code == CODES.get(name, 0), output
    check_faults(place.verdict())
    assert difference(before, of_shop(engine)) == []
    assert left_of(place.folders()[-1].name) == []


DIRECT = ("blackhole", "reset", "refuse")  # what any kernel with nftables can do


def test_the_way_between_two_containers_is_cut_in_the_kernel_and_whole_again(engine, direct, place):
    place.environment = ROOT / "scenarios/environments/docker-wire.yaml"
    faults = "\n".join(
        f"  {kind}: {{kind: {kind}, target: store-link, at: {number * 6}s, for: 2s}}"
        for number, kind in enumerate(DIRECT)
    )
    scenario = place.scenario(
        faults,
        expect="[{during blackhole: 'error_rate{/item} > 20%'}, {during faults: 'error_rate{/} < 1%'}, {after: error_rate < 5%}]",
        after="3s",
    )
    before = of_shop(engine)
    code, output = place.run_fairly(scenario)
    verdict = place.verdict()
    felt = [fault for fault in verdict["faults"] if not fault["unseen"]]
    assert {fault["kind"] for fault in felt} >= {"blackhole", "reset"}, output
    assert code == (0 if len(felt) == len(DIRECT) else 3), output  # who keeps a connection feels no refusal
    check_faults({"faults": felt})
    assert difference(before, of_shop(engine)) == []


def test_latency_where_the_kernel_lacks_netem_is_refused_before_anything_is_touched(engine, direct, place):
    if "netem" in kernel_features():
        pytest.skip("this kernel has netem")
    place.environment = ROOT / "scenarios/environments/docker-wire.yaml"
    scenario = place.scenario("  slow: {kind: latency, target: store-link, delay: 50ms, at: 0s, for: 2s}")
    before = of_shop(engine)
    code, output = place.run(scenario)
    assert code == 2, output
    assert "netem" in output
    assert difference(before, of_shop(engine)) == []


TALKS = "while true; do ping -c1 -W1 127.0.0.1 >/dev/null; sleep 0.1; done"
ENDS = {
    "restarted": (lambda one: one.restart(timeout=0), "was started again"),
    "removed": (lambda one: one.remove(force=True), "is gone"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_fault_whose_target_does_not_live_to_its_end_is_not_confirmed(engine, image, place, how):
    """Its network is held by the helper beside it: the counters alone would count on."""
    end, evidence = ENDS[how]
    place.environment = place.folder / "one.yaml"
    scenario = place.folder / "cut.yaml"
    scenario.write_text(
        "squall: 1\ntitle: It goes away\nbefore: 1s\nafter: 1s\nconfidence: none\n"
        "indicators: {one: {command: [echo, '1'], every: 500ms}}\n"
        "faults:\n  cut: {kind: partition, target: lone, pick: 1, at: 0s, for: 4s}\n"
        "expect: [{during cut: one < 2}]\n"
    )
    with container(engine, "sh", "-c", TALKS) as made:
        place.environment.write_text(
            f"targets:\n  lone: {{docker: {{name: {made.name}}}}}\nhelper: {{image: '{image}', lease: 2s}}\n"
        )
        running = place.start(*place.run_arguments(scenario))
        place.wait_for_event(injected)
        end(made)
        output, _ = running.communicate(timeout=60)
    assert running.returncode == 3, output
    assert f"container {made.name} {evidence}" in place.verdict()["reason"]
