"""Run the real `squall` in a place of its own: state, reports, free ports, a short scenario."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from runner.processes import marked, pids

ROOT = Path(__file__).parent.parent
SQUALL = [sys.executable, "-P", "-m", "runner.cli"]

SCENARIO = """
squall: 1
title: A short run
load:
  locustfile: {root}/scenarios/shoppers.py
  classes: [Shopper]
  target: front
  stages: [{{name: steady, rate: 40/s}}]
warmup: 1s
before: 2s
after: {after}
faults:
{faults}
steady_state: [p95 < 1s, error_rate < 5%]
confidence: none    # a second is too short for more
"""

ENVIRONMENT = """
targets:
  front:
    url: http://127.0.0.1:{front}
    processes:
      command: [python, -m, scenarios.shop.front, --port, $port, --webs, $shop.addresses]
      cwd: {root}
      port: {front}
      ready: {{http: /healthz}}
  shop:
    processes:
      command: [python, -m, scenarios.shop.web, --port, $port, --store, $store-link.address]
      cwd: {root}
      count: 2
      port: auto
      ready: {{http: /healthz}}
  store:
    processes: {{command: [python, -m, scenarios.shop.store, --port, $port], cwd: {root}, port: auto, ready: {{tcp: true}}}}
  store-link:
    link: {{listen: '127.0.0.1:auto', upstream: $store.address}}
"""


class Workplace:
    """A folder with its own state directory, reports, scenario and environment."""

    def __init__(self, folder, **extra):
        self.folder = folder
        self.reports = folder / "reports"
        self.environment = folder / "here.yaml"
        self.environment.write_text(ENVIRONMENT.format(root=ROOT, front=free_port()))
        self.variables = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / "state"),
            "CI": "1",
            "PYTHONPATH": str(ROOT),
            **extra,
        }

    def scenario(self, faults, *, expect="", halt="", after="1s", name="short"):
        text = SCENARIO.format(root=ROOT, faults=faults, after=after)
        text += f"expect: {expect}\n" if expect else ""
        text += f"halt: {halt}\n" if halt else ""
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [*SQUALL, *map(str, arguments)],
            env=self.variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def squall(self, *arguments, timeout=100):
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=30)
            raise AssertionError(f"squall did not end within {timeout} s: {output}") from None
        return process.returncode, output

    def run_arguments(self, scenario):
        return ("run", scenario, "--env", self.environment, "--report", self.reports)

    def run(self, scenario, *arguments):
        return self.squall(*self.run_arguments(scenario), *arguments)

    def run_fairly(self, scenario, *arguments, tries=5):
        """Run until the load generator got its time from the machine: where it did not, the verdict says so."""
        for _ in range(tries):
            code, output = self.run(scenario, *arguments)
            if "was saturated" not in output:
                break
        return code, output

    def folders(self):
        return sorted(path for path in self.reports.glob("*/*") if path.is_dir() and not path.is_symlink())

    def verdict(self):
        return json.loads((self.folders()[-1] / "verdict.json").read_text())

    def events(self, folder=None):
        path = (folder or self.folders()[-1]) / "timeline.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    def wait_for_event(self, wanted, timeout=40):
        """Wait until an event of the running record satisfies *wanted*; return it."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(IndexError, FileNotFoundError, json.JSONDecodeError):
                for event in self.events():
                    if wanted(event):
                        return event
            time.sleep(0.01)
        raise AssertionError("the event did not come")


def injected(event):
    return event["event"] == "act" and event["state"] == "injected" and event.get("fault")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def left_of(run):
    return list(marked(run))


def wait_gone(run, timeout=10):
    """Wait until nothing of a run lives; return what still does."""
    deadline = time.monotonic() + timeout
    while (left := left_of(run)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def stopped(process_ids):
    states = {}
    for pid in process_ids:
        with contextlib.suppress(OSError):
            states[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return [pid for pid, state in states.items() if state == "T"]


def guardian_of(run):
    for pid in pids():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if (
                b"runner.guardian.process" in command
                and run.encode() in Path(f"/proc/{pid}/environ").read_bytes()
            ):
                return pid
    return None
