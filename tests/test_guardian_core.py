"""The guardian's core, driven through interleavings without processes, disk or clock."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner.clock import TimeAnchor
from runner.guardian import journal, messages, orders
from runner.guardian.core import Core
from runner.guardian.life import ATTEMPTS
from runner.operations.record import Act, CheckProcess, Reading, Run, Spawn

LEASE = 2.0
ANCHOR = TimeAnchor(boot="b", monotonic=0.0, boottime=0.0, wall=0.0)
FINE = (Reading(evidence="as wanted"),)


def act(name: str, **changes) -> Act:
    steps = {verb: (Run(argv=(verb, name)),) for verb in ("do", "undo", "confirm")}
    return Act(
        **{"id": name, "fault": name, "kind": "k", "instance": "i", "deadline": 4.0, **steps, **changes}
    )


class Desk:
    """A core with everything it ordered, for tests that play the rest of the world by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.core = Core(lease=LEASE, now=self.now)
        self.all: list[orders.Order] = []
        self.feed(orders.Hands(24))

    def feed(self, event: orders.Event) -> list[orders.Order]:
        given = self.core.step(event, self.now)
        self.all += given
        return given

    def wait(self, seconds: float) -> list[orders.Order]:
        """Let time pass as the loop would: a tick at every deadline; the runner goes on beating."""
        given, until = [], self.now + seconds
        while self.now < until:
            self.now = min(until, max(self.now + 1e-6, self.core.next_deadline()))
            given += self.feed(messages.Beat()) + self.feed(orders.Tick())
        return given

    def arm(self, *acts: Act) -> None:
        for each in acts:
            self.feed(messages.Arm(act=each, request=1))
            self.feed(orders.Written(self.of(orders.Write)[-1].ticket))

    def inject(self, name: str) -> int:
        self.feed(messages.Inject(act=name, request=2))
        return self.of(orders.Perform)[-1].task

    def injected(self, *acts: Act) -> None:
        self.arm(*acts)
        for each in acts:
            self.feed(orders.Done(self.inject(each.id), FINE))

    def of(self, kind: type) -> list:
        return [order for order in self.all if isinstance(order, kind)]

    def says(self, kind: type) -> list:
        return [say.reply for say in self.of(orders.Say) if isinstance(say.reply, kind)]

    def performed(self, purpose: str) -> list[str]:
        return [order.operations[0].argv[1] for order in self.of(orders.Perform) if order.purpose == purpose]

    def state(self, name: str) -> str | None:
        return self.core.acts[name].state

    def last_task(self) -> int:
        return self.of(orders.Perform)[-1].task


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_armed_is_said_only_when_the_way_back_is_on_disk_and_a_hand_is_warm(desk):
    desk.feed(orders.Hands(0))
    desk.feed(messages.Arm(act=act("a"), request=1))
    desk.feed(orders.Hands(1))
    assert not desk.says(messages.IsArmed)
    desk.feed(orders.Hands(0))
    desk.feed(orders.Written(desk.of(orders.Write)[-1].ticket))
    assert not desk.says(messages.IsArmed)
    desk.feed(orders.Hands(1))
    assert desk.says(messages.IsArmed)


def test_hands_are_warm_before_the_acts_that_are_expected_come(desk):
    desk.feed(messages.Expect(acts=50))
    warm = desk.of(orders.Want)[-1]
    assert (warm.ready, warm.reserve) == (24, 0)
    for number in range(50):
        desk.feed(messages.Arm(act=act(f"a{number}"), request=number + 1))
    assert max(want.ready for want in desk.of(orders.Want)) == warm.ready


def test_an_act_that_cannot_be_undone_needs_no_hand_for_it(desk):
    desk.feed(orders.Hands(0))
    desk.feed(messages.Arm(act=msgspec.structs.replace(act("a"), undo=()), request=1))
    desk.feed(orders.Written(desk.of(orders.Write)[-1].ticket))
    assert desk.says(messages.IsArmed)


def test_nothing_is_injected_before_it_is_armed(desk):
    desk.feed(messages.Arm(act=act("a"), request=1))
    desk.feed(messages.Inject(act="a", request=2))
    assert "not armed yet" in desk.says(messages.Refusal)[0].reason
    assert not desk.of(orders.Perform)


def test_a_journal_that_cannot_be_written_refuses_to_arm(desk):
    desk.feed(messages.Arm(act=act("a"), request=1))
    desk.feed(orders.WriteFailed(desk.of(orders.Write)[-1].ticket, "No space left on device"))
    assert "No space left" in desk.says(messages.Refusal)[0].reason
    assert "a" not in desk.core.acts


def test_an_act_that_was_never_injected_is_clean_without_being_touched(desk):
    desk.arm(act("a"))
    desk.feed(messages.Undo(act="a", request=3))
    assert desk.says(messages.Undone)[0].clean
    assert not desk.of(orders.Perform)


def test_a_halt_kills_the_hand_undoes_at_once_and_again_when_the_hand_has_ended(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(messages.UndoAll(rank_at_least=1, request=3))
    assert orders.Kill(doing) in desk.all
    assert desk.performed("undo") == ["a"]
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "undoing"  # the killed hand could still land
    desk.feed(orders.Lost(doing, "killed"))
    assert desk.performed("undo") == ["a", "a"]
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "clean"
    assert desk.says(messages.AllUndone)


def test_an_undo_that_ran_while_the_hand_ended_is_done_again(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(messages.Undo(act="a", request=3))
    early = desk.last_task()
    desk.feed(orders.Lost(doing, "killed"))
    desk.feed(orders.Done(early, FINE))
    assert desk.state("a") == "undoing"
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "clean"


def test_a_hand_that_dies_without_a_result_may_have_done_it_so_it_is_undone(desk):
    desk.arm(act("a"))
    desk.feed(orders.Lost(desk.inject("a"), "its hand died of signal 9"))
    assert "signal 9" in desk.says(messages.Failed)[0].reason
    assert desk.performed("undo") == ["a"]


def test_an_injection_that_hangs_is_killed_at_its_deadline_and_undone(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.wait(4.1)
    assert orders.Kill(doing) in desk.all
    assert desk.performed("undo") == ["a"]


def test_what_is_held_is_let_go_before_it_is_undone(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(orders.Holding(doing, FINE))
    assert desk.state("a") == "injected"
    desk.feed(messages.Undo(act="a", request=3))
    assert orders.Release(doing) in desk.all
    assert not desk.performed("undo")
    desk.feed(orders.Done(doing))
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "clean"
    assert desk.performed("undo") == ["a"]


def test_a_holding_hand_that_does_not_let_go_is_killed_and_the_undo_does_not_wait(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(orders.Holding(doing, FINE))
    desk.feed(messages.Undo(act="a", request=3))
    desk.wait(0.11)
    assert orders.Kill(doing) in desk.all
    assert desk.performed("undo") == ["a"]


def test_a_holding_hand_that_dies_ends_the_injection_with_an_undo(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(orders.Holding(doing, FINE))
    desk.feed(orders.Lost(doing, "its hand died of signal 9"))
    assert desk.performed("undo") == ["a"]


def test_a_failed_undo_is_tried_again_and_then_dirty_with_a_remedy(desk):
    desk.injected(act("a"))
    desk.feed(messages.Undo(act="a", request=3))
    for _ in range(ATTEMPTS):
        desk.feed(orders.Done(desk.last_task(), (), "run: it exploded"))
        desk.wait(0.5)
    assert desk.performed("undo") == ["a"] * ATTEMPTS
    answer = desk.says(messages.Undone)[0]
    assert not answer.clean
    assert answer.evidence == "run: it exploded"
    assert answer.remedy == "undo a by hand: undo a"


def test_an_undo_that_no_reading_verifies_is_not_clean(desk):
    desk.injected(act("a"))
    desk.feed(messages.Undo(act="a", request=3))
    for _ in range(ATTEMPTS):
        desk.feed(orders.Done(desk.last_task(), (Reading(ok=None, evidence="cannot tell"),)))
        desk.wait(0.5)
    assert desk.state("a") == "dirty"


def test_a_hung_undo_is_given_to_another_hand(desk):
    desk.injected(act("a"))
    desk.feed(messages.Undo(act="a", request=3))
    hung = desk.last_task()
    desk.wait(4.2)
    assert orders.Kill(hung) in desk.all
    assert desk.last_task() != hung
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "clean"


def test_one_hung_undo_delays_nobody_of_its_rank(desk):
    desk.injected(act("a"), act("b"))
    desk.feed(messages.UndoAll(rank_at_least=1, request=3))
    assert desk.performed("undo") == ["a", "b"]
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("b") == "clean"


def test_what_was_started_is_stopped_after_the_faults_are_undone(desk):
    desk.injected(act("start", rank=0), act("a"))
    desk.feed(messages.UndoAll(rank_at_least=0, request=3))
    assert desk.performed("undo") == ["a"]
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.performed("undo") == ["a", "start"]


def test_what_was_started_is_stopped_when_a_fault_is_past_its_deadline(desk):
    desk.injected(act("start", rank=0), act("a"))
    desk.feed(messages.UndoAll(rank_at_least=0, request=3))
    desk.wait(4.1)
    assert "start" in desk.performed("undo")


def test_a_hand_that_cannot_be_ended_leaves_its_act_dirty_until_it_has(desk):
    desk.arm(act("a"))
    doing = desk.inject("a")
    desk.feed(messages.Undo(act="a", request=3))
    desk.feed(orders.Done(desk.last_task(), FINE))
    desk.wait(4.1)
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "dirty"
    desk.feed(orders.Lost(doing, "thawed at last"))
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.state("a") == "clean"


def test_a_silent_runner_is_killed_and_everything_undone(desk):
    desk.injected(act("a"))
    desk.now += LEASE
    desk.feed(orders.Tick())
    assert orders.KillRunner() in desk.all
    assert desk.performed("undo") == ["a"]


def test_a_guardian_that_wakes_late_hears_what_was_said_before_it_judges(desk):
    desk.now += LEASE * 5
    desk.feed(messages.Beat())
    desk.feed(orders.Tick())
    assert not desk.core.taken_over


def test_a_dead_runners_last_words_inject_nothing(desk):
    desk.arm(act("a"))
    desk.feed(orders.RunnerGone("it died"))
    desk.feed(messages.Inject(act="a", request=2))
    assert not desk.of(orders.Perform)


def test_after_a_takeover_nothing_is_started_again(desk):
    born = CheckProcess(expect="born", run="r", instance="i")
    desk.injected(act("a", undo=(Spawn(run="r", instance="i", argv=("x",)), born)))
    desk.feed(orders.RunnerGone("it died"))
    assert not [order for order in desk.of(orders.Perform) if order.purpose == "undo"]
    assert desk.state("a") == "clean"


def test_after_an_undo_of_all_nothing_of_that_rank_is_injected(desk):
    desk.arm(act("a"), act("b"))
    desk.feed(messages.UndoAll(rank_at_least=1, request=3))
    desk.feed(messages.Inject(act="a", request=4))
    desk.feed(messages.Arm(act=act("c"), request=5))
    assert len(desk.says(messages.Refusal)) == 2
    assert not desk.of(orders.Perform)


def test_a_confirmation_cut_short_by_the_undo_tells_nothing(desk):
    desk.injected(act("a"))
    desk.feed(messages.Confirm(act="a", request=7))
    reading = desk.last_task()
    desk.feed(messages.Undo(act="a", request=8))
    assert orders.Kill(reading) in desk.all
    desk.feed(orders.Done(reading, (Reading(ok=False, evidence="not stopped"),)))
    said = desk.says(messages.WasConfirmed)[0].readings[0]
    assert (said.ok, said.looked) == (None, False)


def test_farewell_undoes_what_is_left_and_ends(desk):
    desk.injected(act("start", rank=0))
    desk.feed(messages.Bye(request=9))
    assert not desk.core.finished
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.core.finished
    assert desk.of(orders.Finish) == [orders.Finish((), 9, ())]


def test_a_rollback_undoes_what_the_journal_says(desk):
    desk.core.restore((act("a"), act("start", rank=0)))
    desk.feed(orders.RunnerGone("rollback"))
    desk.feed(orders.Done(desk.last_task(), FINE))
    desk.feed(orders.Done(desk.last_task(), FINE))
    assert desk.performed("undo") == ["a", "start"]
    desk.feed(orders.Purged())
    assert desk.core.finished


class Interleavings(RuleBasedStateMachine):
    """The world around the core: a runner that may die or hang, hands that land late, a disk that may fail.

    harm: an act whose do has landed and whose undo has not. It must be on disk before it can exist; `clean`
    must mean that there is none and none can come; and in the end everything is clean.
    """

    @initialize()
    def begin(self) -> None:
        self.now, self.core = 50.0, Core(lease=LEASE, now=50.0)
        self.disk: set[str] = set()
        self.writes: list[orders.Write] = []
        self.tasks: dict[int, orders.Perform] = {}
        self.killed: set[int] = set()
        self.harm: set[str] = set()
        self.known: list[str] = []
        self.runner, self.done, self.failures = True, False, 0
        self.feed(orders.Hands(40))

    def feed(self, event: orders.Event) -> None:
        for order in self.core.step(event, self.now):
            match order:
                case orders.Write():
                    self.writes.append(order)
                case orders.Perform():
                    assert order.purpose != "do" or self.subject(order) in self.disk, (
                        "injected before it was armed"
                    )
                    assert order.purpose != "do" or not self.core.taken_over
                    self.tasks[order.task] = order
                case orders.Kill(task=task) if task in self.tasks:
                    self.killed.add(task)
                case orders.Release(task=task) if task in self.tasks:
                    self.killed.add(task)
                case orders.Purge():
                    self.purge = True
                    assert all(life.settled for life in self.core.acts.values())
                case orders.Finish():
                    self.done = True
                case _:
                    pass

    @staticmethod
    def subject(order: orders.Perform) -> str:
        return order.operations[0].argv[1]

    def task(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.tasks)))

    @precondition(lambda self: self.runner and len(self.known) < 6)
    @rule(rank=st.integers(0, 1))
    def arm(self, rank: int) -> None:
        self.known.append(f"a{len(self.known)}")
        self.feed(messages.Arm(act=act(self.known[-1], rank=rank), request=1))

    @precondition(lambda self: self.runner and len(self.known) < 6 and not self.writes)
    @rule(rank=st.integers(0, 1))
    def arm_and_inject(self, rank: int) -> None:
        self.arm(rank)
        while self.writes:
            self.disk_answers(False)
        self.feed(messages.Inject(act=self.known[-1], request=2))

    @precondition(lambda self: self.runner and self.known)
    @rule(data=st.data(), verb=st.sampled_from((messages.Inject, messages.Confirm, messages.Undo)))
    def ask(self, data: st.DataObject, verb) -> None:
        self.feed(verb(act=data.draw(st.sampled_from(self.known)), request=2))

    @precondition(lambda self: self.runner)
    @rule(floor=st.integers(0, 1), seldom=st.integers(0, 5))
    def undo_all(self, floor: int, seldom: int) -> None:
        if not seldom:
            self.feed(messages.UndoAll(rank_at_least=floor, request=3))

    @precondition(lambda self: self.runner)
    @rule()
    def beat(self) -> None:
        self.feed(messages.Beat())

    @precondition(lambda self: self.runner)
    @rule(seldom=st.integers(0, 9))
    def runner_dies(self, seldom: int) -> None:
        if seldom:
            return
        self.runner = False
        self.feed(orders.RunnerGone("it died"))

    @precondition(lambda self: self.writes)
    @rule(fails=st.booleans())
    def disk_answers(self, fails: bool) -> None:
        write = self.writes.pop(0)
        if isinstance(write.record, journal.Armed) and not fails:
            self.disk.add(write.record.act.id)
        if write.ticket:
            self.feed(orders.WriteFailed(write.ticket, "full") if fails else orders.Written(write.ticket))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def lands_without_a_word(self, data: st.DataObject) -> None:
        self.land(self.tasks[self.task(data)])

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def succeeds(self, data: st.DataObject) -> None:
        task = self.task(data)
        self.land(self.tasks[task])
        self.end(task, orders.Done(task, FINE))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), landed=st.booleans())
    def fails(self, data: st.DataObject, landed: bool) -> None:
        task = self.task(data)
        if landed:
            self.land(self.tasks[task])
        self.end(task, orders.Done(task, (), "it failed"))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def hand_ends(self, data: st.DataObject) -> None:
        task = self.task(data)
        self.end(task, orders.Lost(task, "its hand died"))

    @precondition(lambda self: any(task.purpose == "do" for task in self.tasks.values()))
    @rule(data=st.data())
    def is_held(self, data: st.DataObject) -> None:
        task = data.draw(
            st.sampled_from(sorted(t for t, order in self.tasks.items() if order.purpose == "do"))
        )
        self.land(self.tasks[task])
        self.feed(orders.Holding(task, FINE))

    @rule(seconds=st.sampled_from((0.01, 0.06, 0.2, 0.9, 2.5)), hangs=st.integers(0, 9))
    def time_passes(self, seconds: float, hangs: int) -> None:
        """The runner's words of this time are heard first, unless it hangs."""
        self.now += seconds
        if hangs and self.runner:
            self.feed(messages.Beat())
        self.feed(orders.Tick())

    def land(self, order: orders.Perform) -> None:
        if order.purpose == "do":
            self.harm.add(self.subject(order))
        elif order.purpose == "undo":
            self.harm.discard(self.subject(order))

    def end(self, task: int, event: orders.Event) -> None:
        del self.tasks[task]
        self.killed.discard(task)
        self.feed(event)

    @invariant()
    def harm_is_on_record(self) -> None:
        if hasattr(self, "core"):
            assert self.harm <= self.disk

    @invariant()
    def clean_means_that_nothing_is_and_nothing_can_come(self) -> None:
        if not hasattr(self, "core"):
            return
        may_land = {self.subject(order) for order in self.tasks.values() if order.purpose == "do"}
        for name, life in self.core.acts.items():
            if life.state == "clean":
                assert name not in self.harm | may_land

    def teardown(self) -> None:
        """From here on the world is fair: everything must become clean, in bounded time."""
        if not hasattr(self, "core"):
            return
        self.purge = False
        hopeless = {
            name for name, life in self.core.acts.items() if self.core.taken_over and life.state == "dirty"
        }
        began = self.now
        self.runner_dies(0)
        for _ in range(300):
            while self.writes:
                self.disk_answers(False)
            for task, order in sorted(self.tasks.items()):
                if task in self.killed or order.purpose == "confirm":
                    self.end(task, orders.Lost(task, "killed"))
                elif order.purpose == "undo":
                    self.land(order)
                    self.end(task, orders.Done(task, FINE))
            self.now = max(self.now, self.core.next_deadline())
            self.feed(orders.Tick())
            if all(life.settled for life in self.core.acts.values()):
                break
        for name, life in self.core.acts.items():
            assert life.state == "clean" or name in hopeless, (name, life.state)
        assert self.harm <= hopeless
        assert self.now - began < 60
        if not self.done:
            self.feed(orders.Purged())
        assert self.done


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=120,
    stateful_step_count=50,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
