"""The pytest plugin: what is collected, what an outcome becomes, and that nothing is left hurt."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from runner.guardian.state import open_folder, state_folder
from runner.language import read_environment
from runner.processes import identify, state_of
from runner.pytest_plugin import client

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = """
title: It holds
parameters: {most: "2"}
indicators: {n: {command: [echo, '1']}}
expect:
  - always: n < $most
"""
FINDINGS = [
    {"assertion": "n < 2", "when": "always", "outcome": "held", "reason": "n was 1", "value": 1, "limit": 2},
    {
        "assertion": "error_rate < 2%",
        "when": "during kill-one",
        "outcome": "broken",
        "reason": "error_rate was 3.1 % in 1200 requests",
        "value": 0.031,
        "limit": 0.02,
        "unit": "share",
        "requests": 1200,
    },
]
FAKE = '''
"""A runner that does what $FAKE says, and writes down what it was asked."""
import json, os, pathlib, signal, sys, time
def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""
fake = json.loads(os.environ.get("FAKE", "{}"))
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
print("t = 0: faults begin", flush=True)
if "alone" in fake:
    try:
        os.mkdir(fake["alone"])
    except FileExistsError:
        sys.exit(70)
    time.sleep(0.3)
    os.rmdir(fake["alone"])
if "undoes" in fake:
    def undo(*_):
        time.sleep(0.3)
        pathlib.Path(fake["undoes"]).write_text("clean")
        sys.exit(4)
    signal.signal(signal.SIGINT, undo)
    pathlib.Path(fake["undoes"] + ".hurt").write_text(str(os.getpid()))
    time.sleep(30)
if "says" in fake:
    print(fake["says"], file=sys.stderr)
    sys.exit(fake["code"])
verdict = {"run": "r", "scenario": "s", "title": "t", "environment": option("--env"), "started": "2026-01-01T00:00:00Z",
           "duration": 1.0, "outcome": "passed", "reason": "all held"} | fake.get("verdict", {})
folder = pathlib.Path(option("--report"), "s", "now")
folder.mkdir(parents=True, exist_ok=True)
(folder / "verdict.json").write_text(json.dumps(verdict))
if "cause" in fake:
    halt = {"event": "halt", "at": 1.0, "cause": fake["cause"], "reason": "x"}
    (folder / "timeline.jsonl").write_text(json.dumps(halt) + "\\n")
pathlib.Path(option("--verdict-to")).write_text(f"{folder}\\n")
'''


class Squall:
    """A project with a scenario, and a fake runner that does what a test says."""

    def __init__(self, pytester, monkeypatch):
        self.pytester, self.monkeypatch = pytester, monkeypatch
        self.log = pytester.path / "asked"
        self.fake = pytester.path / "fake_runner.py"
        self.fake.write_text(FAKE)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("FAKE_LOG", str(self.log))
        monkeypatch.setattr(client, "RUNNER", (sys.executable, str(self.fake)))
        self.write("scenarios/holds.yaml", SCENARIO)
        self.write("scenarios/environments/local.yaml", 'targets: {shop: {url: "http://127.0.0.1:1"}}')

    def write(self, name: str, text: str) -> Path:
        path = self.pytester.path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        return path

    def does(self, **behaviour):
        self.monkeypatch.setenv("FAKE", json.dumps(behaviour))

    def pytest(self, *arguments: str):
        here = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"  # because it runs in our process
        return self.pytester.runpytest_inprocess(*LOADED, "-W", "error", "-W", here, *arguments)

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


LOADED = (
    "-p",
    "runner.pytest_plugin",
)  # by name, and no other plugin: theirs cost seconds in each of these sessions


@pytest.fixture
def squall_project(pytester, monkeypatch):
    return Squall(pytester, monkeypatch)


HOLDS = ("--squall", "scenarios/holds.yaml")


def verdict(outcome, **more):
    return {
        "outcome": outcome,
        "reason": "error_rate < 2% during kill-one was 3.1 %",
        "findings": FINDINGS,
    } | more


# --- what is collected -----------------------------------------------------------------------------------------


def test_being_installed_collects_nothing(squall_project):
    assert squall_project.pytest("scenarios").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert squall_project.asked == []


def test_installing_squall_installs_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"squall": "runner.pytest_plugin"}


def test_importing_the_plugin_brings_in_nothing_heavy():
    code = "import pytest, sys, time; before = set(sys.modules); began = time.process_time(); import runner.pytest_plugin;"
    code += "print(time.process_time() - began, *(set(sys.modules) - before))"
    best = 1.0
    for _ in range(12):  # a cold cache is no fair reading
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        ).stdout
        took, *brought = said.split()
        best = min(best, float(took))
        assert set(brought) == {"runner", "runner.pytest_plugin"}
        if best < 0.015:
            break
    assert best < 0.015


def test_only_what_the_option_names_is_collected_without_other_arguments(squall_project):
    squall_project.write("test_other.py", "def test_other(): pass")
    squall_project.pytest(*HOLDS).assert_outcomes(passed=1)
    squall_project.pytest(*HOLDS, "test_other.py").assert_outcomes(passed=2)


def test_a_folder_means_its_scenarios_and_not_its_environments(squall_project):
    squall_project.write("scenarios/deep/too.yaml", SCENARIO)
    squall_project.write("scenarios/deep/environments/local.yaml", "targets: {}")
    squall_project.pytest(
        "--squall", "scenarios", "--squall-env", "scenarios/environments/local.yaml"
    ).assert_outcomes(passed=2)


def test_the_ini_option_collects_by_globs_even_outside_of_testpaths(squall_project):
    squall_project.write("tests/test_other.py", "def test_other(): pass")
    squall_project.write("pytest.ini", "[pytest]\ntestpaths = tests\nsquall_scenarios = scenarios/*.yaml\n")
    squall_project.pytest().assert_outcomes(passed=2)
    squall_project.pytest("tests").assert_outcomes(passed=1)


def test_every_value_of_a_sweep_is_a_test_of_its_own(squall_project):
    squall_project.write("scenarios/holds.yaml", SCENARIO.replace('"2"', '["2", "3"]'))
    result = squall_project.pytest(*HOLDS, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*holds.yaml::holds[[]most=2[]] PASSED*", "*holds.yaml::holds[[]most=3[]] PASSED*"]
    )
    assert [asked[-2:] for asked in squall_project.asked] == [["--set", "most=2"], ["--set", "most=3"]]
    squall_project.pytest(*HOLDS, "scenarios/holds.yaml::holds[most=3]").assert_outcomes(passed=1)


def test_a_bad_file_is_a_collection_error_of_one_line(squall_project):
    squall_project.write("scenarios/holds.yaml", SCENARIO.replace("$most", "$least"))
    result = squall_project.pytest(*HOLDS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*holds.yaml:6: *$least is not declared*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert squall_project.asked == []


@pytest.mark.parametrize("arguments", [("--squall", "nowhere.yaml"), (*HOLDS, "--squall-set", "most")])
def test_an_option_that_means_nothing_is_a_usage_error(squall_project, arguments):
    result = squall_project.pytest(*arguments)
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED)
    assert squall_project.asked == []


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan"])
def test_looking_at_the_tests_runs_nothing(squall_project, option):
    squall_project.pytest(*HOLDS, option)
    assert squall_project.asked == []


def test_options_reach_the_runner(squall_project):
    squall_project.pytest(
        *HOLDS, "--squall-set", "most=5", "--squall-report", "elsewhere", "--squall-env", "local"
    )
    (asked,) = squall_project.asked
    path = squall_project.pytester.path
    assert asked[:2] == ["run", str(path / "scenarios/holds.yaml")]
    assert asked[asked.index("--env") + 1] == "local"
    assert asked[asked.index("--report") + 1] == str(path / "elsewhere")
    assert asked[-2:] == ["--set", "most=5"]


# --- what an outcome becomes -----------------------------------------------------------------------------------


def test_passed_passes_and_carries_outcome_and_report(squall_project):
    result = squall_project.pytest(*HOLDS, "--junitxml=j.xml")
    result.assert_outcomes(passed=1)
    properties = ET.parse(squall_project.pytester.path / "j.xml").iter("property")
    said = {each.get("name"): each.get("value") for each in properties}
    assert said["squall_outcome"] == "passed"
    assert Path(said["squall_report"], "verdict.json").exists()


def test_failed_fails_with_its_findings_as_a_table_and_its_report(squall_project):
    squall_project.does(verdict=verdict("failed"))
    result = squall_project.pytest(*HOLDS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "failed: error_rate < 2% during kill-one was 3.1 %",
            "*when *assertion *value *limit *requests*",
            "broken *during kill-one *error_rate < 2% *3.1 %*2 %*1200*",
            "*error_rate was 3.1 % in 1200 requests*",
            "held *always *n < 2*",
            "report: */s/now",
            "FAILED *holds.yaml::holds - *failed: error_rate*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_halted_by_a_rule_fails_unless_the_file_expects_it(squall_project):
    squall_project.does(verdict=verdict("halted"), cause="rule")
    squall_project.pytest(*HOLDS).assert_outcomes(failed=1)
    squall_project.write("scenarios/holds.yaml", SCENARIO + "outcome: halted\n")
    squall_project.pytest(*HOLDS).assert_outcomes(passed=1)


def test_passing_where_a_halt_is_expected_fails(squall_project):
    squall_project.write("scenarios/holds.yaml", SCENARIO + "outcome: halted\n")
    result = squall_project.pytest(*HOLDS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["passed: all held (outcome: halted was expected)"])


def test_inconclusive_fails_and_says_so_or_is_skipped_by_option(squall_project):
    squall_project.does(verdict=verdict("inconclusive"))
    result = squall_project.pytest(*HOLDS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inconclusive: *"])
    squall_project.pytest(*HOLDS, "--squall-skip-inconclusive").assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ({"says": "refused: x.yaml:3: no such target", "code": 2}, "*refused: x.yaml:3: no such target*"),
        ({"verdict": verdict("halted"), "cause": "signal"}, "*halted by signal*"),
        ({"verdict": verdict("dirty")}, "*dirty: *"),
        ({"verdict": verdict("defect")}, "*defect: *"),
        ({"says": "", "code": 9}, "*the runner ended with 9 and left no verdict*"),
    ],
)
def test_a_run_that_teaches_nothing_is_an_error(squall_project, behaviour, says):
    squall_project.does(**behaviour)
    result = squall_project.pytest(*HOLDS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*client.py*")


def test_a_dirty_run_says_what_is_not_as_it_was(squall_project):
    fault = {
        "name": "busy",
        "kind": "cpu",
        "instances": ["shop.0"],
        "confirmed": True,
        "evidence": "",
        "dirty": "kill -CONT 7",
    }
    squall_project.does(verdict=verdict("dirty", faults=[fault]))
    squall_project.pytest(*HOLDS).stdout.fnmatch_lines(["*not as it was: busy: kill -CONT 7"])


def test_text_from_outside_does_not_reach_the_terminal_as_it_is(squall_project):
    squall_project.does(verdict=verdict("failed", reason="\x1b[2Jgone"))
    assert "\x1b[2J" not in squall_project.pytest(*HOLDS).stdout.str()


def test_events_are_logged_as_they_happen(squall_project):
    result = squall_project.pytest(*HOLDS, "--log-cli-level=INFO")
    result.stdout.fnmatch_lines(["*INFO*t = 0: faults begin*"])


# --- the fixture -----------------------------------------------------------------------------------------------


def test_the_fixture_gives_the_verdict(squall_project):
    squall_project.does(verdict=verdict("failed"))
    squall_project.write(
        "test_shop.py",
        """
        def test_shop(squall):
            verdict = squall.run("scenarios/holds.yaml", settings={"most": 5})
            assert verdict.outcome.value == "failed"
            assert verdict.findings[1].value == 0.031
        """.replace("\n        ", "\n"),
    )
    squall_project.pytest("test_shop.py").assert_outcomes(passed=1)
    assert squall_project.asked[0][-2:] == ["--set", "most=5"]


def test_the_fixture_lets_a_test_bring_its_own_targets(squall_project):
    squall_project.write(
        "test_shop.py",
        """
        import os, subprocess, sys
        def test_shop(squall):
            mine = subprocess.Popen(["sleep", "60"])
            try:
                squall.run("scenarios/holds.yaml", targets={
                    "web": "http://127.0.0.1:2", "db": mine.pid,
                    "cache": {"processes": {"command": ["sleep", "1"], "count": 2}},
                })
            finally:
                mine.kill()
                mine.wait()
        """.replace("\n        ", "\n"),
    )
    squall_project.pytest("test_shop.py", "--basetemp=base").assert_outcomes(passed=1)
    (asked,) = squall_project.asked
    environment = read_environment(asked[asked.index("--env") + 1], Path(asked[1]))
    assert set(environment.targets) == {"shop", "web", "db", "cache"}
    assert environment.targets["web"].url == "http://127.0.0.1:2"
    assert Path(environment.targets["db"].found.pidfile).read_text().isdecimal()
    assert environment.targets["cache"].managed.cwd == str(squall_project.pytester.path)


@pytest.mark.parametrize(
    ("behaviour", "raised"),
    [
        ({"says": "refused: port 8800 is already taken", "code": 2}, "Refused: refused: port 8800"),
        ({"verdict": verdict("dirty")}, "SquallError: dirty: "),
    ],
)
def test_the_fixture_raises_where_there_is_no_honest_verdict(squall_project, behaviour, raised):
    squall_project.does(**behaviour)
    squall_project.write("test_shop.py", "def test_shop(squall): squall.run('scenarios/holds.yaml')")
    result = squall_project.pytest("test_shop.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{raised}*"])


def test_the_fixture_refuses_a_sweep(squall_project):
    squall_project.write("scenarios/holds.yaml", SCENARIO.replace('"2"', '["2", "3"]'))
    squall_project.write("test_shop.py", "def test_shop(squall): squall.run('scenarios/holds.yaml')")
    squall_project.pytest("test_shop.py").stdout.fnmatch_lines(
        ["*is a sweep (holds?most=2?, holds?most=3?)*"]
    )
    assert squall_project.asked == []


# --- brakes and turns ------------------------------------------------------------------------------------------


@pytest.fixture
def session(squall_project):
    """Start pytest in a process of its own, with the fake runner."""
    started = []
    name = "runner.pytest_plugin.client"
    squall_project.write(
        "conftest.py",
        f"import {name} as c, sys\nc.RUNNER = (sys.executable, {str(squall_project.fake)!r})\n",
    )

    def session(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", *LOADED, *HOLDS, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        started.append(
            subprocess.Popen(
                command, cwd=squall_project.pytester.path, env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield session
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_ctrl_c_pulls_the_brake_and_waits_until_all_is_clean_however_often_it_is_pressed(
    squall_project, session
):
    undone = squall_project.pytester.path / "undone"
    squall_project.does(undoes=str(undone))
    process = session()
    hurt = _wait_for(Path(f"{undone}.hurt"))
    runner = identify(int(hurt))
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # two presses, not one
    output = process.communicate(timeout=20)[0]
    assert undone.read_text() == "clean", output
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert identify(runner.pid) is None


def _wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def test_two_pytest_sessions_take_turns(squall_project, session):
    squall_project.does(alone=str(squall_project.pytester.path / "alone"))
    both = [session(), session()]
    outputs = [process.communicate(timeout=40)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(squall_project.asked) == 2


@pytest.fixture
def another_run():
    """Hold this machine's lock as a run does."""
    os.close(open_folder(state_folder()))
    with (state_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


class Release(logging.Handler):
    """Let the other run end when it is said to be waited for."""

    def __init__(self, lock):
        super().__init__()
        self.held = lock

    def emit(self, record):
        if "waiting for another run" in record.getMessage():
            fcntl.flock(self.held, fcntl.LOCK_UN)


def test_a_run_that_lives_is_waited_for(squall_project, another_run):
    log, release = logging.getLogger("squall"), Release(another_run)
    log.addHandler(release)
    result = squall_project.pytest(*HOLDS, "--log-cli-level=INFO", "--squall-wait", "20s")
    log.removeHandler(release)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*waiting for another run on this machine to end*", "*faults begin*"])


def test_a_run_that_lives_too_long_is_an_error(squall_project, another_run):
    result = squall_project.pytest(*HOLDS, "--squall-wait", "300ms")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*another run on this machine did not end in time; wait longer with --squall-wait*"]
    )
    assert squall_project.asked == []


# --- a real run ------------------------------------------------------------------------------------------------

REAL = """
title: A web process comes back
indicators: {threads: {process: web, measure: threads, every: 200ms}}
before: 1s
after: 1s
faults:
  FAULT
expect:
  - after: threads > 0
"""
KILL = "kill-one: {kind: kill, target: web, pick: 1, at: 0s, for: 1s}"
PAUSE = "pause: {kind: pause, target: web, at: 0s, for: 1s}"
WEB = """
targets:
  web:
    processes:
      command: [python, -m, http.server, $port, --bind, 127.0.0.1]
      count: 2
      port: auto
      ready: {tcp: true, within: 20s}
"""
TEST = """
import subprocess, sys
def test_mine(squall):
    mine = subprocess.Popen(["sleep", "60"])
    try:
        verdict = squall.run("scenarios/pause.yaml", targets={"web": mine.pid})
        assert verdict.outcome.value == "passed", verdict
        (fault,) = verdict.faults
        assert (fault.kind, fault.confirmed, fault.reverted_by) == ("pause", True, "runner")
        assert mine.poll() is None
    finally:
        mine.kill()
        mine.wait()
"""


def test_real_scenarios_run_as_tests_beside_tests_written_in_python(squall_project, monkeypatch):
    monkeypatch.setattr(client, "RUNNER", (sys.executable, "-P", "-m", "runner.cli"))
    squall_project.write("scenarios/kill.yaml", REAL.replace("FAULT", KILL))
    squall_project.write("scenarios/pause.yaml", REAL.replace("FAULT", PAUSE))
    squall_project.write("scenarios/environments/local.yaml", WEB)
    squall_project.write("test_mine.py", TEST)
    result = squall_project.pytest(
        "--squall", "scenarios/kill.yaml", "test_mine.py", "-v", "--junitxml=j.xml"
    )
    result.assert_outcomes(passed=2)
    properties = list(ET.parse(squall_project.pytester.path / "j.xml").iter("property"))
    assert [each.get("value") for each in properties if each.get("name") == "squall_outcome"] == [
        "passed",
        "passed",
    ]
    reports = [Path(each.get("value")) for each in properties if each.get("name") == "squall_report"]
    assert all((report / "report.html").exists() for report in reports)


def test_ctrl_c_in_a_real_run_leaves_nothing_stopped_and_nothing_armed(squall_project, monkeypatch):
    victim = subprocess.Popen(["sleep", "60"])
    squall_project.write("shop.pid", str(victim.pid))
    squall_project.write(
        "scenarios/environments/local.yaml", "targets: {web: {processes: {pidfile: ../../shop.pid}}}"
    )
    squall_project.write("scenarios/pause.yaml", REAL.replace("FAULT", PAUSE.replace("for: 1s", "for: 40s")))
    command = [sys.executable, "-m", "pytest", *LOADED, "--squall", "scenarios/pause.yaml"]
    session = subprocess.Popen(
        command,
        cwd=squall_project.pytester.path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        paused = identify(victim.pid)
        deadline = time.monotonic() + 40
        while state_of(paused) != "T":
            assert session.poll() is None, session.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        session.send_signal(signal.SIGINT)
        output = session.communicate(timeout=30)[0]
        assert state_of(paused) == "S", output
        assert session.returncode == pytest.ExitCode.INTERRUPTED
        assert not list(state_folder().glob("armed/*.jsonl"))
    finally:
        session.kill()
        session.communicate()
        victim.kill()
        victim.wait()
