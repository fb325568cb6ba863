"""Run folders made by hand, for the tests of reports and views: a shop, one kill, one slow store."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runner.clock import TimeAnchor
from runner.load.frames import ROW, SLOT, Chunk, Key, pack
from runner.load.histogram import bucket
from runner.timeline import ActChanged, Confirmed, Event, HaltPulled, Note, Phase, Sample, StageBegun, Started
from runner.verdict.record import Change, FaultReport, Finding, Outcome, Verdict

ZERO = 15.0  # 5 s of warm-up after 0 s of targets, 10 s before


@dataclass(frozen=True)
class MadeRun:
    """What the run is like. *names*: request names. *hostile*: text put wherever text from outside goes."""

    seconds: float = 60.0
    rate: int = 60
    names: tuple[str, ...] = ("GET /item", "GET /", "POST /order")
    errors: tuple[str, ...] = ("HTTP 503",)
    hostile: str = ""
    outcome: Outcome = Outcome.PASSED
    halted: bool = False
    loads: bool = True
    findings: tuple[Finding, ...] | None = None
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    gap: tuple[float, float] | None = None  # seconds in which nothing is measured
    hangs_from: float | None = None  # from here no request is answered
    samples: bool = True
    seed: int = 1
    extra: list[Event] = field(default_factory=list)


def make_run(folder: Path, made: MadeRun = MadeRun()) -> Path:
    """Write plan.json, timeline.jsonl, frames.bin and verdict.json into *folder*."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "logs" / "shop.1.log").write_text("started\n")
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan(made)))
    encoder = msgspec.json.Encoder()
    (folder / "timeline.jsonl").write_bytes(b"".join(encoder.encode(e) + b"\n" for e in events(made)))
    (folder / "frames.bin").write_bytes(b"".join(map(pack, chunks(made))) if made.loads else b"")
    (folder / "verdict.json").write_bytes(msgspec.json.encode(verdict(made)))
    return folder


def scale(made: MadeRun) -> float:
    """The fault windows stretch with the run."""
    return made.seconds / 60.0


def plan(made: MadeRun) -> dict[str, object]:
    place = {"file": "scenarios/first_steps.yaml", "line": 14}
    stage = {"name": "steady", "start": float(made.rate), "end": float(made.rate)}
    load = {
        "name": "shoppers",
        "locustfile": "/w/shoppers.py",
        "model": "rate",
        "stages": [stage],
        "place": place,
    }
    k = scale(made)
    uses = [
        {
            "name": f"kill-one{made.hostile}",
            "fault": {"kind": "kill"},
            "target": "shop",
            "duration": 10 * k,
            "place": place,
        },
        {
            "name": "slow-store",
            "fault": {"kind": "latency", "delay": 0.08},
            "target": "store",
            "duration": 10 * k,
            "place": place,
        },
    ]
    scenario = {
        "path": "/w/scenarios/first_steps.yaml", "name": "first_steps", "title": title(made), "loads": [load],
        "steady_state": [_asked("p95", 0.95, 0.15, "before")],
        "expect": [_asked("p95", 0.95, 0.11, "during", "slow-store")],
        "halt": [_asked("error_rate", None, 0.2, "always", op=">")],
        "parameters": {"rate": f"{made.rate}/s"}, "warmup": 5 * k, "before": 10 * k, "after": 15 * k, "faults": uses,
    }  # fmt: skip
    environment = {"name": "local", "path": "/w/scenarios/environments/local.yaml", "targets": {}}
    return {
        "run": "20261122-140300-ab12", "scenario": scenario, "environment": environment, "windows": [], "stages": [],
        "ends": 45.0 * k,
    }  # fmt: skip


def _asked(
    term: str, quantile: float | None, bound: float, kind: str, name: str = "", op: str = "<"
) -> dict[str, object]:
    """One assertion as the plan holds it."""
    named = {"name": "quantile" if quantile else term, "quantile": quantile, "text": term}
    when = {"kind": kind, "name": name}
    return {"text": f"{term} {op} {bound}", "term": named, "op": op, "bound": {"value": bound}, "when": when}


def title(made: MadeRun) -> str:
    return f"The shop keeps its promise while one of three web processes dies{made.hostile}"


def events(made: MadeRun) -> list[Event]:
    k, zero = scale(made), ZERO * scale(made)
    anchor = TimeAnchor(boot="b", monotonic=1000.0, boottime=1000.0, wall=1_795_356_180.0)
    told: list[Event] = [
        Started(at=0.0, run="20261122-140300-ab12", version="0.1.0", anchor=anchor),
        Phase(at=0.0, name="targets"),
        ActChanged(at=0.0, act="start/shop.1", fault="", kind="start", instance="shop.1", state="injected"),
        Phase(at=0.0, name="warmup"),
        StageBegun(at=0.0, load="shoppers", name="ramp"),
        Phase(at=5.0 * k, name="before"),
        StageBegun(at=5.0 * k, load="shoppers", name="steady"),
        Phase(at=zero, name="faults"),
        *_act(f"kill-one{made.hostile}", "kill", "shop.2", zero, zero + 10 * k, made),
    ]
    if made.halted:
        at = zero + 11 * k
        told.append(
            HaltPulled(
                at=at,
                cause="rule",
                reason=f"error_rate 41 %{made.hostile}",
                rule="error_rate > 20%",
                value=0.41,
                limit=0.2,
            )
        )
        told.append(Phase(at=at + 0.2, name="end"))
    else:
        told += _act("slow-store", "latency", "store", zero + 20 * k, zero + 30 * k, made)
        told += [Phase(at=zero + 30 * k, name="after"), Phase(at=made.seconds, name="end")]
    if made.samples:
        told += [
            Sample(at=at, indicator=f"rss{made.hostile}", instance=f"shop.{i}", value=4e7 + 1e5 * at * i)
            for at in range(1, int(made.seconds))
            for i in (1, 2, 3)
        ]
    told += [Note(at=zero, text=text) for text in made.notes]
    return sorted([*told, *made.extra], key=lambda event: event.at)


def _act(fault: str, kind: str, instance: str, start: float, end: float, made: MadeRun) -> list[Event]:
    same = {"act": f"{fault}/0/{instance}", "fault": fault, "kind": kind, "instance": instance}
    evidence = f"the process is gone{made.hostile}"
    return [
        ActChanged(at=start - 0.01, state="armed", **same),
        ActChanged(at=start, state="injecting", **same),
        ActChanged(at=start + 0.01, state="injected", evidence=evidence, **same),
        Confirmed(
            at=start + 0.02, act=same["act"], fault=fault, instance=instance, ok=True, evidence=evidence
        ),
        ActChanged(at=end - 0.01, state="undoing", **same),
        ActChanged(at=end, state="clean", **same),
    ]


def chunks(made: MadeRun) -> list[Chunk]:
    """One chunk every 100 ms; slow while the store is slow, some errors while one process is dead."""
    rng, k, zero = random.Random(made.seed), scale(made), ZERO * scale(made)
    keys = [Key(name, 200) for name in made.names]
    bad = [
        Key(f"{made.names[i % len(made.names)]}", 503, error + made.hostile)
        for i, error in enumerate(made.errors)
    ]
    per_slot = made.rate * SLOT
    told, owed, turn = [], 0.0, 0
    for slot in range(int(made.seconds / SLOT)):
        at = slot * SLOT
        owed += per_slot
        count, owed = int(owed), owed - int(owed)
        rows = []
        for _ in range(count):
            if made.hangs_from is not None and at >= made.hangs_from:
                continue
            slow = zero + 20 * k <= at < zero + 30 * k
            dead = zero <= at < zero + 2 * k
            latency = rng.lognormvariate(-3.9, 0.35) + (rng.gauss(0.08, 0.01) if slow else 0.0)
            key = len(keys) + turn % len(bad) if dead and rng.random() < 0.05 else rng.randrange(len(keys))
            turn += 1
            rows.append(ROW.pack(slot, slot + int(latency / SLOT), key, bucket(latency), 1))
        measured = not (made.gap and made.gap[0] <= at < made.gap[1])
        hung = made.hangs_from is not None and at >= made.hangs_from
        pending = (
            [(int(made.hangs_from / SLOT), made.names[0], int((at - made.hangs_from) * made.rate) + 1)]
            if hung
            else []
        )
        told.append(
            Chunk(
                load="shoppers",
                worker=0,
                sequence=slot,
                at=at + SLOT,
                watermark=slot + 1,
                keys=[*keys, *bad] if slot == 0 else [],
                rows=b"".join(rows) if measured else b"",
                offered=[(slot, count)] if count and measured else [],
                pending=pending,
                lag=(count, 0.0004 * count, 0.0011),
                cpu=0.21,
                users=12,
            )
        )
    return told


def verdict(made: MadeRun) -> Verdict:
    k, zero, h = scale(made), ZERO * scale(made), made.hostile
    broken = made.outcome is Outcome.FAILED
    findings = made.findings
    if findings is None:
        findings = (
            Finding(assertion="p95 < 150ms", when="steady state before", outcome="held", reason=f"p95 was 41 ms{h}", value=0.0412, limit=0.15, unit="seconds", low=0.0391, high=0.0434, requests=600, start=5 * k, end=zero),
            Finding(assertion=f"error_rate < 2%{h}", when=f"during kill-one{h}", outcome="held", reason="0.8 %", value=0.008, limit=0.02, unit="share", low=0.004, high=0.013, requests=600, start=zero, end=zero + 10 * k),
            Finding(assertion="recovery < 10s", when="after kill-one", outcome="held", reason="1 s", value=1.0, limit=10.0, unit="seconds"),
            Finding(assertion="p95 < 110ms" if broken else "p95 < 250ms", when="during slow-store", outcome="broken" if broken else "held", reason="p95 was 128 ms, 16 % over the limit of 110 ms, in 600 requests" if broken else "p95 was 128 ms", value=0.128, limit=0.11 if broken else 0.25, unit="seconds", low=0.124, high=0.131, requests=600, start=zero + 20 * k, end=zero + 30 * k, file="scenarios/first_steps.yaml", line=41),
        )  # fmt: skip
        if made.outcome is Outcome.INCONCLUSIVE:
            findings += (
                Finding(
                    assertion="rss < 1GiB", when="always", outcome="inconclusive", reason="rss had no samples"
                ),
            )
    return Verdict(
        run="20261122-140300-ab12",
        scenario="first_steps",
        title=title(made),
        hypothesis=f"Killing one of three web replicas fails fewer than 2 % of requests, and the shop is itself again within 10 s.{h}",
        owner=f"shop-sre@example.com{h}",
        environment="local",
        started="2026-11-22T14:03:00Z",
        duration=made.seconds,
        zero=zero,
        outcome=made.outcome,
        reason=f"{REASONS[made.outcome]}{h}",
        findings=findings,
        faults=(
            FaultReport(name=f"kill-one{h}", kind="kill", does=f"kill -9, started again by the undo{h}", instances=(f"shop.2{h}",), confirmed=True, evidence=f"pid 4711 is gone 3 ms after the signal{h}", injected_at=zero, reverted_at=zero + 10 * k, reverted_by="runner"),
            FaultReport(name="slow-store", kind="latency", does="delay 80 ms ± 20 ms", instances=("store",), confirmed=True, evidence="612 packets delayed by 80.2 ms at the median", injected_at=zero + 20 * k, reverted_at=zero + 30 * k, reverted_by="runner"),
        ),
        changes=made.changes,
        notes=made.notes,
    )  # fmt: skip


REASONS = {
    Outcome.PASSED: "4 of 4 assertions held; 2 of 2 faults confirmed",
    Outcome.FAILED: "during slow-store: p95 128 ms, limit 110 ms",
    Outcome.INCONCLUSIVE: "rss had no samples",
    Outcome.HALTED: "error_rate 41 %, over 20 %, 11 s after kill-one",
    Outcome.DIRTY: "store latency could not be healed",
    Outcome.DEFECT: "the watch loop failed",
    Outcome.REFUSED: "nothing was started",
}
