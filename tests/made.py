"""Plans, chunks and records made by hand, for tests of what measurements mean."""

from __future__ import annotations

import math
from collections import Counter

from runner.assertions import Assertion, Bound, Selector, Term, When
from runner.clock import TimeAnchor
from runner.errors import Place
from runner.load.frames import ROW, SLOT, Chunk, Key
from runner.load.histogram import bucket
from runner.plan_record import Harm, Plan
from runner.scenario import Environment, FaultUse, Indicator, Load, Scenario, Stage
from runner.timeline import ActChanged, Confirmed, Phase, Started

OK = Key("GET /item", 200)
BAD = Key("GET /item", 503, "HTTPError(503)")
NOWHERE = Place(file="x.yaml", line=7)
ANCHOR = TimeAnchor(boot="b", monotonic=0.0, boottime=0.0, wall=1.7e9)


def term(name, **more):
    """`p95`, `error_rate`, …; `p95` is the quantile 0.95."""
    selector = Selector(**more.pop("selector", {}))
    if name[0] == "p" and name[1:].replace(".", "").isdigit():
        return Term(name="quantile", quantile=float(name[1:]) / 100, text=name, selector=selector, **more)
    return Term(name=name, text=name, selector=selector, **more)


def assertion(text, *, when="always", name="", selector=None, **more):
    """`p95 < 0.15`, `p95 < 1.2x before`: base units only, no parser."""
    left, operator, *right = text.split()
    shown = {"always": "always", "before": "before", "after": "after", "faults": "during faults"}
    said = shown.get(when, f"{'after' if when == 'after_name' else 'during'} {name}")
    value = right[0]
    bound = Bound(factor=float(value[:-1])) if value.endswith("x") else Bound(value=float(value))
    return Assertion(
        text=text,
        term=term(left, selector=selector or {}),
        op=operator,
        bound=bound,
        when=When(kind=when, name=name, text=said),
        place=NOWHERE,
        **more,
    )


def fault(name="kill-one", *, target="shop"):
    """A use of some fault; judging never looks at its knobs."""
    from runner.faults.record import Fault

    return FaultUse(name=name, fault=Fault(), target=target, duration=10.0, place=NOWHERE)


def load(name="shoppers", *, model="rate", level=60.0, workers=1):
    """A load with one stage that lasts."""
    stage = Stage(name="steady", start=level, end=level)
    return Load(name=name, locustfile="/x.py", model=model, stages=(stage,), workers=workers, place=NOWHERE)


def indicator(name="rss", *, every=1.0, unit="bytes", **more):
    return Indicator(name=name, source="process", every=every, unit=unit, place=NOWHERE, **more)


def plan(*, harms=None, ends=30.0, after=10.0, environment=None, known_as=None, **scenario):
    """A plan around a scenario's parts. Judged by points alone, unless a confidence is given."""
    scenario = {"loads": (load(),), "warmup": 0.0, "before": 10.0, "confidence": 0.0} | scenario
    faults = scenario.get("faults", ())
    made = Scenario(path="/x.yaml", name="x", title="X", after=after, **scenario)
    return Plan(
        run="r",
        scenario=made,
        environment=environment or Environment(name="local", path="/e.yaml", targets={}),
        windows=(),
        stages=(),
        harms=tuple(Harm(fault=use.name, does="hurts", acts=()) for use in faults)
        if harms is None
        else harms,
        ends=ends,
        known_as=known_as or {},
    )


class Crowd:
    """Collects requests as one worker would send them, a chunk each 100 ms."""

    def __init__(self, load="shoppers", worker=0):
        self.load, self.worker = load, worker
        self.ended, self.open = [], []
        self.offered, self.levels = Counter(), {}

    def request(self, start, took, key=OK, count=1):
        """One or more requests; *took* None: never answered."""
        if took is None:
            self.open.append((start, key.request, count))
        else:
            self.ended.append((start, start + took, took, key, count))
        return self

    def steady(self, start, end, *, rate=60.0, took=0.05, key=OK):
        """Evenly spaced requests in [start, end)."""
        for number in range(round((end - start) * rate)):
            self.request(start + (number + 0.5) / rate, took, key)
        return self

    def chunks(self, end, *, begin=0, final=True, **more):
        """All that was flushed until *end*."""
        keys, found = {}, []
        by_flush, changes, pending = {}, self._changes(), Counter()
        for start, stop, took, key, count in self.ended:
            by_flush.setdefault(slot(stop) + 1, []).append((start, stop, took, key, count))
        for number, flush in enumerate(range(begin + 1, slot(end) + 1)):
            rows, new = Counter(), []
            for start, request, count in changes.get(flush, ()) if number else _until(changes, flush):
                pending[start, request] += count
            for start, stop, took, key, count in by_flush.get(flush, ()):
                if key not in keys:
                    keys[key] = len(keys)
                    new.append(key)
                rows[slot(start), slot(stop), keys[key], bucket(took)] += count
            at = round(flush * SLOT, 6)
            pending = +pending
            found.append(
                Chunk(
                    load=self.load,
                    worker=self.worker,
                    sequence=number,
                    at=at,
                    watermark=flush,
                    keys=new,
                    rows=b"".join(ROW.pack(*row, count) for row, count in rows.items()),
                    pending=[(start, request, count) for (start, request), count in pending.items() if count],
                    final=final and flush == slot(end),
                    **more,
                )
            )
        return found

    def _changes(self):
        """By flush: what comes to be pending, and what no longer is."""
        changes = {}
        for start, request, count in self.open:
            changes.setdefault(slot(start) + 1, []).append((slot(start), request, count))
        for start, stop, _, key, count in self.ended:
            changes.setdefault(slot(start) + 1, []).append((slot(start), key.request, count))
            changes.setdefault(slot(stop) + 1, []).append((slot(start), key.request, -count))
        return changes


def _until(changes, flush):
    return [change for when, found in changes.items() if when <= flush for change in found]


def slot(seconds):
    return math.floor(seconds / SLOT + 1e-6)


def phases(*, before=0.0, zero=10.0, after=None, end=None):
    """The phases of a run, as far as they are given."""
    found = [Started(at=0.0, run="r", version="0", anchor=ANCHOR), Phase(at=before, name="before")]
    found.append(Phase(at=zero, name="faults"))
    found += [Phase(at=after, name="after")] if after is not None else []
    return found + ([Phase(at=end, name="end")] if end is not None else [])


def act(
    name="kill-one",
    start=10.0,
    end=20.0,
    *,
    instance="shop.1",
    occurrence=0,
    ok=True,
    by="runner",
    last="clean",
):
    """What the timeline says of one act from arm to clean; *end* None: it stays injected."""
    common = {
        "act": f"{name}/{occurrence}/{instance}",
        "fault": name,
        "instance": instance,
        "occurrence": occurrence,
    }
    states = [(start - 0.02, "armed"), (start, "injecting"), (start + 0.01, "injected")]
    if end is not None:
        states += [(end - 0.01, "undoing"), (end, last)]
    events = [
        ActChanged(
            at=at,
            state=state,
            kind="kill",
            by=by if state in {"undoing", "clean", "dirty"} else "runner",
            **common,
        )
        for at, state in states
    ]
    return [*events, Confirmed(at=start + 0.1, ok=ok, evidence=f"{instance} is gone", **common)]
