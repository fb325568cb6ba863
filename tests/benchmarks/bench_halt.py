"""How long a halt takes: from the first bad response that trips a plain threshold to the last fault undone.

    .venv/bin/python tests/benchmarks/bench_halt.py [RUNS]

Each try is a whole `squall run` whose link goes silent until `error_rate` trips. Prints judging (bad response
to the brake) and undoing (brake to clean) apart; with fewer than 299 tries a p99 is the maximum, and is called so.
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runs import Workplace


def attempt(folder):
    place = Workplace(folder)
    scenario = place.scenario(
        "  cut: {kind: blackhole, target: store-link, at: 0s, for: 20s}", halt="[error_rate > 10% over 1s]"
    )
    code, output = place.run(scenario)
    assert code == 4, output
    events = place.events()
    halt = next(event for event in events if event["event"] == "halt")
    clean = max(
        event["at"]
        for event in events
        if event["event"] == "act" and event["state"] == "clean" and event["fault"]
    )
    return halt["at"] - halt["breached_at"], clean - halt["at"]


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    judging, undoing = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            judged, undone = attempt(Path(folder))
            judging.append(judged)
            undoing.append(undone)
    whole = [one + other for one, other in zip(judging, undoing, strict=True)]
    for name, values in (("judging", judging), ("undoing", undoing), ("bad response to clean", whole)):
        print(
            f"{name:22} median {statistics.median(values) * 1e3:5.0f} ms, max of {runs} {max(values) * 1e3:5.0f} ms"
        )


if __name__ == "__main__":
    main()
