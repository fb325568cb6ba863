"""CPU and memory by the kernel's own limits, in real cgroups of either version."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from runner.faults.cpu import Cpu
from runner.faults.memory import Memory
from runner.processes import state_of
from tests.victims import Victim, done, perform_all, until, victim

MIB = 1 << 20
ROOT = Path("/sys/fs/cgroup")
FILES = {"cpu": ("cpu.max", "cpu.cfs_quota_us"), "memory": ("memory.max", "memory.limit_in_bytes")}


def cannot(reason: str) -> NoReturn:
    """Skip; where everything must run (SQUALL_REQUIRE=1), fail."""
    if os.environ.get("SQUALL_REQUIRE") == "1":
        pytest.fail(f"required here: {reason}")
    pytest.skip(reason)


@contextlib.contextmanager
def cgroup(controller: str) -> Iterator[Path]:
    """A cgroup of our own below that controller, for a while."""
    parent = ROOT / controller if (ROOT / controller).is_dir() else ROOT
    path = parent / f"squall-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        cannot(f"no cgroup can be made in {parent}: {error.strerror}")
    try:
        if not any((path / name).exists() for name in FILES[controller]):
            cannot(f"{parent} has no controller {controller}")
        yield path
    finally:
        until(lambda: not (path / "cgroup.procs").read_text())
        path.rmdir()


@pytest.fixture
def caged(request, tmp_path) -> Iterator[Callable[[], Victim]]:
    """A victim alone in a cgroup of its own with the controller that the test asks for."""
    with cgroup(request.param) as path, victim(tmp_path) as subject:
        (path / "cgroup.procs").write_text(str(subject.process.pid))
        yield subject


def file_of(subject: Victim, name: str) -> Path:
    instance = subject.instance()
    return next(Path(instance.cgroup) / file for file in FILES[name] if file in instance.cgroup_files)


@pytest.mark.parametrize("caged", ["cpu"], indirect=True)
def test_a_quota_squeezes_the_victim_and_goes_back_to_what_it_was(caged):
    file = file_of(caged, "cpu")
    before = file.read_text()
    limit = 0.2 / caged.instance().cores  # a fifth of one CPU
    steps = Cpu(limit=limit).compile(caged.instance())
    with done(steps.do):
        assert file.read_text() != before
        assert float(caged.ask("burn 1", patience=30)) < 0.3
        seen = perform_all(steps.confirm)
        assert all(reading.ok is not False for reading in seen), seen
        assert seen[0].ok
    for _ in range(2):
        assert all(reading.ok for reading in perform_all(steps.undo))
        assert file.read_text() == before
    until(lambda: float(caged.ask("burn 0.5", patience=30)) > 0.25, within=60)


@pytest.mark.parametrize("caged", ["cpu"], indirect=True)
def test_a_quota_that_somebody_else_wrote_is_left_alone(caged):
    steps = Cpu(limit=0.2).compile(caged.instance())
    file = file_of(caged, "cpu")
    with done(steps.do):
        foreign = "70000 100000" if file.name == "cpu.max" else "70000"
        file.write_text(foreign)
        (reading,) = perform_all(steps.undo)
    assert reading.ok is False
    assert "somebody else wrote it" in reading.evidence
    assert file.read_text().strip() == foreign


@pytest.mark.parametrize("caged", ["memory"], indirect=True)
def test_a_memory_limit_hurts_and_the_undo_brings_the_victim_back(caged):
    file = file_of(caged, "memory")
    before = file.read_text()
    steps = Memory(limit=48 * MIB, by="cgroup").compile(caged.instance())
    with done(steps.do):
        assert all(reading.ok for reading in perform_all(steps.confirm))
        with contextlib.suppress(OSError):
            caged.ask(f"allocate {256 * MIB}", patience=10)  # bytearray clears it: every page is touched
        until(lambda: not state_of(caged.process))  # the kernel's OOM killer took it
    undone = perform_all(steps.undo)
    assert all(reading.ok for reading in undone), undone
    assert file.read_text() == before
    until(lambda: caged.serves(patience=2))


@pytest.mark.parametrize("caged", ["memory"], indirect=True)
def test_undo_without_do_changes_no_cgroup(caged):
    file = file_of(caged, "memory")
    before = file.read_text()
    steps = Memory(limit=48 * MIB, by="cgroup").compile(caged.instance())
    assert all(reading.ok for reading in perform_all(steps.undo))
    assert file.read_text() == before
    assert caged.serves(patience=2)


def test_the_limit_of_a_cgroup_that_is_gone_went_with_it(tmp_path):
    with cgroup("cpu") as path, victim(tmp_path) as subject:
        (path / "cgroup.procs").write_text(str(subject.process.pid))
        steps = Cpu(limit=0.2).compile(subject.instance())
        assert all(reading.ok for reading in perform_all(steps.do))
    assert all(reading.ok for reading in perform_all(steps.undo))
