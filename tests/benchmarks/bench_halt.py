"""How long a halt takes: from the first bad response to the last fault undone, by a threshold and by evidence.

    .venv/bin/python tests/benchmarks/bench_halt.py [RUNS] [link | confidence | docker | kubernetes]...

Each try is a whole `squall run` whose fault breaks the halt rule. link: the shop's link goes silent until
`error_rate > 10% over 1s` trips; judging counts from the response that tips it. confidence: at 100 requests/s its link
resets every connection, and `error_rate > 1% (confidence 99%)` judges; counted from the beginning of the 100 ms in which
the first bad response ended. docker, kubernetes: the packets to the store are swallowed in the containers' network
namespaces, and then they are frozen by their cgroup. Prints judging (bad response to the brake) and undoing (brake to
clean) apart; a try counts only where all of the harm had landed before the halt (posting six pods at once can break the
rule by itself on a small machine). With fewer than 299 tries a p99 is the maximum, and is called so.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from runner.load.frames import SLOT
from runner.record import Record
from tests.cluster_parts import emptied, reached
from tests.runs import ROOT, Workplace


@dataclass(frozen=True)
class Blow:
    """A fault, the rule that it breaks, the load meanwhile."""

    fault: str
    rule: str
    rate: str = "40/s"

    @property
    def by_evidence(self):
        return "confidence" in self.rule


SILENT = Blow("{kind: blackhole, target: store-link, at: 0s, for: 20s}", "error_rate > 10% over 1s")
RESET = Blow(
    "{kind: reset, target: store-link, at: 0s, for: 20s}", "error_rate > 1% (confidence 99%)", rate="100/s"
)
SWALLOWED = Blow(SILENT.fault, "error_rate > 10% over 1s, p95 > 1s over 1s")
FROZEN = Blow("{kind: pause, target: shop, at: 0s, for: 20s}", SWALLOWED.rule)


def attempt(folder, blow, environment):
    """Seconds of judging and of undoing; None where the halt came before all of the harm had landed."""
    place = Workplace(folder)
    place.environment = environment or place.environment
    scenario = place.scenario(f"  blow: {blow.fault}", halt=f"[{blow.rule}]")
    scenario.write_text(scenario.read_text().replace("rate: 40/s", f"rate: {blow.rate}"))
    code, output = place.run(scenario)
    assert code == 4, output
    events = place.events()
    halt = next(event for event in events if event["event"] == "halt")
    acts = [event for event in events if event["event"] == "act" and event["fault"]]
    reached = {event["act"] for event in acts if event["state"] == "injected" and event["at"] <= halt["at"]}
    if reached != {event["act"] for event in acts}:
        return None
    clean = max(
        event["at"]
        for event in events
        if event["event"] == "act" and event["state"] == "clean" and event["fault"]
    )
    began = first_bad(place, events) if blow.by_evidence else halt["breached_at"]
    return halt["at"] - began, clean - halt["at"]


def first_bad(place, events):
    """When the 100 ms began in which the first request failed after t = 0."""
    frames = Record.load(place.folders()[-1]).frames
    failed = np.array([bool(key.error) for _, key in frames.keys])
    zero = next(one["at"] for one in events if one["event"] == "phase" and one["name"] == "faults")
    ends = frames.end[failed[frames.key]]
    return float(ends[ends >= int(zero / SLOT)].min()) * SLOT


def measure(name, runs, blow, environment=None):
    judging, undoing, others = [], [], 0
    while len(judging) < runs:
        with tempfile.TemporaryDirectory() as folder:
            taken = attempt(Path(folder), blow, environment)
        if taken is None:
            others += 1
            assert others <= 3 * runs, f"{name}: halts come before the harm"
        else:
            judging.append(taken[0])
            undoing.append(taken[1])
    if others:
        print(f"{name}: {others} more tries do not count: halted before all of the harm had landed")
    whole = [one + other for one, other in zip(judging, undoing, strict=True)]
    for part, values in (("judging", judging), ("undoing", undoing), ("bad response to clean", whole)):
        print(
            f"{name}: {part:22} median {statistics.median(values) * 1e3:5.0f} ms,"
            f" max of {runs} {max(values) * 1e3:5.0f} ms",
            flush=True,
        )


def run(*argv):
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def shop_in_containers():
    """The shop without a link of ours; yield its environment."""
    run(sys.executable, "-m", "tests.helper_image")
    run(sys.executable, "-m", "scenarios.shop.docker", "up", "--direct")
    try:
        yield "docker-wire"
    finally:
        run(sys.executable, "-m", "scenarios.shop.docker", "down")


@contextlib.contextmanager
def shop_in_the_cluster():
    """The same in pods."""
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    cluster = reached()
    run(sys.executable, "-m", "tests.helper_image")
    run("kubectl", "apply", "-f", "scenarios/shop/kubernetes.yaml")
    run("kubectl", "-n", "shop", "set", "env", "deployment/web", "STORE=$(STORE_SERVICE_HOST):8080")
    for part in ("store", "front", "web"):
        run("kubectl", "-n", "shop", "rollout", "status", f"deployment/{part}", "--timeout=180s")
    try:
        yield "kubernetes-wire"
    finally:
        run("kubectl", "delete", "namespace", "shop", "--wait=false")
        emptied(cluster, "shop")


def elsewhere(platform, runs):
    opened = shop_in_containers() if platform == "docker" else shop_in_the_cluster()
    with opened as name, tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "all.yaml"  # theirs, without its limits: all replicas are hurt
        theirs.write_text(f"extends: {ROOT}/scenarios/environments/{name}.yaml\nlimits: {{pick: 100%}}\n")
        for what, blow in (("packets", SWALLOWED), ("freezer", FROZEN)):
            measure(f"{platform} {what}", runs, blow, theirs)


def main():
    words = [word for word in sys.argv[1:] if not word.isdigit()] or ["link", "confidence"]
    runs = int(next((word for word in sys.argv[1:] if word.isdigit()), 20))
    for word in words:
        if word in ("link", "confidence"):
            measure(word, runs, SILENT if word == "link" else RESET)
        else:
            elsewhere(word, runs)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
