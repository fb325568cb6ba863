"""Whole runs of the real command: what a user sees, and what is left when things go wrong."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from runner.running.victims import START_DEADLINE
from tests.runs import ROOT, SQUALL, Workplace, guardian_of, injected, left_of, wait_gone

NOBODY = 65534
UNSHARED = ["unshare", "--mount", "--propagation", "private", "bash", "-ec"]
SOON = 3.0  # seconds of the thirty, on a machine that may be busy; the real figures are those of bench_halt.py and tests.torture
PAUSE = "  hold: {kind: pause, target: shop, pick: 1, at: 0s, for: %s}"


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def test_a_killed_replica_is_survived_and_the_verdict_says_so(place):
    scenario = place.scenario(
        "  kill-one: {kind: kill, target: shop, pick: 1, at: 0s, for: 2s}",
        expect="[{during kill-one: error_rate < 20%}]",
        after="2s",
    )
    code, output = place.run_fairly(scenario)
    assert code == 0, output
    verdict = place.verdict()
    assert verdict["outcome"] == "passed"
    [fault] = verdict["faults"]
    assert fault["confirmed"] is True
    assert fault["reverted_by"] == "runner"
    assert output.strip().splitlines()[-1].startswith("passed")
    folder = place.folders()[-1]
    for name in (
        "plan.json",
        "timeline.jsonl",
        "frames.bin",
        "journal.jsonl",
        "report.txt",
        "report.html",
        "junit.xml",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert left_of(folder.name) == []


def test_a_link_whose_name_nobody_knows_is_refused_by_plan_and_ends_a_run_at_once(place):
    scenario, text = place.scenario(PAUSE % "1s"), place.environment.read_text()
    place.environment.write_text(text.replace("$store.address", "'nope.invalid:80'"))
    code, output = place.squall("plan", scenario, "--env", place.environment)
    assert (code, output.count("\n")) == (2, 1), output
    assert "targets.store-link.link.upstream: the name nope.invalid is not known here" in output
    place.environment.write_text(
        text.replace("$store.address", "$nowhere.address") + "  nowhere: {url: 'http://nope.invalid'}\n"
    )
    began = time.monotonic()
    code, output = place.run(scenario)
    assert code == 2, output
    assert "targets.store-link: its proxy ended while it started: --upstream nope.invalid:80: " in output
    assert time.monotonic() - began < START_DEADLINE
    assert left_of(place.folders()[-1].name) == []


def test_the_verdict_is_a_pure_function_of_the_record(place):
    place.run_fairly(place.scenario(PAUSE % "1s"))
    folder = place.folders()[-1]
    before = (folder / "verdict.json").read_bytes()
    code, _ = place.squall("judge", folder)
    assert (folder / "verdict.json").read_bytes() == before
    assert code == 0
    (folder / "report.html").unlink()
    assert place.squall("report", folder)[0] == 0
    assert (folder / "report.html").exists()


def test_a_halt_rule_stops_the_harm_and_everything_is_undone(place):
    scenario = place.scenario(
        "  dark: {kind: blackhole, target: store-link, at: 0s, for: 30s}",
        halt="[p95 > 500ms, error_rate > 30%]",
    )
    code, output = place.run(scenario)
    verdict = place.verdict()
    assert (code, verdict["outcome"]) == (4, "halted"), output
    [fault] = verdict["faults"]
    halt = next(event for event in place.events() if event["event"] == "halt")
    assert halt["cause"] == "rule"
    assert fault["reverted_at"] - halt["at"] < SOON
    assert left_of(place.folders()[-1].name) == []


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_pulls_the_brake(place, number):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
    place.wait_for_event(injected)
    sent = time.monotonic()
    running.send_signal(number)
    running.send_signal(number)  # a second Ctrl-C never interrupts an undo
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 4, output
    events = place.events()
    anchor = next(event for event in events if event["event"] == "started")["anchor"]["monotonic"]
    clean = next(
        event for event in events if event["event"] == "act" and event["state"] == "clean" and event["fault"]
    )
    assert clean["at"] + anchor - sent < SOON
    assert place.verdict()["outcome"] == "halted"
    assert left_of(place.folders()[-1].name) == []


def test_a_runner_killed_leaves_nothing_behind_and_the_record_says_who_undid_it(place):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
    place.wait_for_event(injected)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    folder = place.folders()[-1]
    assert wait_gone(folder.name) == []
    running.stdout.close()
    code, _ = place.squall("judge", folder)
    verdict = place.verdict()
    assert (code, verdict["outcome"]) == (4, "halted")
    assert verdict["faults"][0]["reverted_by"] == "guardian"
    assert place.squall("rollback")[0] == 0
    code, output = place.run_fairly(place.scenario(PAUSE % "1s"))
    assert code == 0, output
    state = place.folder / "state" / "squall"
    assert sorted(path.name for path in state.iterdir()) == ["armed", "lock"]
    assert list((state / "armed").iterdir()) == []


def test_a_runner_that_hangs_is_taken_over_within_its_lease(place):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")), "--lease", "1s")
    place.wait_for_event(injected)
    running.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    folder = place.folders()[-1]
    guarded = folder / "guardian.jsonl"
    while not (guarded.exists() and '"clean"' in guarded.read_text()):
        assert time.monotonic() - stopped_at < 10
        time.sleep(0.01)
    assert time.monotonic() - stopped_at < 1.0 + SOON
    running.wait(30)
    assert running.returncode == -signal.SIGKILL
    running.stdout.close()
    assert wait_gone(folder.name) == []


def test_a_killed_guardian_is_noticed_undone_and_said(place):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
    place.wait_for_event(injected)
    folder = place.folders()[-1]
    os.kill(guardian_of(folder.name), signal.SIGKILL)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 4, output
    verdict = place.verdict()
    assert "guardian" in verdict["reason"]
    assert verdict["faults"][0]["reverted_by"] == "rollback"
    assert left_of(folder.name) == []


def test_a_rollback_that_cannot_begin_is_dirty_and_says_what_to_do(place):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
    place.wait_for_event(injected)
    folder = place.folders()[-1]
    [journal] = (place.folder / "state" / "squall" / "armed").iterdir()
    running.send_signal(signal.SIGSTOP)
    os.kill(guardian_of(folder.name), signal.SIGKILL)
    journal.chmod(0o666)
    running.send_signal(signal.SIGCONT)
    output, _ = running.communicate(timeout=30)
    journal.chmod(0o600)
    assert running.returncode == 5, output
    verdict = place.verdict()
    assert "others may write it" in verdict["faults"][0]["dirty"]
    assert "squall rollback" in verdict["faults"][0]["dirty"]
    assert place.squall("rollback")[0] == 0
    assert wait_gone(folder.name) == []


def test_both_killed_is_healed_by_rollback_and_refused_until_then(place):
    scenario = place.scenario(PAUSE % "30s")
    running = place.start(*place.run_arguments(scenario))
    place.wait_for_event(injected)
    folder = place.folders()[-1]
    os.kill(guardian_of(folder.name), signal.SIGSTOP)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    running.stdout.close()
    os.kill(guardian_of(folder.name), signal.SIGKILL)
    code, output = place.run(scenario)
    assert code == 2
    assert "squall rollback" in output
    assert place.squall("rollback")[0] == 0
    assert wait_gone(folder.name) == []
    assert place.squall("rollback") == (0, "nothing is armed on this machine\n")
    code, output = place.run_fairly(place.scenario(PAUSE % "1s"))
    assert code == 0, output


def test_halt_from_another_terminal_ends_the_run(place):
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
    place.wait_for_event(injected)
    assert place.squall("halt")[0] == 0
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 4, output
    assert place.squall("halt")[0] == 2


def test_a_signal_while_targets_start_ends_them_at_once(place):
    text = place.environment.read_text().replace("{http: /healthz}", "{http: /healthz, within: 30s}")
    never = "[sleep, '60']"
    place.environment.write_text(
        text.replace("[python, -m, scenarios.shop.front, --port, $port, --webs, $shop.addresses]", never)
    )
    running = place.start(*place.run_arguments(place.scenario(PAUSE % "1s")))
    place.wait_for_event(
        lambda event: (
            event["event"] == "act" and event["act"] == "start/front.0" and event["state"] == "injected"
        )
    )
    sent = time.monotonic()
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 4, output
    assert time.monotonic() - sent < 10
    assert left_of(place.folders()[-1].name) == []


def test_after_a_signal_no_further_scenario_starts(place):
    first, second = place.scenario(PAUSE % "30s"), place.scenario(PAUSE % "1s", name="second")
    running = place.start("run", first, second, "--env", place.environment, "--report", place.reports)
    place.wait_for_event(injected)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=40)
    assert running.returncode == 4, output
    assert not (place.reports / "second").exists()


def test_a_second_run_is_refused_while_one_lives(place):
    scenario = place.scenario(PAUSE % "5s")
    running = place.start(*place.run_arguments(scenario))
    place.wait_for_event(injected)
    code, output = place.run(place.scenario(PAUSE % "1s", name="other"))
    assert code == 2, output
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)


def test_not_steady_before_injects_nothing(place):
    scenario = place.scenario(PAUSE % "1s")
    scenario.write_text(scenario.read_text().replace("p95 < 1s", "p95 < 1us"))
    code, output = place.run(scenario)
    assert code == 3, output
    assert not any(injected(event) for event in place.events())


def test_a_full_disk_halts_the_run_and_says_so(place):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place.reports.mkdir()
    if os.system(f"mount -t tmpfs -o size=12m tmpfs {place.reports}") != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        running = place.start(*place.run_arguments(place.scenario(PAUSE % "30s")))
        place.wait_for_event(injected)
        filler = place.reports / "filler"
        with filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"x" * 4096)
            except OSError:
                pass
        output, _ = running.communicate(timeout=30)
        assert running.returncode == 4, output
        assert "cannot be written" in output
        assert place.verdict()["outcome"] == "halted"
        assert wait_gone(place.folders()[-1].name) == []
    finally:
        os.system(f"umount -l {place.reports}")


def test_a_defect_of_our_own_undoes_everything_and_has_its_own_exit_code(place):
    scenario = place.scenario(PAUSE % "30s")
    broken = "import runner.running.injection as i; i.Injection._read = lambda self, acts: 1 / 0; from runner.cli import main; main()"
    code = subprocess.run(
        [sys.executable, "-P", "-c", broken, *map(str, place.run_arguments(scenario))],
        env=place.variables, cwd=place.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert code.returncode == 70, code.stdout
    assert "ZeroDivisionError" in place.verdict()["reason"]
    assert place.verdict()["faults"][0]["reverted_by"] == "runner"
    assert left_of(place.folders()[-1].name) == []


def test_plan_touches_nothing_and_names_the_operations(place):
    code, output = place.squall("plan", place.scenario(PAUSE % "3s"), "--env", place.environment)
    assert code == 0, output
    assert "signal=STOP" in output
    assert "signal=CONT" in output
    assert not place.reports.exists()
    assert not (place.folder / "state").exists() or not any((place.folder / "state").rglob("*.journal"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("target: front", "target: frunt"), "frunt"),
        (("kind: pause", "kind: paws"), "pause"),
        (("before: 2s", "before: 2"), "2s"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_exit_2(place, change, words):
    scenario = place.scenario(PAUSE % "1s")
    scenario.write_text(scenario.read_text().replace(*change))
    code, output = place.run(scenario)
    assert code == 2
    assert len(output.strip().splitlines()) == 1, output
    assert f"{scenario.name}:" in output
    assert words in output
    assert not place.reports.exists()


def test_a_locustfile_that_raises_is_refused_before_any_target_starts(place):
    broken = place.folder / "broken.py"
    broken.write_text(
        "from locust import HttpUser\nclass Shopper(HttpUser):\n    pass\nraise RuntimeError('no such shop')\n"
    )
    scenario = place.scenario(PAUSE % "1s")
    scenario.write_text(scenario.read_text().replace(f"{ROOT}/scenarios/shoppers.py", str(broken)))
    code, output = place.run(scenario)
    assert code == 2, output
    assert "broken.py:4" in output
    assert "no such shop" in output
    assert "Traceback" not in output
    assert not any("start/" in json.dumps(event) for event in place.events())


def test_a_port_already_taken_is_refused(place):
    import socket

    port = int(place.environment.read_text().split("http://127.0.0.1:")[1].split()[0])
    with socket.create_server(("127.0.0.1", port)):
        code, output = place.run(place.scenario(PAUSE % "1s"))
    assert code == 2
    assert str(port) in output


@pytest.mark.timeout(360)
def test_an_ordinary_user_runs_the_embedded_default(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("already an ordinary user: every other test here shows it")
    with tempfile.TemporaryDirectory(prefix="squall-nobody-", dir="/tmp") as home:
        os.chown(home, NOBODY, NOBODY)
        place = Workplace(Path(home), HOME=home, TMPDIR=home, XDG_STATE_HOME=f"{home}/state")
        run = [*SQUALL, "run", str(ROOT / "scenarios" / "first_steps.yaml"), "--report", f"{home}/reports"]
        as_nobody = [
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "--no-new-privs",
            "--",
        ]
        for _ in range(3):
            code = subprocess.run(
                [*UNSHARED, reachable(ROOT, Path(sys.base_prefix)), "-", *as_nobody, *run],
                env=place.variables,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=100,
            )
            crowded = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)  # the shop's speed is then not its own
            if code.returncode == 0 or not crowded:
                break
        assert code.returncode == 0, code.stdout + code.stderr
        verdict = json.loads(Path(f"{home}/reports/first_steps/latest/verdict.json").read_text())
        assert [(fault["confirmed"], fault["reverted_by"]) for fault in verdict["faults"]] == [
            (True, "runner")
        ]
        assert Path(f"{home}/reports/first_steps/latest/report.html").stat().st_uid == NOBODY


def reachable(*paths):
    """Shell lines that, in a mount namespace of their own, let everybody reach *paths* below closed folders."""
    lines, stash = ["s=$(mktemp -d)", "mount -t tmpfs -o mode=755 tmpfs $s"], {}
    for path in paths:
        closed = next((p for p in reversed(path.resolve().parents) if not p.stat().st_mode & 0o001), None)
        if closed is not None:
            stash.setdefault(closed, []).append(path.resolve())
    for number, (closed, inner) in enumerate(stash.items()):
        for each, path in enumerate(inner):
            lines += [f"mkdir $s/{number}-{each}", f"mount --rbind {path} $s/{number}-{each}"]
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {closed}")
        for each, path in enumerate(inner):
            lines += [f"mkdir -p {path}", f"mount --rbind $s/{number}-{each} {path}"]
    return "\n".join([*lines, 'exec "$@"'])
