"""The negative control: a fault that hurts one leaves the others alone, and where it does not the verdict says so."""

import os
import signal
import sys

from runner import processes
from runner.errors import Place
from runner.faults import KINDS
from runner.faults.record import Instance
from runner.operations.record import Reading
from runner.plan_record import Window
from runner.processes import state_of
from runner.running import bystander
from runner.running.bystander import Bystander, controls
from runner.scenario import FaultUse
from tests.victims import program, until

PLACE = Place(file="x.yaml", line=1)


def use(kind="pause", **knobs):
    return FaultUse(name="harm", fault=KINDS[kind](**knobs), target="shop", duration=5.0, place=PLACE)


def looked_at(process, *, over=False, lasts=0.3):
    """What the control of a pause of so many seconds says of *process*."""
    window = Window(fault="harm", occurrence=0, start=0.0, end=lasts, instances=("shop.1",), place=PLACE)
    instance = Instance(target="shop", name="shop.0", platform="process", process=process)
    said = []
    control = Bystander(use(), window, instance, run="r", at=lambda: 1.0, record=said.append)
    control.start()
    if over:
        control.over()
    control.join(20)
    return said


def test_a_neighbour_that_runs_on_is_spared_and_one_that_stands_still_is_harmed():
    with program(sys.executable, "-c", "import time; time.sleep(60)") as process:
        assert [one.leaked for one in looked_at(process)] == [False]
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: state_of(process) == "T")
        assert [one.leaked for one in looked_at(process)] == [True]
        os.kill(process.pid, signal.SIGCONT)


def test_it_does_not_look_while_the_harm_has_only_begun(monkeypatch):
    looks = []
    monkeypatch.setattr(bystander, "perform", lambda *_: looks.append("one") or Reading(ok=False))
    me = processes.identify(os.getpid())
    assert looked_at(me, over=True, lasts=60.0) == looks == []
    assert [one.leaked for one in looked_at(me)] == [False]
    assert looks


def test_nobody_whom_another_fault_touches_is_a_control_and_a_fault_of_a_workload_has_none():
    names = ("shop.0", "shop.1", "shop.2")
    assert controls(use(), names, frozenset({"shop.0"})) == ("shop.1", "shop.2")
    assert controls(use("command", do=("true",), undo=("true",)), names, frozenset()) == ()
    assert controls(use("restart"), names, frozenset()) == ()
    assert controls(use("disk_fill", share=0.5), names, frozenset()) == ()
