"""What is held is held exactly, costs little, and is let go of whatever happens."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.cpu_time import capacity, cpu_time
from runner.operations.holding import Duty, Squeezed
from runner.operations.record import Ballast, CheckShare, Identity, Reading, Signal, Squeeze
from runner.processes import state_of
from tests.victims import done, one, program, until

MIB = 1 << 20
# sha256 of so much at once runs outside the interpreter's lock: the threads really are parallel
BUSY = "import hashlib, threading\ndef spin():\n while True: hashlib.sha256(block)\nblock = bytes(1 << 20)\n"
LONG_ENOUGH = 8.0  # seconds
BUSY_ONCE = "while True: pass"
BUSY_TWICE = BUSY + "[threading.Thread(target=spin).start() for _ in range(2)]"


@pytest.fixture(params=[(BUSY_ONCE, 1), (BUSY_TWICE, 2)], ids=["one-thread", "two-threads"])
def busy(request):
    code, threads = request.param
    with program(sys.executable, "-c", code) as process:
        until(lambda: sum(seconds > 0.05 for seconds in _of_threads(process)) >= threads)
        yield process


def _wanted(process: Identity) -> float:
    """Seconds that its threads ran or waited for a CPU: at least what it would have without other load (schedstat).

    The sum, for they take turns: whoever waits for the interpreter's lock waits for no CPU.
    """
    return sum(_of_threads(process))


def _of_threads(process: Identity) -> list[float]:
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return [sum(int(word) for word in thread.read_text().split()[:2]) / 1e9 for thread in threads]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_busy_process_gets_the_share_asked_for(busy, share):
    cpus = capacity([busy])
    with done([Squeeze(processes=(busy,), share=share)]) as (held,):
        begun, used, wanted = time.monotonic(), cpu_time(busy), _wanted(busy)
        seconds = ran = got = could = 0.0
        while seconds < LONG_ENOUGH and not (ran == pytest.approx(share, abs=0.03) and got <= share + 0.03):
            time.sleep(1.0)  # what others on this machine made too long is made good: the mean tells
            seconds, ran = time.monotonic() - begun, _ran(held)
            got, could = (cpu_time(busy) - used) / seconds / cpus, (_wanted(busy) - wanted) / seconds
    assert ran == pytest.approx(share, abs=0.03)
    assert got <= share + 0.03
    assert could >= 0.5 * share, "other load on this machine cannot explain that it got less"
    assert state_of(busy) != "T"


def _ran(held: Squeezed) -> float:
    return float(re.search(r"ran ([\d.]+)% of", held.reading.evidence)[1]) / 100


def test_a_squeeze_says_whom_it_holds_and_what_that_costs():
    with (
        program(sys.executable, "-c", BUSY_ONCE) as process,
        done([Squeeze(processes=(process,), share=0.3)]) as (held,),
    ):
        assert held.reading.processes == (process,)
        time.sleep(0.5)
        cost = re.search(r"cost ([\d.]+)% of a CPU", held.reading.evidence)[1]
    assert float(cost) < 5


def test_a_squeeze_is_seen_by_the_check_also_on_an_idle_process():
    with program("sleep", "60") as process, done([Squeeze(processes=(process,), share=0.2)]):
        assert one(perform(CheckShare(processes=(process,), most=0.2, window=0.2), Context())).ok is True


def test_who_happens_to_use_as_much_as_a_squeeze_would_leave_is_not_squeezed():
    with program(sys.executable, "-c", BUSY_ONCE) as process:
        check = CheckShare(processes=(process,), most=0.97, window=0.2)
        until(lambda: one(perform(check, Context())).ok)
        assert one(perform(msgspec.structs.replace(check, stops=True), Context())).ok is None


def test_release_twice_and_after_the_end_is_harmless():
    with program("sleep", "60") as process:
        held = perform(Squeeze(processes=(process,), share=0.2), Context())
        held.tick()
        held.release()
        held.release()
        assert state_of(process) in ("S", "R")
        assert held.tick() == float("inf")


def test_who_squeezes_wakes_before_others_and_is_as_they_are_afterwards():
    with program("sleep", "60") as process:
        held = perform(Squeeze(processes=(process,), share=0.2), Context())
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
        held.tick()
        try:
            if os.geteuid() == 0:
                assert os.sched_getscheduler(0) == os.SCHED_RR | os.SCHED_RESET_ON_FORK
        finally:
            held.release()
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_who_dies_while_it_is_held_is_let_go():
    with program("sleep", "60") as process, program("sleep", "60") as other:
        held = perform(Squeeze(processes=(process, other), share=0.2), Context())
        held.tick()
        assert one(perform(Signal(process=process, signal="KILL"), Context())).ok
        for _ in range(3):
            held.tick()
        assert held.reading.processes == (other,)
        held.release()


def test_nobody_to_hold_is_no_success():
    gone = Identity(pid=4_000_000, started=1, boot="another")
    assert one(perform(Squeeze(processes=(gone,), share=0.2), Context())).ok is False


def test_a_hand_that_was_killed_leaves_what_its_undo_heals():
    with program("sleep", "60") as process:
        order = msgspec.json.encode(Squeeze(processes=(process,), share=0.01, period=1.0)).decode()
        code = (
            "import sys, time, msgspec; from runner.operations import perform, Context;"
            "from runner.operations.record import Squeeze;"
            "held = perform(msgspec.json.decode(sys.argv[1], type=Squeeze), Context())\n"
            "while True: time.sleep(held.tick())"
        )
        with subprocess.Popen([sys.executable, "-c", code, order]) as hand:
            until(lambda: state_of(process) == "T")
            hand.kill()
            hand.wait()
        if state_of(process) != "T":  # killed in one of its brief runs
            process_stands = one(perform(Signal(process=process, signal="STOP"), Context()))
            assert process_stands.ok
        assert one(perform(Signal(process=process, signal="CONT"), Context())).ok
        assert state_of(process) in ("S", "R")


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 1000), st.floats(0, 0.02))
def test_slices_that_come_out_long_are_made_good(share, seed, late):
    chance, duty = random.Random(seed), Duty(share, 0.05)
    ran = stood = 0.0
    while ran + stood < 100:
        run = duty.run_slice() + late * chance.random()
        duty.ran(run)
        stand = duty.stop_slice() + late * chance.random()
        duty.stood(stand)
        ran, stood = ran + run, stood + stand
    bound = 0.01 if late < 0.01 and 0.05 < share < 0.9 else 0.15
    assert ran / (ran + stood) == pytest.approx(share, abs=bound)


def test_a_ballast_is_really_taken_and_given_back():
    before = _resident()
    held = perform(Ballast(size=100 * MIB), Context())
    assert not isinstance(held, Reading)
    assert _resident() - before > 90 * MIB
    assert held.tick() == float("inf")
    held.release()
    held.release()
    assert _resident() - before < 20 * MIB


def test_who_holds_a_ballast_is_the_first_to_die_of_it():
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text()
    held = perform(Ballast(size=MIB), Context())
    assert score.read_text().strip() == "1000"
    held.release()
    assert score.read_text() == before


def test_a_ballast_that_would_leave_too_little_is_refused():
    size = int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) * 1024
    before = _resident()
    with pytest.raises(
        OperationFailed, match=r"leaves less than 10% of the machine available .*: make it smaller"
    ):
        perform(Ballast(size=size), Context())
    assert _resident() - before < 20 * MIB


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
