"""The order of things in one injection: the end of the harm waits for nothing."""

import os
from concurrent.futures import Future

import msgspec
import pytest

from runner import clock, processes
from runner.errors import OperationFailed, Place
from runner.faults import KINDS
from runner.faults.record import Instance
from runner.operations.record import Reading
from runner.plan_record import Window
from runner.running.brake import Brake
from runner.running.injection import Injection
from runner.scenario import FaultUse, Limits
from runner.timeline import Confirmed, Escaped, Note

PLACE = Place(file="x.yaml", line=1)


def done(value):
    future = Future()
    future.set_result(value)
    return future


class Guardian:
    """Does everything at once, and remembers the order of it."""

    def __init__(self):
        self.said = []

    def __getattr__(self, verb):
        def ordered(act):
            self.said.append(verb)
            reading = Reading(ok=True)
            return done({"undo": Undone(), "confirm": (reading,), "inject": (reading,)}.get(verb))

        return ordered


class Undone:
    clean = True


class Decider:
    """Nothing ends early."""

    moves = False

    def wait(self, _name, brake, *, until, ends):
        brake.wait_until(until)
        return False


class Victims:
    """One instance; who was added since is told where anybody can tell."""

    def __init__(self, guardian):
        self._guardian = guardian
        self.there = {"0": Instance(
            target="shop", name="shop.0", platform="process", process=processes.identify(os.getpid())
        )}  # fmt: skip
        self.asked_after = []
        self.problem, self.end = None, ""

    def instance(self, _name):
        return self.there["0"]

    def ended(self, _instance):
        assert "undo" in self._guardian.said
        return self.end

    def present(self, _target):
        self.asked_after.append(tuple(self._guardian.said))
        if self.problem and "undo" in self._guardian.said:
            raise self.problem
        if "inject" in self._guardian.said:
            self.there["1"] = msgspec.structs.replace(self.there["0"], name="shop.1")
        return dict(self.there)


@pytest.fixture
def carried_out():
    """Carry a pause out; return what was recorded, whom it asked, and the brake."""

    def carry_out(problem=None, end=""):
        guardian, recorded, brake = Guardian(), [], Brake(lambda _: None)
        victims = Victims(guardian)
        victims.problem, victims.end = problem, end
        use = FaultUse(name="hold", fault=KINDS["pause"](), target="shop", duration=0.2, place=PLACE)
        window = Window(fault="hold", occurrence=0, start=0.0, end=0.2, instances=("shop.0",), place=PLACE)
        injection = Injection(
            use,
            window,
            run="r",
            controls=(),
            earlier=(),
            zero=clock.now(),
            guardian=guardian,
            victims=victims,
            limits=Limits(),
            record=recorded.append,
            brake=brake,
            decider=Decider(),
            at=clock.now,
        )
        injection.start()
        injection.join(20)
        assert not injection.is_alive()
        return recorded, victims, brake

    return carry_out


def test_who_came_is_looked_for_once_the_undo_is_ordered(carried_out):
    recorded, victims, brake = carried_out()
    assert not brake.pulled
    assert victims.asked_after[0] == ()
    assert all(said[-1] == "undo" for said in victims.asked_after[1:])
    [escaped] = [event for event in recorded if isinstance(event, Escaped)]
    assert escaped.instances == ("shop.1",)
    assert not escaped.joined
    assert not [event for event in recorded if isinstance(event, Confirmed)]


def test_whose_life_ended_before_the_fault_was_not_hurt_to_its_end(carried_out):
    recorded, _, brake = carried_out(end="container x was started again")
    assert not brake.pulled
    [said] = [event for event in recorded if isinstance(event, Confirmed)]
    assert said.ok is False
    assert said.instance == "shop.0"
    assert said.evidence == "none to its end: container x was started again"


def test_a_run_whose_newcomers_nobody_can_tell_goes_on_and_says_so(carried_out):
    recorded, _, brake = carried_out(OperationFailed("the API server does not answer"))
    assert not brake.pulled
    [note] = [event for event in recorded if isinstance(event, Note)]
    assert note.level == "warning"
    assert "the API server does not answer" in note.text
