"""How quickly pods are killed: fifty at once, picked of more; and one alone until its end is confirmed.

    .venv/bin/python tests/benchmarks/bench_pods.py [PODS] [RUNS]

Each is a whole `squall run` against the cluster of KUBECONFIG, whose pods here do nothing but sleep. Counted from the
moment at which the fault was due: until the last way back was safe, until the last pod was gone, until the last was confirmed.
Beside it, in the same session, what the cluster alone takes: as many pods deleted by bare calls, eight at a time.
"""

import os
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from runner.remote.kubernetes import ApiError, ClusterClient
from tests.cluster_parts import namespace, pods, reached, until
from tests.runs import Workplace

warnings.filterwarnings("ignore", message="Unverified HTTPS request")
SCENARIO = """
title: So many pods die at once
before: 10s
after: 1s
faults:
  death: {{kind: kill, target: crowd, pick: {pick}, how: {how}, restart: never, at: 0s, for: 3s}}
indicators: {{answer: {{command: [echo, '42'], every: 500ms}}}}
expect: [always: answer == 42]
"""
MORE = 5  # pods that are not picked
AT_ONCE = 8  # bare calls


def killed(cluster, space, *, pick, how):
    """Seconds from the fault's time to armed, injected, confirmed, of all that were picked."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        there = f"kubeconfig: {cluster.kubeconfig}, context: {cluster.context}"
        place.environment.write_text(
            f"targets: {{crowd: {{kubernetes: {{{there}, namespace: {space}, selector: app=crowd}}}}}}\n"
        )
        scenario = place.folder / "crowd.yaml"
        scenario.write_text(SCENARIO.format(pick=pick, how=how))
        code, output = place.run(scenario)
        assert code == 0, output
        events = place.events()
    zero = next(event["at"] for event in events if event["event"] == "phase" and event["name"] == "faults")

    def last(name, **wanted):
        found = [
            e["at"] for e in events if e["event"] == name and all(e.get(k) == v for k, v in wanted.items())
        ]
        assert len(found) >= pick, (name, wanted, len(found))
        return sorted(found)[pick - 1] - zero

    return (
        last("act", state="armed", fault="death"),
        last("act", state="injected", fault="death"),
        last("confirmed", ok=True),
    )


def _finds(client, path):
    """Whether the cluster still has it."""
    try:
        client.get(path)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def deleted(cluster, space, *, pick):
    """Seconds until the last of *pick* pods has been deleted by bare calls and read as gone."""
    client = ClusterClient(cluster)
    crowd = client.get(f"/api/v1/namespaces/{space}/pods")["items"]
    names = [pod["metadata"]["name"] for pod in crowd[:pick]]

    def end(name):
        client, path = ClusterClient(cluster), f"/api/v1/namespaces/{space}/pods/{name}"
        client.delete(path, {"gracePeriodSeconds": 0})
        until(lambda: not _finds(client, path))

    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(end, names))
    return time.monotonic() - begun


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    cluster = reached()
    with namespace(cluster) as space:
        with pods(cluster, count=count + MORE, labels={"app": "crowd"}, within=space, patience=300):
            armed, gone, confirmed = killed(cluster, space, pick=count, how="delete")
        print(
            f"{count} pods: armed after {armed:.2f} s, all gone after {gone:.2f} s, all confirmed after {confirmed:.2f} s"
        )
        with pods(cluster, count=count + MORE, labels={"app": "crowd"}, within=space, patience=300):
            bare = deleted(cluster, space, pick=count)
        print(
            f"the cluster alone: all gone after {bare:.2f} s; the run took {(gone - armed) / bare:.1f} times that"
        )
        for how in ("delete", "evict"):
            times = []
            for _ in range(runs):
                with pods(cluster, count=2, labels={"app": "crowd"}, within=space, patience=300):
                    times.append(killed(cluster, space, pick=1, how=how)[2])
            print(
                f"one pod, {how}: confirmed after a median of {statistics.median(times):.2f} s,"
                f" max of {runs} {max(times):.2f} s"
            )
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
