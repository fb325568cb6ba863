"""Every fault kind keeps the same promises: pure to compile, real harm, a whole way back."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from runner.errors import Refused
from runner.faults import KINDS, AnyFault
from runner.faults.clock import Clock
from runner.faults.command import Command
from runner.faults.cpu import Cpu
from runner.faults.kill import Kill
from runner.faults.links import Bandwidth, Blackhole, Latency, Refuse, Reset, SlowClose
from runner.faults.memory import Memory
from runner.faults.pause import Pause
from runner.faults.record import Fault, Instance, Steps
from runner.links.properties import read_property
from runner.operations import Context
from runner.operations.record import Identity, LinkSet, Operation, Spawn
from runner.processes import state_of
from tests.link_parts import Proxy, echo, proxy, round_trip, server
from tests.victims import Victim, done, perform_all, until, victim

MIB = 1 << 20
NOBODY = Identity(pid=4_000_000, started=1, boot="another boot")


@dataclass(frozen=True)
class Case:
    """A fault, whom it hits, and how the victim feels it: *hurt* is asked in the victim."""

    fault: Fault
    hurt: Callable[[Subject], bool]
    name: str = ""

    @property
    def kind(self) -> str:
        return str(self.fault.__struct_config__.tag)

    def __str__(self) -> str:
        return f"{self.kind}{'-' if self.name else ''}{self.name}"


@dataclass(frozen=True)
class Subject:
    """A real victim of either platform, and how it is now."""

    instance: Callable[[], Instance]
    process: Victim | None = None
    link: Proxy | None = None
    flag: Path | None = None


def answers_nothing(subject: Subject) -> bool:
    return not subject.process.serves(patience=1.0)


def gets_little_cpu(subject: Subject) -> bool:
    return float(subject.process.ask("runnable 0.4")) < 0.6


def cannot_allocate(subject: Subject) -> bool:
    return subject.process.ask(f"allocate {256 * MIB}") == "MemoryError"


def machine_is_fuller(_: Subject) -> bool:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return resident > 400 * MIB  # the test is the hand here


def echo_takes(seconds: float, size: int = 4) -> Callable[[Subject], bool]:
    def hurt(subject: Subject) -> bool:
        with subject.link.client() as client:  # each time: a busy machine is slow now and then
            return all(round_trip(client, b"x" * size) >= seconds for _ in range(3))

    return hurt


def hears_nothing(subject: Subject) -> bool:
    try:
        with subject.link.client(timeout=1.0) as client:
            round_trip(client)
    except TimeoutError:
        return True
    return False


def is_reset(subject: Subject) -> bool:
    try:
        with subject.link.client() as client:
            round_trip(client)
    except ConnectionResetError:
        return True
    return False


def is_refused(subject: Subject) -> bool:
    try:
        subject.link.client().close()
    except ConnectionRefusedError:
        return True
    return False


def closes_late(subject: Subject) -> bool:
    with subject.link.client() as client:
        begun = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        return time.monotonic() - begun >= 1.9


def flag_is_up(subject: Subject) -> bool:
    return subject.flag.exists()


CASES = [
    Case(Kill(), answers_nothing),
    Case(Pause(), answers_nothing),
    Case(Cpu(limit=0.15, by="signals"), gets_little_cpu),
    Case(Memory(limit=128 * MIB), cannot_allocate, "limit"),
    Case(Memory(ballast=400 * MIB), machine_is_fuller, "ballast"),
    Case(Latency(delay=0.08, jitter=0.01), echo_takes(0.069)),
    Case(Bandwidth(rate=200_000), echo_takes(0.2, 60_000)),
    Case(Blackhole(), hears_nothing),
    Case(Reset(), is_reset),
    Case(Refuse(), is_refused),
    Case(SlowClose(delay=2.0), closes_late),
    Case(
        Command(do=("touch", "flag"), undo=("rm", "-f", "flag"), confirm=("test", "-e", "flag")), flag_is_up
    ),
]
HERE = {"process", "link", "url"}  # what this machine has without an engine; the rest has tests of its own
KINDS_HERE = {name: kind for name, kind in KINDS.items() if kind.platforms & HERE and kind is not Clock}
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture
def subject(case: Case, tmp_path: Path) -> Iterator[Subject]:
    with contextlib.ExitStack() as stack:
        if case.kind == "command":
            yield Subject(lambda: Instance(target="shop", name="shop.0"), flag=tmp_path / "flag")
        elif "link" in case.fault.platforms:
            link = stack.enter_context(proxy(stack.enter_context(server(echo)), tmp_path))
            yield Subject(lambda: Instance(target="store", name="store", socket=link.control), link=link)
        else:
            process = stack.enter_context(victim(tmp_path))
            yield Subject(process.instance, process=process)


@pytest.fixture
def steps(case: Case, subject: Subject) -> Steps:
    fault = msgspec.structs.replace(case.fault, cwd=str(subject.flag.parent)) if subject.flag else case.fault
    return fault.compile(subject.instance())


def test_every_kind_has_its_case():
    assert {case.kind for case in CASES} == set(KINDS_HERE)
    assert {str(kind.__struct_config__.tag) for kind in KINDS.values()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_needs_and_owns(kind):
    fault = KINDS[kind]
    assert fault.platforms
    assert fault.property
    assert fault.recovers_from in ("undo", "injection")
    assert fault.__doc__


@every_case
def test_a_fault_says_what_it_does_in_one_line(case):
    assert case.fault.does()
    assert "\n" not in case.fault.does()


@every_case
def test_a_fault_survives_being_stored(case):
    stored = msgspec.json.encode(case.fault)
    assert msgspec.json.decode(stored, type=AnyFault) == case.fault


_seen: list[str] = []
_watching: list[bool] = []


def _note(event: str, _arguments: object) -> None:
    if _watching:
        _seen.append(event)


sys.addaudithook(_note)


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what reaches outside: files, sockets, processes, signals, imports."""
    _seen.clear()
    _watching.append(True)
    try:
        yield _seen
    finally:
        _watching.pop()


def test_the_watch_on_compiling_sees_a_file_being_opened(tmp_path):
    with watched() as seen:
        (tmp_path / "file").touch()
    assert "open" in seen


@every_case
def test_compiling_touches_nothing(case):
    spawn = Spawn(run="r", instance="shop.0", argv=("true",))
    process = Instance(target="shop", name="shop.0", process=NOBODY, spawn=spawn)
    instance = (
        process if "process" in case.fault.platforms else Instance(target="a", name="a", socket="/gone")
    )
    with watched() as seen:
        steps = case.fault.compile(instance)
        case.fault.does()
    assert steps.do
    assert not seen


@every_case
def test_do_hurts_the_victim_is_confirmed_and_undo_heals_it(case, subject, steps):
    assert not case.hurt(subject)
    with done(steps.do):
        until(lambda: case.hurt(subject))
        confirmed = _confirmations(case, subject, steps)
        assert all(reading.ok is True for reading in confirmed), confirmed
    undone = perform_all(steps.undo)
    assert all(reading.ok is True for reading in undone), undone
    until(lambda: not case.hurt(subject))


@every_case
def test_undo_twice_is_harmless(case, subject, steps):
    with done(steps.do):
        pass
    for _ in range(2):
        assert all(reading.ok is True for reading in perform_all(steps.undo))
    until(lambda: not case.hurt(subject))


@every_case
def test_undo_without_do_is_harmless(case, subject, steps):
    assert all(reading.ok is True for reading in perform_all(steps.undo))
    assert not case.hurt(subject)
    if subject.process:
        assert state_of(subject.process.process), "the victim is another one than before"


@every_case
def test_what_was_not_done_is_not_confirmed(case, subject, steps):
    for reading in perform_all(steps.confirm):
        assert reading.ok is not True, reading


@every_case
def test_undo_of_a_victim_that_is_gone_is_harmless(case, subject, steps):
    if subject.process:
        subject.process.close()
    if subject.link:
        subject.link.close()
    undone = perform_all(steps.undo, Context(taken_over=True))
    assert all(reading.ok is True for reading in undone), undone
    if subject.process:
        assert not subject.process.serves(), "started again although its runner is gone"
    if subject.link:
        subject.link.listener = socket.create_server(("127.0.0.1", 0))
        subject.link.start()  # for the fixture to close


def _confirmations(case: Case, subject: Subject, steps: Steps) -> list:
    """Confirm while the victim is at work: some effects only show then."""
    if case.kind != "cpu":
        return perform_all(steps.confirm)
    with socket.create_connection(("127.0.0.1", subject.process.port)) as busy:
        busy.sendall(b"burn 1")
        readings = perform_all(steps.confirm)
        busy.settimeout(10)
        busy.recv(100)
    return readings


@pytest.mark.parametrize(
    "case", [case for case in CASES if "link" in case.fault.platforms and case.kind != "command"], ids=str
)
def test_the_proxy_understands_what_a_link_fault_sets(case):
    (do,) = case.fault.compile(Instance(target="a", name="a", socket="/gone")).do
    assert isinstance(do, LinkSet)
    assert read_property(do.property, do.value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS_HERE if kind != "command"])
def test_a_target_of_the_wrong_platform_is_refused(kind):
    case = next(case for case in CASES if case.kind == kind)
    with pytest.raises(Refused, match=r"only-a-url: .* needs a (process|link)"):
        case.fault.compile(Instance(target="only-a-url", name="only-a-url"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Cpu(limit=0.0), "at least 1%"),
        (lambda: Cpu(limit=1.0), "less than 100%"),
        (Memory, "exactly one of limit and ballast"),
        (lambda: Memory(limit=MIB, ballast=MIB), "exactly one of limit and ballast"),
        (lambda: Memory(limit=12), "at least 64KiB"),
        (lambda: Memory(ballast=MIB, by="cgroup"), "is for a limit"),
        (lambda: Latency(delay=0.0), "hurts nobody"),
        (lambda: Latency(delay=7200.0), "between 0s and 1h"),
        (lambda: Latency(delay=1.0, jitter=-1.0), "jitter is"),
        (lambda: Latency(delay=1.0, share=0.0), "more than 0%"),
        (lambda: Blackhole(share=1.5), "at most 100%"),
        (lambda: Bandwidth(rate=0.0), "more than 0"),
        (lambda: SlowClose(delay=0.0), "hurts nobody"),
        (lambda: Reset(after=-1.0), "after is"),
        (lambda: Command(do=(), undo=("true",)), "do is empty"),
        (lambda: Command(do=("true",), undo=()), "undo is empty"),
        (lambda: Command(do=("true",), undo=("true",), timeout=0.0), "more than 0"),
    ],
)
def test_a_knob_out_of_range_is_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_found_process_that_was_killed_is_left_to_its_supervisor():
    steps = Kill().compile(Instance(target="a", name="a.0", process=NOBODY))
    assert steps.undo == ()
    assert "supervisor" in Kill().does()


def test_restart_never_brings_nobody_back():
    spawn = Spawn(run="r", instance="a.0", argv=("true",))
    assert (
        Kill(restart="never").compile(Instance(target="a", name="a.0", process=NOBODY, spawn=spawn)).undo
        == ()
    )


def test_a_limit_above_the_hard_one_is_refused():
    instance = Instance(target="a", name="a.0", process=NOBODY, limits={"DATA": (MIB, MIB)})
    with pytest.raises(Refused, match="hard limit is 1MiB"):
        Memory(limit=2 * MIB).compile(instance)


def test_a_foreign_limit_is_left_alone_by_the_undo():
    instance = Instance(target="a", name="a.0", process=NOBODY, limits={"DATA": (-1, -1)})
    (undo,) = Memory(limit=MIB).compile(instance).undo
    assert (undo.soft, undo.expect) == (-1, MIB)


@pytest.mark.parametrize(
    ("version", "files", "wanted"),
    [
        (2, {"cpu.max": "max 100000"}, {"cpu.max": "40000 100000"}),
        (2, {"cpu.max": "50000 50000"}, {"cpu.max": "20000 50000"}),
        (1, {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, {"cpu.cfs_quota_us": "40000"}),
    ],
)
def test_a_cgroup_gets_its_share_of_all_its_cores_and_its_old_quota_back(version, files, wanted):
    instance = Instance(
        target="a",
        name="a.0",
        process=NOBODY,
        cores=2.0,
        cgroup="/cg",
        cgroup_version=version,
        cgroup_files=files,
    )
    steps = Cpu(limit=0.2).compile(instance)
    ((name, value),) = wanted.items()
    (do,), (undo,) = steps.do, steps.undo
    assert (do.path, do.value, do.expect) == (f"/cg/{name}", value, files[name])
    assert (undo.path, undo.value, undo.expect) == (f"/cg/{name}", files[name], value)


@pytest.mark.parametrize("fault", [Cpu(limit=0.2, by="cgroup"), Memory(limit=MIB, by="cgroup")], ids=str)
def test_by_cgroup_without_a_cgroup_of_its_own_is_refused(fault):
    with pytest.raises(Refused, match="cgroup of its own"):
        fault.compile(Instance(target="a", name="a.0", process=NOBODY))


def test_a_pause_and_a_squeeze_have_one_owner():
    assert Pause.property == Cpu.property


def test_only_a_command_executes_what_the_scenario_brought():
    assert [name for name, kind in KINDS.items() if kind.executes] == ["command"]


def test_operations_are_what_the_journal_can_store():
    for case in CASES:
        instance = Instance(target="a", name="a.0", process=NOBODY, socket="/gone")
        steps = case.fault.compile(instance)
        stored = msgspec.json.encode(steps)
        assert msgspec.json.decode(stored, type=Steps) == steps
        assert msgspec.json.decode(msgspec.json.encode(steps.do), type=tuple[Operation, ...]) == steps.do
