"""The timetable: anchors, repeats, picks, overlaps and the blast radius allowed."""

import pytest

from runner.errors import Mistake
from runner.language import read_environment, read_scenario
from runner.planning.outliving import container
from runner.planning.plan import timed_stages, work_out
from runner.targets import instance_names

ENVIRONMENT = """
targets:
  web: {url: 'http://127.0.0.1:1', processes: {command: [sleep, '1'], count: 4}}
  link: {link: {listen: '127.0.0.1:auto', upstream: '127.0.0.1:2'}}
"""


@pytest.fixture
def plan(tmp_path):
    def make(faults, more="", environment=""):
        (tmp_path / "here.yaml").write_text(ENVIRONMENT + environment)
        (tmp_path / "users.py").write_text("from locust import HttpUser\nclass A(HttpUser):\n    pass\n")
        path = tmp_path / "s.yaml"
        path.write_text(
            "load: {locustfile: users.py, target: web, stages: [{name: ramp, rate: 1/s -> 9/s, for: 4s}, {name: flat, rate: 9/s}]}\n"
            f"warmup: 1s\nbefore: 5s\nafter: 3s\nsteady_state: [error_rate < 1%]\nfaults:\n{faults}\n{more}"
        )
        local = read_environment(str(tmp_path / "here.yaml"), path)
        [scenario] = read_scenario(path, local, {})
        instances = {name: instance_names(spec) for name, spec in local.targets.items()}
        return work_out(scenario, local, instances, run="r")

    return make


def spans(plan):
    return {(w.fault, w.occurrence): (w.start, w.end) for w in plan.windows}


def test_anchors_are_resolved_against_faults_and_stages(plan):
    made = plan(
        "  a: {kind: pause, target: web, pick: 1, at: 2s, for: 4s}\n"
        "  b: {kind: latency, target: link, delay: 1ms, at: end of a + 1s, for: 2s}\n"
        "  c: {kind: bandwidth, target: link, rate: 1MB/s, at: start of b + 1s, for: 1s}\n"
        "  d: {kind: kill, target: web, pick: 1, at: start of flat + 4s, for: 1s}"
    )
    assert spans(made) == {("a", 0): (2, 6), ("b", 0): (7, 9), ("c", 0): (8, 9), ("d", 0): (2, 3)}
    assert [(s.stage, s.start, s.end) for s in made.stages] == [("ramp", -6, -2), ("flat", -2, 12)]
    assert (made.faults_end, made.ends) == (9, 12)


def test_a_repeated_fault_has_a_window_for_each_time_and_ends_with_the_last(plan):
    made = plan(
        "  a: {kind: pause, target: web, pick: 1, for: 1s, every: 5s, times: 3}\n"
        "  b: {kind: pause, target: web, pick: 1, at: end of a, for: 1s}"
    )
    assert [w.start for w in made.windows if w.fault == "a"] == [0, 5, 10]
    assert spans(made)[("b", 0)] == (11, 12)


def test_the_same_seed_picks_the_same_instances(plan):
    fault = "  a: {kind: pause, target: web, pick: 50%%, seed: %d, for: 1s}"
    first, again, other = (plan(fault % seed).windows[0].instances for seed in (1, 1, 5))
    assert first == again
    assert len(first) == 2
    assert first != other


@pytest.mark.parametrize(
    ("faults", "environment", "words"),
    [
        (
            "  a: {kind: pause, target: web, for: 4s}\n  b: {kind: cpu, target: web, pick: 1, limit: 20%, at: 2s, for: 4s}",
            "",
            "overlaps with a",
        ),
        ("  a: {kind: pause, target: web, pick: 3, for: 4s}", "limits: {pick: 50%}", "allows 50%"),
        (
            "  a: {kind: pause, target: web, pick: 1, for: 4s}\n  b: {kind: reset, target: link, for: 4s}",
            "limits: {concurrent_faults: 1}",
            "allows 1 at once",
        ),
        ("  a: {kind: pause, target: web, pick: 1, for: 60s}", "limits: {duration: 30s}", "allows 30s"),
        ("  a: {kind: pause, target: web, pick: 1, at: end of flat, for: 1s}", "", "until the run ends"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(plan, faults, environment, words):
    with pytest.raises(Mistake, match=words) as refused:
        plan(faults, environment=environment)
    assert "s.yaml:" in str(refused.value)


def test_different_properties_of_one_instance_may_be_hurt_at_once(plan):
    made = plan(
        "  a: {kind: latency, target: link, delay: 1ms, for: 4s}\n  b: {kind: bandwidth, target: link, rate: 1MB/s, for: 4s}"
    )
    assert len(made.windows) == 2


def test_a_recovery_that_cannot_be_seen_long_enough_is_warned_of(plan):
    made = plan(
        "  a: {kind: pause, target: web, pick: 1, for: 1s}\n  b: {kind: reset, target: link, at: end of a + 2s, for: 1s}",
        more="expect: [{after a: recovery < 5s}]\n",
    )
    assert "for only 2s" in made.warnings[0]


def test_what_a_run_would_execute_is_listed(plan):
    made = plan("  a: {kind: command, target: web, pick: 1, do: [echo, hi], undo: ['true'], for: 1s}")
    assert [line.split()[0] for line in made.executes] == ["locustfile", "fault", "target"]


def test_stages_follow_one_another_from_the_beginning(plan):
    made = plan("  a: {kind: pause, target: web, pick: 1, for: 1s}")
    assert timed_stages(made.scenario.loads[0], begins=10) == [(10, 14, 1, 9), (14, None, 9, 9)]


OUTERMOST = {"pid": "4026531836", "cgroup": "4026531835"}
ID = "3039e6859db4" + "0" * 52


@pytest.mark.parametrize(
    ("pid", "cgroup", "first", "path", "said"),
    [
        (OUTERMOST["pid"], OUTERMOST["cgroup"], "systemd", "0::/user.slice/session-3.scope", ""),
        (OUTERMOST["pid"], OUTERMOST["cgroup"], "process_api", "0::/", ""),
        ("4026532300", "4026532301", "systemd", "0::/user.slice", ""),  # LXC, WSL: a machine of its own
        ("4026532300", "4026532301", "squall", "0::/", "that ends with its process 1 (squall)"),
        ("4026532300", OUTERMOST["cgroup"], "sh", f"0::/docker/{ID}", "that ends with its process 1 (sh)"),
        (OUTERMOST["pid"], "4026532301", "systemd", "0::/", "that ends with its cgroup"),  # --pid=host
        (OUTERMOST["pid"], OUTERMOST["cgroup"], "systemd", f"4:memory:/docker/{ID}", "that ends with its cgroup"),
    ],
)  # fmt: skip
def test_who_ends_with_a_container_is_told_by_its_namespaces_and_its_cgroup(
    tmp_path, pid, cgroup, first, path, said
):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/comm").write_text(f"{first}\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(f"pid:[{pid}]")
    (tmp_path / "self/ns/cgroup").symlink_to(f"cgroup:[{cgroup}]")
    (tmp_path / "self/cgroup").write_text(f"{path}\n")
    assert container(tmp_path) == said
