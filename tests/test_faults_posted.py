"""What helpers do to the container they stand at, performed for real: in cgroups of either version, on a real engine."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from runner.cgroups import mounts
from runner.errors import NothingDone, OperationFailed, Refused
from runner.faults.cpu import Cpu
from runner.faults.disk_fill import DiskFill
from runner.faults.io import Io
from runner.faults.kill import Kill
from runner.faults.memory import Memory
from runner.faults.pause import Pause
from runner.faults.pids import Pids
from runner.faults.record import Fault, Instance, Steps
from runner.faults.workloads import Restart
from runner.operations import Context, files, perform
from runner.operations.containers import LANDS, STOPPING
from runner.operations.context import Stand
from runner.operations.record import (
    Afar,
    AfarGone,
    CheckContainer,
    CheckCounter,
    CheckTarget,
    Fill,
    FillGone,
    Operation,
    Reading,
    SignalTarget,
    WriteFile,
)
from runner.operations.stand import cores, disks, find_stand, limits, memory_held
from runner.places import Engine, Post
from tests.cluster_parts import container, missing, until

MIB = 1 << 20
HOST = Engine()
NOBODY_S_ID = "f" * 64


@dataclass(frozen=True)
class There:
    """A container, or what looks like one to a helper: directories named by its id, and a process in them."""

    id: str

    @property
    def stand(self) -> Stand:
        found = find_stand(self.id)
        assert found is not None
        return found

    def instance(self) -> Instance:
        stand = self.stand
        return Instance(
            target="shop",
            name="shop.0",
            platform="container",
            engine=HOST,
            container=self.id,
            post=Post(engine=HOST, image="any", container=self.id),
            cgroup_files=limits(stand),
            cores=cores(stand),
            held=memory_held(stand),
        )

    def run(self, program: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a program of Python among its processes."""
        join = f"import os\nfor d in {sorted(set(self.stand.cgroups.values()))!r}: open(d + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        code = join + textwrap.dedent(program)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout)

    @contextlib.contextmanager
    def busy(self, program: str) -> Iterator[subprocess.Popen]:
        """Let a program of Python go on among its processes."""
        join = f"import os\nfor d in {sorted(set(self.stand.cgroups.values()))!r}: open(d + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        child = subprocess.Popen(
            [sys.executable, "-c", join + "print('in', flush=True)\n" + textwrap.dedent(program)],
            stdout=subprocess.PIPE,
        )
        try:
            assert child.stdout.readline() == b"in\n"
            yield child
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.fixture
def there() -> Iterator[There]:
    """Cgroups named as an engine names them, below every controller that is mounted, with a sleeper in them."""
    if os.geteuid():
        missing("cgroups are made by root only")
    name = secrets.token_hex(32)
    made = [root / name for _, root in dict(reversed(mounts())).items() if os.access(root, os.W_OK)]
    made = list(dict.fromkeys(made))
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        for path in made:
            path.mkdir(exist_ok=True)
            if (path / "cpuset.cpus").exists() and (path.parent / "cpuset.mems").exists():
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (path / file).write_text((path.parent / file).read_text())
            (path / "cgroup.procs").write_text(str(sleeper.pid))
        yield There(name)
    finally:
        sleeper.kill()
        sleeper.wait()
        for path in made:
            until(lambda path=path: not (path / "cgroup.procs").read_text())
            path.rmdir()


@dataclass(frozen=True)
class Inner:
    """What a helper would perform, and its undo, at a container."""

    steps: Steps
    there: There

    @property
    def context(self) -> Context:
        return Context(stand=self.there.stand)

    def _all(self, operations: tuple[Operation, ...]) -> list[Reading]:
        seen = [perform(each, self.context) for each in operations]
        assert all(isinstance(each, Reading) for each in seen)
        return seen

    def do(self) -> list[Reading]:
        (afar,) = (each for each in self.steps.do if isinstance(each, Afar))
        return self._all(afar.do)

    def confirm(self) -> list[Reading]:
        (afar,) = (each for each in self.steps.do if isinstance(each, Afar))
        return self._all(afar.confirm)

    def undo(self) -> list[Reading]:
        (gone,) = (each for each in self.steps.undo if isinstance(each, AfarGone))
        return self._all(gone.undo)


def inner(fault: Fault, there: There) -> Inner:
    if isinstance(fault, Io) and not limits(there.stand)["disks"]:
        pytest.skip("this machine has no disk at all")
    return Inner(fault.compile(there.instance()), there)


def ok(readings: list[Reading]) -> bool:
    assert readings
    return all(reading.ok is True for reading in readings)


def limits_of(there: There) -> dict[str, str]:
    return {name: value for name, value in limits(there.stand).items() if name != "pids.current"}


def share_of(child: subprocess.Popen, seconds: float = 0.6) -> float:
    def used() -> int:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    return (used() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


# --- where it stands -------------------------------------------------------------------------------------------------


def test_a_container_is_found_by_its_id_with_its_process_and_all_its_cgroups(there):
    stand = there.stand
    assert there.id in Path(f"/proc/{stand.pid}/cgroup").read_text()
    assert all(there.id in directory for directory in stand.cgroups.values())
    assert {"cpu.max", "cpu.cfs_quota_us"} & set(limits(stand))
    assert {"memory.max", "memory.limit_in_bytes"} & set(limits(stand))
    assert cores(stand) <= os.cpu_count()
    assert 0 <= memory_held(stand) < 50 * MIB


def test_the_main_process_is_the_oldest_not_one_that_joined_later(there):
    main = there.stand.pid
    with there.busy("import time; time.sleep(100)"):
        assert there.stand.pid == main


def test_nobody_stands_at_a_container_that_is_not_there():
    assert find_stand(NOBODY_S_ID) is None
    assert find_stand("") is None


def test_a_path_of_the_container_needs_a_stand_and_stays_in_its_cgroup(there):
    write = WriteFile(path="cgroup:/pids.max", value="10")
    with pytest.raises(OperationFailed, match="only helpers"):
        perform(write, Context())
    for name in ("../pids.max", "/etc/passwd", ".."):
        with pytest.raises(OperationFailed, match="no file of a cgroup"):
            perform(WriteFile(path=f"cgroup:/{name}", value="10"), Context(stand=there.stand))


# --- limits ----------------------------------------------------------------------------------------------------------

CASES = {
    "pause": Pause(),
    "cpu": Cpu(limit=0.15),
    "memory": Memory(limit=96 * MIB),
    "io": Io(read=1_000_000.0, write=2_000_000.0),
    "pids": Pids(headroom=2),
}
every_limit = pytest.mark.parametrize("kind", CASES)


@every_limit
def test_a_limit_is_set_confirmed_to_stand_and_what_it_was_afterwards(there, kind):
    before = limits_of(there)
    act = inner(CASES[kind], there)
    assert ok(act.do())
    assert limits_of(there) != before
    until(
        lambda: not [reading for reading in act.confirm() if reading.ok is False]
    )  # a freeze takes a moment
    for _ in range(2):
        assert ok(act.undo())
        assert limits_of(there) == before


@every_limit
def test_undo_without_do_changes_nothing(there, kind):
    before = limits_of(there)
    assert ok(inner(CASES[kind], there).undo())
    assert limits_of(there) == before


@every_limit
def test_what_was_not_done_is_not_confirmed(there, kind):
    assert not ok(inner(CASES[kind], there).confirm())


@every_limit
def test_the_limits_of_a_container_that_is_gone_went_with_it(there, kind):
    act = inner(CASES[kind], there)
    gone = Stand(container=NOBODY_S_ID)
    (undo,) = act.steps.undo
    assert ok([perform(each, Context(stand=gone)) for each in undo.undo])


def test_a_squeezed_container_gets_its_share_and_says_that_it_wanted_more(there):
    with there.busy("while True: pass") as child:
        until(lambda: share_of(child) > 0.15)
        act = inner(Cpu(limit=0.05 / cores(there.stand)), there)
        act.do()
        assert share_of(child) < 0.1
        until(lambda: ok(act.confirm()))
        act.undo()
        until(lambda: share_of(child) > 0.15)


def test_an_idle_container_does_not_tell_whether_it_is_squeezed(there):
    act = inner(Cpu(limit=0.2), there)
    act.do()
    seen = [reading.ok for reading in act.confirm()]
    assert seen[0] is True
    assert None in seen
    act.undo()


def test_a_counter_that_runs_faster_than_allowed_is_no_effect(there):
    usage = "cpu.stat" if "cpu.max" in limits(there.stand) else "cpuacct.usage"
    keys = ("usage_usec",) if usage == "cpu.stat" else ()
    with there.busy("while True: pass"):
        check = CheckCounter(path=f"cgroup:/{usage}", keys=keys, fastest=0.01 * _second(there))
        assert perform(check, Context(stand=there.stand)).ok is False


def looks(act: Inner, count: int) -> list[bool | None]:
    """What its last check says, again and again, as often as a helper asks it."""
    seen = []
    for _ in range(count):
        seen.append(act.confirm()[-1].ok)
        time.sleep(0.25)
    return seen


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_a_quota_that_is_kept_is_confirmed_by_every_look_however_its_bursts_fall(there, share):
    with there.busy("while True: pass"), there.busy("while True: pass"):
        act = inner(Cpu(limit=share), there)
        act.do()
        seen = looks(act, 20)
        assert False not in seen
        assert seen[-1] is True
        act.undo()


def test_where_the_kernel_takes_no_quota_so_small_the_least_it_takes_is_what_is_allowed(there):
    assert perform(_own_quota(there, 0.1), Context(stand=there.stand)).ok
    act = inner(Cpu(limit=0.05), there)  # 0.5 ms of every 100 ms; the kernel takes 1 ms
    assert act.steps.do[0].confirm[-1].fastest == pytest.approx(0.01 * _second(there))
    with there.busy("while True: pass"):
        act.do()
        assert False not in looks(act, 8)
        until(lambda: ok(act.confirm()))
        act.undo()


def test_twice_the_quota_is_found_out_in_a_few_seconds(there):
    more = _own_quota(there, 0.2 * cores(there.stand))
    with there.busy("while True: pass"), there.busy("while True: pass"):
        act = inner(Cpu(limit=0.1), there)
        act.do()
        assert perform(more, Context(stand=there.stand)).ok
        until(lambda: act.confirm()[-1].ok is False)


def _second(there: There) -> float:
    """A second of CPU in what counts it there."""
    return 1e6 if "cpu.max" in limits(there.stand) else 1e9


def _own_quota(there: There, cores: float) -> WriteFile:
    if "cpu.max" in limits(there.stand):
        return WriteFile(path="cgroup:/cpu.max", value=f"{round(cores * 100_000)} 100000")
    return WriteFile(path="cgroup:/cpu.cfs_quota_us", value=str(round(cores * 100_000)))


def test_memory_ends_at_the_limit_and_is_there_again_after_it(there):
    take = f"b = bytearray({160 * MIB}); print('had it')"
    assert "had it" in there.run(take).stdout
    act = inner(Memory(limit=96 * MIB), there)
    act.do()
    assert there.run(take).returncode == -signal.SIGKILL
    until(lambda: ok(act.confirm()))
    act.undo()
    assert "had it" in there.run(take).stdout


HOLDING = {
    "its own": "b = bytearray({size})",
    "shared": "import mmap\nb = mmap.mmap(-1, {size})\nfor page in range(0, {size}, 4096): b[page] = 1",
}
however_held = pytest.mark.parametrize("program", HOLDING.values(), ids=HOLDING)


@contextlib.contextmanager
def holding(there: There, program: str, size: int) -> Iterator[subprocess.Popen]:
    """Let a process hold so much memory among its processes."""
    taken = program.format(size=size)
    with there.busy(f"{taken}\nimport time\nprint('has', flush=True)\ntime.sleep(100)") as child:
        assert child.stdout.readline() == b"has\n"
        yield child


@however_held
def test_less_memory_than_it_holds_slows_down_or_is_refused_but_never_kills_at_once(there, program):
    with holding(there, program, 120 * MIB) as child:
        assert 120 * MIB <= memory_held(there.stand) < 150 * MIB
        if "memory.high" not in limits(there.stand):
            with pytest.raises(Refused, match=r"holds 1[23].* write a limit above"):
                inner(Memory(limit=48 * MIB), there)
            return
        act = inner(Memory(limit=48 * MIB), there)
        act.do()
        assert child.poll() is None
        act.undo()
        assert child.poll() is None


@however_held
def test_what_holds_more_than_the_limit_by_now_is_not_limited(there, program):
    act, before = inner(Memory(limit=64 * MIB), there), limits_of(there)
    with holding(there, program, 120 * MIB) as child:
        with pytest.raises(NothingDone, match=r"it holds 1\d\d.*iB by now, more than the limit of 64MiB"):
            act.do()
        assert limits_of(there) == before
        assert child.poll() is None
        assert ok(act.undo())
    assert limits_of(there) == before


V2_STAT = """
anon 10485760
file 115343360
kernel 24117248
kernel_stack 2097152
pagetables 3145728
sec_pagetables 0
percpu 65536
sock 0
vmalloc 0
shmem 100663296
file_mapped 0
inactive_anon 106954752
active_anon 4194304
inactive_file 8388608
active_file 6291456
unevictable 1048576
slab_reclaimable 12582912
slab_unreclaimable 6291456
slab 18874368
"""


@pytest.fixture
def second(tmp_path, monkeypatch) -> Stand:
    """A stand whose files are those of version 2, in a folder."""
    (tmp_path / "memory.stat").write_text(V2_STAT.lstrip())
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(files, "_kind", lambda device: "cgroup2")
    return Stand(container=NOBODY_S_ID, cgroups={"v2": str(tmp_path)})


def limited(there: There, stand: Stand, limit: int) -> Reading:
    """Set a limit that was compiled when it held little."""
    facts = {"cgroup_files": {"memory.max": "max", "memory.high": "max"}, "held": 0}
    (afar,) = Memory(limit=limit).compile(msgspec.structs.replace(there.instance(), **facts)).do
    return perform(afar.do[0], Context(stand=stand))


def test_what_the_kernel_cannot_take_back_of_a_container_of_version_2_is_held(there, second):
    assert memory_held(second) == (10 + 96 + 1 + 6 + 2 + 3) * MIB
    with pytest.raises(NothingDone, match="it holds 118MiB by now, more than the limit of 117MiB"):
        limited(there, second, 117 * MIB)
    assert files.read(f"{second.cgroups['v2']}/memory.max") == "max"
    assert limited(there, second, 119 * MIB).ok


def test_a_kernel_that_counts_less_is_believed_and_one_that_counts_nothing_is_not(there, second):
    stat = Path(second.cgroups["v2"]) / "memory.stat"
    stat.write_text("file 1\n")
    with pytest.raises(NothingDone, match="does not show how much is held"):
        limited(there, second, 119 * MIB)
    stat.write_text(re.sub("^pagetables .*\n", "", V2_STAT, flags=re.MULTILINE).lstrip())  # before Linux 5.11
    assert memory_held(second) == 115 * MIB
    with pytest.raises(NothingDone, match="it holds 115MiB by now"):
        limited(there, second, 114 * MIB)
    assert limited(there, second, 119 * MIB).ok


def test_what_has_more_processes_than_the_limit_by_now_is_not_limited(there):
    until(lambda: int(limits(there.stand)["pids.current"]) == 1)
    act, before = inner(Pids(headroom=1), there), limits_of(there)
    with there.busy("import time; time.sleep(100)"), there.busy("import time; time.sleep(100)"):
        with pytest.raises(
            NothingDone, match="it holds 3 processes and threads by now, more than the limit of 2"
        ):
            act.do()
        assert limits_of(there) == before
    until(lambda: int(limits(there.stand)["pids.current"]) == 1)
    assert ok(act.do()), "what has ended counts no more"
    assert ok(act.undo())


@pytest.mark.long
def test_nobody_can_be_started_beyond_the_headroom(there):
    forks = """
    import os, time
    made = 0
    try:
        for _ in range(6):
            if os.fork() == 0: time.sleep(3); os._exit(0)
            made += 1
    except BlockingIOError: pass
    print(made)
    """
    assert there.run(forks).stdout.strip() == "6"
    until(lambda: int(limits(there.stand)["pids.current"]) == 1)
    act = inner(Pids(headroom=3), there)  # one of them is the program itself
    act.do()
    assert there.run(forks).stdout.strip() == "2"
    until(lambda: ok(act.confirm()))
    act.undo()


def test_a_frozen_container_stands_and_goes_on(there):
    with there.busy("while True: pass") as child:
        act = inner(Pause(), there)
        act.do()
        until(lambda: ok(act.confirm()))
        assert share_of(child) == 0
        act.undo()
        until(lambda: share_of(child, 0.2) > 0.1)


def test_what_froze_halfway_only_is_no_success_and_is_thawed_all_the_same(there, monkeypatch):
    """One of them does not stop in time (a task that waits for a disk): the kernel goes on saying FREEZING."""
    if "freezer.state" not in limits(there.stand):
        pytest.skip("version 2 of cgroups says in a file of its own how far it is")
    as_it_is, act = files.read, inner(Pause(), there)
    monkeypatch.setattr(files, "read", lambda path: as_it_is(path).replace("FROZEN", "FREEZING"))
    (reading,) = act.do()
    assert reading.ok is False
    assert "reads 'FREEZING'" in reading.evidence
    assert ok(act.undo())
    assert limits(there.stand)["freezer.state"] == "THAWED"


def test_disks_are_as_slow_as_asked_and_as_fast_as_before(there, tmp_path):
    if not limits(there.stand)["disks"] or not _on_a_disk(tmp_path, limits(there.stand)["disks"]):
        missing("no file system here lies on a disk that can be throttled")
    (tmp_path / "data").write_bytes(os.urandom(4 * MIB))
    read = f"""
    import os, mmap, time
    fd, block = os.open({str(tmp_path / "data")!r}, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 18)
    began = time.monotonic()
    while os.readv(fd, [block]): pass
    print(time.monotonic() - began)
    """
    assert float(there.run(read).stdout) < 1
    act = inner(Io(read=2.0 * MIB), there)
    act.do()
    act.confirm()
    assert float(there.run(read).stdout) > 1.2
    until(lambda: ok(act.confirm()))
    act.undo()
    assert float(there.run(read).stdout) < 1


@contextlib.contextmanager
def writing(there: There, folder: Path, pieces: int) -> Iterator[subprocess.Popen]:
    """Let it write to a disk that can be throttled, so much at a time, past the page cache."""
    if not limits(there.stand)["disks"] or not _on_a_disk(folder, limits(there.stand)["disks"]):
        missing("no file system here lies on a disk that can be throttled")
    write = f"""
    import os, mmap
    fd, block = os.open({str(folder / "data")!r}, os.O_WRONLY | os.O_CREAT | os.O_DIRECT), mmap.mmap(-1, {pieces})
    while True: os.pwritev(fd, [block], 0)
    """
    with there.busy(write) as child:
        yield child


@pytest.mark.parametrize("pieces", [MIB // 2, 3 * MIB])
def test_a_throttle_that_works_is_confirmed_by_every_look_however_large_the_requests(there, tmp_path, pieces):
    act = inner(Io(write=1e6), there)
    act.do()
    assert act.confirm()[-1].ok is None, "nobody writes yet"
    with writing(there, tmp_path, pieces):
        seen = looks(act, 20)
    assert False not in seen
    assert seen[-1] is True
    act.undo()


def test_four_times_the_pace_is_found_out_in_a_few_seconds(there, tmp_path):
    with writing(there, tmp_path, MIB // 2):
        act = inner(Io(write=4e6), there)
        act.do()
        (afar,) = act.steps.do
        check = msgspec.structs.replace(afar.confirm[-1], fastest=1e6)
        until(lambda: perform(check, act.context).ok is False)
        act.undo()


def test_the_disk_that_is_used_is_watched_wherever_it_stands_among_them(there, tmp_path, monkeypatch):
    if not Path("/sys/block/loop0").exists():
        pytest.skip("no second disk here")
    monkeypatch.setattr("runner.operations.stand.disks", lambda: ["7:0", *disks()])
    with writing(there, tmp_path, 4096):
        act = inner(Io(write=1e6), there)
        assert len(act.steps.do[0].do) > 1
        act.do()
        until(lambda: ok(act.confirm()))
        assert ok(act.undo())


def _on_a_disk(folder: Path, numbers: str) -> bool:
    device = folder.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}" in numbers.split()


def test_a_limit_that_somebody_else_set_is_left_alone(there):
    act = inner(Pids(headroom=5), there)
    act.do()
    (Path(there.stand.cgroups.get("pids") or there.stand.cgroups["v2"]) / "pids.max").write_text("77")
    (reading,) = act.undo()
    assert reading.ok is False
    assert "somebody else wrote it" in reading.evidence
    assert limits(there.stand)["pids.max"] == "77"


# --- signals ---------------------------------------------------------------------------------------------------------


def test_the_main_process_is_stopped_goes_on_and_dies(there):
    context = Context(stand=there.stand)
    assert perform(CheckTarget(expect="running"), context).ok
    assert perform(SignalTarget(signal="STOP"), context).ok
    assert perform(CheckTarget(expect="stopped"), context).ok
    assert perform(SignalTarget(signal="CONT"), context).ok
    assert perform(CheckTarget(expect="gone"), context).ok is False
    assert perform(SignalTarget(signal="KILL"), context).ok
    assert perform(CheckTarget(expect="gone"), context).ok
    assert perform(SignalTarget(signal="KILL"), context).ok is False, "it was gone: nothing was killed"
    assert perform(SignalTarget(signal="CONT"), context).ok, "the undo of a life that is over is done"


def test_a_number_that_is_another_s_by_now_is_not_signalled(there):
    stranger = subprocess.Popen(["sleep", "100"])
    try:
        context = Context(stand=Stand(container=there.id, pid=stranger.pid, cgroups=there.stand.cgroups))
        assert perform(SignalTarget(signal="KILL"), context).ok is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def volume(there, tmp_path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "volume"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=False).returncode:
        missing("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def used(folder: Path) -> float:
    facts = os.statvfs(folder)
    return 1 - facts.f_bavail / facts.f_blocks


def filled(there: There, folder: Path, share: float) -> tuple[Afar, AfarGone]:
    steps = DiskFill(share=share, folder=str(folder)).compile(there.instance())
    return steps.do[0], steps.undo[0]


def test_a_volume_is_filled_to_its_share_without_a_trace_and_free_again(there, volume):
    (volume / "theirs").write_bytes(b"x" * MIB)
    do, undo = filled(there, volume, 0.8)
    context = Context(stand=there.stand)
    assert perform(do.confirm[0], context).ok is False
    held = perform(do.do[0], context)
    held.tick()
    assert held.reading.ok
    assert used(volume) == pytest.approx(0.8, abs=0.01)
    assert [entry.name for entry in volume.iterdir()] == ["theirs"]
    assert perform(do.confirm[0], context).ok
    held.release()
    assert perform(undo.undo[0], context).ok
    assert used(volume) < 0.05
    assert (volume / "theirs").read_bytes() == b"x" * MIB


def test_some_space_is_always_left(there, volume):
    do, _ = filled(there, volume, 1.0)
    held = perform(do.do[0], Context(stand=there.stand))
    assert 0.93 < used(volume) < 0.97
    held.release()


@pytest.mark.parametrize("share", [0.97, 1.0])
def test_a_share_that_leaves_too_little_is_confirmed_where_all_but_that_is_full(there, volume, share):
    do, undo = filled(there, volume, share)
    context = Context(stand=there.stand)
    assert perform(do.confirm[0], context).ok is False
    held = perform(do.do[0], context)
    seen = perform(do.confirm[0], context)
    held.release()
    assert seen.ok
    assert f"is 95.0% full, {share:.1%} wanted; 5.0% always stay free" in seen.evidence
    assert perform(undo.undo[0], context).ok
    assert perform(do.confirm[0], context).ok is False


def test_a_volume_that_is_fuller_already_is_not_filled(there, volume):
    (volume / "theirs").write_bytes(b"x" * 30 * MIB)
    do, _ = filled(there, volume, 0.5)
    with pytest.raises(OperationFailed, match="full already"):
        perform(do.do[0], Context(stand=there.stand))


def test_the_kernel_gives_the_space_back_when_the_holder_is_killed(there, volume):
    code = f"""
    from runner.operations import Context, perform
    from runner.operations.stand import find_stand
    from runner.operations.record import Fill
    held = perform(Fill(folder={str(volume)!r}, name="fill", share=0.8), Context(stand=find_stand({there.id!r})))
    print("held", flush=True)
    import time; time.sleep(100)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    with contextlib.closing(holder.stdout):
        assert holder.stdout.readline() == b"held\n"
        assert used(volume) > 0.75
        holder.kill()
        holder.wait()
    assert used(volume) < 0.05
    assert not list(volume.iterdir())


def test_a_target_that_ends_gets_its_space_back(there, volume):
    do, _ = filled(there, volume, 0.8)
    held = perform(do.do[0], Context(stand=there.stand))
    os.kill(there.stand.pid, signal.SIGKILL)
    until(lambda: held.tick() and used(volume) < 0.05)
    assert held.reading.ok is False


def test_links_that_the_target_laid_are_never_followed(there, volume, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (volume / "way-out").symlink_to(outside)
    (volume / "trap").symlink_to(outside / "file")
    context = Context(stand=there.stand)
    for operation in (
        Fill(folder=f"{volume}/way-out", name="fill", share=0.5),
        Fill(folder=f"{volume}/way-out/below", name="fill", share=0.5),
        Fill(folder=str(volume), name="trap", share=0.5),
        Fill(folder=f"{volume}/../outside", name="fill", share=0.5),
        Fill(folder=str(volume), name="../outside/fill", share=0.5),
    ):
        with pytest.raises(OperationFailed):
            perform(operation, context)
    assert perform(FillGone(folder=str(volume), name="trap"), context).ok is False
    assert (volume / "trap").is_symlink()
    assert not list(outside.iterdir())


def test_a_name_that_is_left_of_a_holder_killed_between_two_calls_is_removed(there, volume):
    (volume / "fill").touch()
    context = Context(stand=there.stand)
    with pytest.raises(OperationFailed, match="there already"):
        perform(Fill(folder=str(volume), name="fill", share=0.5), context)
    assert perform(FillGone(folder=str(volume), name="fill"), context).ok
    assert not list(volume.iterdir())


# --- a real engine ---------------------------------------------------------------------------------------------------


def at(made) -> There:
    made.reload()
    return There(made.id)


def test_a_real_container_is_squeezed_and_let_go(engine):
    with container(engine, "sh", "-c", "while :; do :; done") as made:
        there = at(made)
        before = limits_of(there)
        assert there.stand.pid == made.attrs["State"]["Pid"]
        act = inner(Cpu(limit=0.1), there)
        assert ok(act.do())
        until(lambda: ok(act.confirm()))
        assert ok(act.undo())
        assert limits_of(there) == before


def test_a_real_container_is_frozen_and_thawed_and_its_engine_never_knows(engine):
    with container(engine, "sh", "-c", "while :; do :; done") as made:
        act = inner(Pause(), at(made))
        assert ok(act.do())
        until(lambda: ok(act.confirm()))
        assert ok(act.undo())
        assert at(made).stand
        assert not made.attrs["State"]["Paused"]


def test_a_container_that_somebody_else_froze_is_refused_before_and_when_it_is_done(engine):
    with container(engine) as made:
        act = inner(Pause(), at(made))
        made.pause()
        try:
            with pytest.raises(NothingDone, match="somebody else wrote it; left alone"):
                act.do()
            with pytest.raises(Refused, match="is frozen already"):
                inner(Pause(), at(made))
            assert at(made).stand
            assert made.attrs["State"]["Paused"]
        finally:
            made.unpause()


def test_a_restarted_real_container_is_as_its_engine_made_it_and_its_undo_is_clean(engine):
    with container(engine, mem_limit="256m") as made:
        there = at(made)
        before = limits_of(there)
        act = inner(Memory(limit=96 * MIB), there)
        act.do()
        made.restart(timeout=0)
        assert ok(act.undo())
        assert limits_of(at(made)) == before


def test_the_root_of_a_real_container_is_reached_and_nothing_else(engine):
    with container(
        engine, "sh", "-c", "ln -s / /data/all; exec sleep 1000", tmpfs={"/data": "size=20m"}
    ) as made:
        until(lambda: made.exec_run(["test", "-L", "/data/all"]).exit_code == 0)
        there = at(made)
        do, undo = filled(there, Path("/data"), 0.9)
        context = Context(stand=there.stand)
        held = perform(do.do[0], context)
        assert perform(do.confirm[0], context).ok
        full = made.exec_run(["dd", "if=/dev/zero", "of=/data/more", "bs=1M", "count=10"])
        assert full.exit_code
        held.release()
        assert perform(undo.undo[0], context).ok
        with pytest.raises(OperationFailed, match="a link"):
            perform(Fill(folder="/data/all/tmp", name="fill", share=0.9), context)


def test_a_real_container_s_main_process_dies_of_sigkill(engine):
    with container(engine) as made:
        context = Context(stand=at(made).stand)
        assert perform(SignalTarget(signal="KILL"), context).ok
        until(lambda: at(made) and not made.attrs["State"]["Running"])
        assert perform(CheckTarget(expect="gone"), context).ok


@pytest.mark.parametrize(
    ("how", "expected"), [("kill", 137), pytest.param("stop", 137, marks=pytest.mark.long)]
)
def test_a_real_container_is_killed_confirmed_and_started_again(engine, how, expected):
    with container(engine, stop_signal="SIGTERM") as made:
        steps = Kill(how=how).compile(_living(made))
        assert all(perform(each, Context()).ok is False for each in steps.confirm)
        assert ok([perform(each, Context()) for each in steps.do])
        until(lambda: ok([perform(each, Context()) for each in steps.confirm]))
        assert at(made)
        assert made.attrs["State"]["ExitCode"] == expected
        for _ in range(2):
            assert ok([perform(each, Context()) for each in steps.undo])
        assert at(made)
        assert made.attrs["State"]["Running"]
        assert all(perform(each, Context()).ok for each in steps.confirm), "that life is over all the same"


def test_a_real_container_is_removed_where_nobody_wants_it_back(engine):
    with container(engine) as made:
        steps = Kill(how="rm", restart="never").compile(_living(made))
        assert steps.undo == ()
        assert ok([perform(each, Context()) for each in (*steps.do, *steps.confirm)])


@pytest.mark.parametrize(
    "fault", [Kill(how="stop"), pytest.param(Restart(), marks=pytest.mark.long)], ids=str
)
def test_a_stop_that_outlives_the_hand_that_asked_for_it_is_undone_when_it_lands(engine, fault):
    with container(engine, "sh", "-c", DEAF, stop_signal="SIGTERM") as made:
        until(lambda: made.exec_run(["test", "-f", "/deaf"]).exit_code == 0)
        steps = fault.compile(_living(made))
        _killed_while(steps.do, lambda: made.exec_run(["test", "-f", "/asked"]).exit_code == 0)
        began = time.monotonic()
        assert ok([perform(each, Context()) for each in steps.undo])
        assert 2 < time.monotonic() - began < STOPPING + 5, "it waited for the stop, and no longer"
        assert all(perform(each, Context()).ok for each in steps.confirm), "the stop did land"
        until(lambda: time.monotonic() - began > LANDS)
        assert at(made)
        assert made.attrs["State"]["Running"]


def test_an_undo_waits_for_no_stop_where_none_can_come(engine, monkeypatch):
    with container(engine) as made:
        (undo,) = Kill(how="stop").compile(_living(made)).undo
        earlier = msgspec.structs.replace(undo, started="2020-01-01T00:00:00Z")
        plain = Kill().compile(_living(made)).undo
        began = time.monotonic()
        assert ok([perform(each, Context()) for each in (earlier, *plain)])
        assert time.monotonic() - began < 2
        monkeypatch.setattr("runner.operations.containers.LANDS", 0.5)
        assert "running already" in perform(undo, Context()).evidence, "that stop was never begun"
        assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("how", ["kill", "stop", "rm"])
def test_a_real_container_that_its_engine_removes_is_ended_where_nobody_wants_it_back(engine, how):
    with container(engine, stop_signal="SIGKILL", auto_remove=True) as made:
        steps = Kill(how=how, restart="never").compile(_living(made, vanishes=True))
        assert steps.undo == ()
        assert ok([perform(each, Context()) for each in (*steps.do, *steps.confirm)])
        until(lambda: perform(CheckContainer(engine=HOST, container=made.id, expect="gone"), Context()).ok)
        assert ok([perform(each, Context()) for each in (*steps.do, *steps.confirm)]), "twice is harmless"


def test_a_real_container_that_its_engine_removes_survives_a_restart(engine):
    with container(engine, stop_signal="SIGKILL", auto_remove=True) as made:
        steps = Restart().compile(_living(made, vanishes=True))
        assert ok([perform(each, Context()) for each in (*steps.do, *steps.confirm, *steps.undo)])
        assert at(made)
        assert made.attrs["State"]["Running"]
        assert made.attrs["HostConfig"]["AutoRemove"]


DEAF = "trap 'touch /asked' TERM; touch /deaf; while :; do sleep 0.1; done"  # to SIGTERM
HAND = """
import sys, msgspec
from runner.operations import Context, perform
from runner.operations.record import Operation
for operation in msgspec.json.decode(sys.argv[1], type=list[Operation]):
    perform(operation, Context())
"""


def _killed_while(operations: tuple[Operation, ...], under_way) -> None:
    """Let a process perform them, and kill it as soon as they are under way."""
    hand = subprocess.Popen([sys.executable, "-c", HAND, msgspec.json.encode(operations).decode()])
    try:
        until(under_way)
        assert hand.poll() is None
    finally:
        hand.kill()
        hand.wait()


def _living(made, **facts) -> Instance:
    made.reload()
    started = made.attrs["State"]["StartedAt"]
    return Instance(
        target="shop",
        name="shop.0",
        platform="container",
        engine=HOST,
        container=made.id,
        started=started,
        **facts,
    )
