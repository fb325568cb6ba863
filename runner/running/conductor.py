"""Carry out a plan. The only module that knows the order of things; whatever happens, all is undone."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from runner import __version__, clock
from runner.clock import TimeAnchor
from runner.errors import GuardianLost, SquallError
from runner.guardian.client import GuardianClient
from runner.guardian.rollback import rollback
from runner.guardian.state import MachineLock
from runner.halts import HaltRules
from runner.indicators import Sampler, ask_expected
from runner.live import LiveWindow
from runner.load.frames import SLOT, Chunk
from runner.plan_record import Plan
from runner.planning.preparation import give_up_reserve
from runner.record import Record
from runner.running.brake import Brake, Halted
from runner.running.control import Control
from runner.running.crowds import Crowds, stages_begun
from runner.running.decider import Decider
from runner.running.drawing import Drawing
from runner.running.injecting import inject_all, most_at_once
from runner.running.victims import Victims
from runner.running.watch import Watch, Watched
from runner.targets.lineup import Lineup
from runner.timeline import (
    ActChanged,
    Cause,
    Event,
    HaltPulled,
    Note,
    NoteLevel,
    Phase,
    PhaseName,
    Sample,
    Started,
    Timeline,
)
from runner.view import View

READY = 20.0  # seconds for load workers to import their locustfile
LEAD = 0.15  # seconds between the order to begin and the first arrival
SETTLE = 1.5  # seconds at most until the workers' watermarks have passed t = 0
STOP_GRACE = 3.0  # seconds for a load worker to send its last chunk


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place: the folder of its record and what preparation found out."""

    folder: Path
    found: Lineup
    ports: dict[str, tuple[int, ...]]
    variables: Mapping[str, str]
    lease: float = 2.0


class Conductor:
    """One run. `conduct` returns when everything is undone and the record is closed."""

    def __init__(self, plan: Plan, stage: Stage, *, lock: MachineLock, view: View) -> None:
        self.plan, self.stage, self._lock, self._view = plan, stage, lock, view
        self.anchor: TimeAnchor = clock.anchor()
        self.brake = Brake(self._on_halt)
        self.timeline = Timeline(stage.folder / "timeline.jsonl", self._disk_failed)
        self.window = LiveWindow(plan)
        self.rules = HaltRules(plan)
        self.decider = Decider(plan, record=self.record, tell=self.timeline.add, at=self.anchor.at)
        self.timeline.listeners += [view.event, self.rules.follow, self.decider.follow]
        self._armed_rules = False
        self._victims = Victims(
            plan.environment, run=plan.run, folder=stage.folder, sockets=lock.folder, found=stage.found
        )
        self._guardian: GuardianClient | None = None
        self.watch: Watch | None = None

    def conduct(self) -> None:
        """Carry the plan out. Raises Refused where it cannot start; nothing is left behind even then."""
        self.timeline.add(Started(at=0.0, run=self.plan.run, version=__version__, anchor=self.anchor))
        with ExitStack() as leaving:
            leaving.callback(self.timeline.close)
            control = Control(self._lock.folder, self.plan.run)
            leaving.callback(control.close)
            crowds = self._crowds()
            leaving.callback(crowds.close)
            leaving.callback(crowds.stop, STOP_GRACE)  # should no guardian start
            crowds.start()  # importing Locust takes longest; without us its workers go home by themselves
            guardian = self._start_guardian()
            for crowd in crowds.members:
                guardian.adopt(crowd.pid)
            watched = Watched(
                beat=guardian.beat,
                rules=self._judge,
                lost_guardian=lambda: guardian.lost_reason if guardian.lost.is_set() else "",
                lost_load=crowds.lost,
            )
            self.watch = Watch(watched, brake=self.brake, anchor=self.anchor, control=control)
            leaving.enter_context(self.watch)
            leaving.callback(self._end, guardian)  # beats go on: a slow farewell is no reason for a takeover
            leaving.enter_context(Drawing(self._view, self.window, self.anchor))
            leaving.callback(self._undo, guardian)
            leaving.callback(crowds.stop, STOP_GRACE)  # before the targets: or its last requests would fail
            try:
                self._perform(crowds, guardian)
            except Halted:
                return
            except GuardianLost as lost:
                self._pull("guardian", str(lost))
            except SquallError:
                raise  # it says in one line why this run cannot be
            except Exception as defect:  # noqa: BLE001 - whatever failed in us, all is undone and the record says so
                log = self.stage.folder / "logs" / "defect.log"
                log.write_text(traceback.format_exc(), encoding="utf-8")
                self._pull("defect", f"{type(defect).__name__}: {defect} (see logs/defect.log)")

    def record(self) -> Record:
        """Read the record; what the disk did not take is still in memory."""
        return replace(Record.load(self.stage.folder), events=tuple(self.timeline.events))

    def _perform(self, crowds: Crowds, guardian: GuardianClient) -> None:
        """The phases in their order."""
        scenario = self.plan.scenario
        crowds.wait_ready(READY)
        self._phase("targets")
        self._victims.start(guardian, dict(self.stage.ports), go_on=self.brake.check)
        guardian.expect(most_at_once(self.plan))
        begins = self.anchor.at() + LEAD
        crowds.begin(begins)
        self.window.expect(begins)
        sampler = Sampler.of(
            self.plan, instances=self._victims.instances, at=self.anchor.at, emit=self._take_sample
        )
        sampler.start()
        ask_expected(self.plan, at=self.anchor.at, tell=self.timeline.add)
        try:
            self._phase("warmup", begins)
            zero = begins + scenario.warmup + scenario.before
            for begun in stages_begun(self.plan, zero):
                self.timeline.add(begun)
            importlib.import_module("runner.verdict.judge")  # slow: neither at the start nor at t = 0
            self.rules.prepare()
            self.decider.prepare()
            self._sleep_until(begins + scenario.warmup)
            self._armed_rules = True
            self._phase("before", begins + scenario.warmup)
            self._sleep_until(zero)
            self._phase("faults", zero)
            if self._steady(zero):
                ended = self._faults(guardian, zero)
                self._phase("after", ended)
                self.decider.wait_for_end(self.brake, zero=zero, after=ended)
        finally:
            self._armed_rules = False  # what ends now is no lack of evidence
            sampler.stop()

    def _faults(self, guardian: GuardianClient, zero: float) -> float:
        """Carry out every window (of a calm plan, let them pass); return when the last undo was done."""
        if self.plan.calm:
            self._sleep_until(zero + self.plan.faults_end)
            return zero + self.plan.faults_end
        inject_all(
            self.plan,
            zero=self.anchor.monotonic + zero,
            guardian=guardian,
            victims=self._victims,
            limits=self.plan.environment.limits,
            record=self.timeline.add,
            brake=self.brake,
            decider=self.decider,
            at=self.anchor.at,
        )
        self.brake.check()
        return self.anchor.at()

    def _steady(self, zero: float) -> bool:
        """Wait for the evidence of the time before, and say whether the steady state held."""
        patience = clock.now() + SETTLE
        while not self.window.settled(int(zero / SLOT)) and clock.now() < patience:
            self.brake.wait_until(clock.now() + 0.02)
        record = self.record()
        from runner.verdict.judge import steady_findings  # noqa: PLC0415 - numpy: imported while the load warmed up

        findings = steady_findings(self.plan, record, "before")
        self.decider.know_before(record)
        for level, text in self.rules.know_baseline(self.plan, record):
            self._note(level, text)
        broken = [finding for finding in findings if finding.outcome != "held"]
        for one in broken:
            why = f"{one.assertion}: {one.reason}"
            self._note("invalid", f"not steady before, so nothing was injected: {why}")
        return not broken

    def _judge(self, at: float) -> HaltPulled | None:
        halt = self.rules.judge(self.window, at) if self._armed_rules else None
        if halt is None and self._armed_rules:
            self.rules.tell(self.timeline.add, at)
            self.decider.look(self.window, at)
        return halt

    def _told(self, event: Event) -> None:
        """Take the guardian's news: without its hold on a fault, the run knows no longer what it measures."""
        self.timeline.add(event)
        if isinstance(event, ActChanged) and event.fault and event.early == "lost":
            self._pull("evidence", f"{event.fault} was lost on {event.instance}: {event.evidence}")

    def _on_halt(self, halt: HaltPulled) -> None:
        """Undo first; only then is there time to write down why."""
        if self._guardian is not None and not self._guardian.lost.is_set():
            self._guardian.undo_all(rank_at_least=1)
        self._armed_rules = False
        self.rules.tell(self.timeline.add, halt.at)
        self.timeline.add(halt)

    def _undo(self, guardian: GuardianClient) -> None:
        """Everything back: faults, then proxies and managed processes. A lost guardian is replaced by a rollback."""
        try:
            guardian.undo_all(rank_at_least=1).result(guardian.undone_within)
            guardian.undo_all(rank_at_least=0).result(guardian.undone_within)
        except (GuardianLost, TimeoutError) as lost:
            self._pull("guardian", str(lost) or "the guardian did not answer")

    def _end(self, guardian: GuardianClient) -> None:
        """Close what is closed last; after this nothing of the run lives."""
        guardian.copy_journal(self.stage.folder / "journal.jsonl")
        if guardian.lost.is_set() or not guardian.close():
            guardian.kill()
            for event in self._rolled_back():
                self.timeline.add(event)
        self._phase("end")

    def _rolled_back(self) -> tuple[Event, ...]:
        """Undo what a lost guardian left; where that cannot even begin, all that was not clean is dirty."""
        try:
            return rollback(self._lock.folder, run=self.plan.run, anchor=self.anchor).events
        except SquallError as error:
            last = {each.act: each for each in self.timeline.events if isinstance(each, ActChanged)}
            how = {"by": "rollback", "evidence": str(error), "remedy": "run `squall rollback`", "early": ""}
            left = (each for each in last.values() if each.state != "clean")
            return tuple(
                msgspec.structs.replace(each, at=self.anchor.at(), state="dirty", **how) for each in left
            )

    def _start_guardian(self) -> GuardianClient:
        self._guardian = GuardianClient.start(
            run=self.plan.run,
            state=self._lock.folder,
            lock_fd=self._lock.descriptor,
            report=self.stage.folder,
            anchor=self.anchor,
            lease=self.stage.lease,
            on_event=self._told,
        )
        return self._guardian

    def _crowds(self) -> Crowds:
        return Crowds(
            self.plan.scenario.loads,
            anchor=self.anchor,
            run=self.plan.run,
            folder=self.stage.folder,
            variables=self.stage.variables,
            on_chunk=self._take,
            on_disk_failure=self._disk_failed,
        )

    def _take(self, chunk: Chunk) -> None:
        self.window.add_chunk(chunk)
        if self.watch is not None:
            self.watch.look()  # a tick later would be 50 ms more of harm

    def _take_sample(self, sample: Sample) -> None:
        self.timeline.add(sample)
        self.window.add_sample(sample)

    def _disk_failed(self, error: OSError) -> None:
        give_up_reserve(self.stage.folder)
        self._pull("disk", f"the record cannot be written any more: {error.strerror}")

    def _sleep_until(self, at: float) -> None:
        self.brake.wait_until(self.anchor.monotonic + at)

    def _phase(self, name: PhaseName, at: float | None = None) -> None:
        self.timeline.add(Phase(at=self.anchor.at() if at is None else at, name=name))

    def _note(self, level: NoteLevel, text: str) -> None:
        self.timeline.add(Note(at=self.anchor.at(), level=level, text=text))

    def _pull(self, cause: Cause, reason: str) -> None:
        self.brake.pull(HaltPulled(at=self.anchor.at(), cause=cause, reason=reason))
