"""Limits and kernel files are compared before they are set, and read back after."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest

from runner.errors import OperationFailed
from runner.operations import Context, perform
from runner.operations.record import CheckFile, CheckLimit, SetLimit, WriteFile
from tests.victims import one, program

MIB = 1 << 20


@pytest.fixture
def sleeper():
    with program("sleep", "60") as process:
        yield process


def limit(process, soft, **more):
    return one(perform(SetLimit(process=process, resource="DATA", soft=soft, **more), Context()))


def soft_limit(process) -> int:
    return resource.prlimit(process.pid, resource.RLIMIT_DATA)[0]


def test_a_limit_is_set_and_restored_exactly(sleeper):
    before = soft_limit(sleeper)
    assert limit(sleeper, 64 * MIB, expect=before).ok
    assert soft_limit(sleeper) == 64 * MIB
    assert one(perform(CheckLimit(process=sleeper, resource="DATA", soft=64 * MIB), Context())).ok
    assert limit(sleeper, before, expect=64 * MIB).ok
    assert soft_limit(sleeper) == before
    assert one(perform(CheckLimit(process=sleeper, resource="DATA", soft=64 * MIB), Context())).ok is False


def test_a_limit_that_somebody_else_set_is_left_alone(sleeper):
    limit(sleeper, 64 * MIB)
    limit(sleeper, 32 * MIB)
    reading = limit(sleeper, -1, expect=64 * MIB)
    assert reading.ok is False
    assert f"is {32 * MIB}, not {64 * MIB} as expected: somebody else set it" in reading.evidence
    assert soft_limit(sleeper) == 32 * MIB


def test_setting_a_limit_twice_is_harmless(sleeper):
    before = soft_limit(sleeper)
    for _ in range(2):
        assert limit(sleeper, MIB, expect=before).ok


def test_a_limit_above_the_hard_one_fails_and_says_so(sleeper):
    resource.prlimit(sleeper.pid, resource.RLIMIT_DATA, (MIB, MIB))
    with pytest.raises(OperationFailed, match=f"RLIMIT_DATA .* its hard limit is {MIB}"):
        limit(sleeper, 2 * MIB)


def test_the_limit_of_a_process_that_is_gone_is_restored_by_its_end(sleeper):
    gone = msgspec.structs.replace(sleeper, started=1)
    assert limit(gone, MIB).ok
    assert limit(gone, MIB, gone_is_fine=False).ok is False
    assert one(perform(CheckLimit(process=gone, resource="DATA", soft=MIB), Context())).ok is False
    assert soft_limit(sleeper) != MIB


@pytest.fixture
def kernel_file(sleeper):
    """A kernel file of a process of ours that an ordinary user may write."""
    path = Path(f"/proc/{sleeper.pid}/oom_score_adj")
    path.write_text("100")
    return str(path)


def write(path, value, **more):
    return one(perform(WriteFile(path=str(path), value=value, **more), Context()))


def text(path) -> str:
    return Path(path).read_text().strip()


def test_a_file_is_written_and_restored(kernel_file):
    before = text(kernel_file)
    assert write(kernel_file, "200", expect=before).ok
    assert text(kernel_file) == "200"
    assert one(perform(CheckFile(path=kernel_file, expect="200"), Context())).ok
    assert write(kernel_file, before, expect="200").ok
    assert text(kernel_file) == before
    assert one(perform(CheckFile(path=kernel_file, expect="200"), Context())).ok is False


def test_a_file_that_somebody_else_wrote_is_left_alone(kernel_file):
    reading = write(kernel_file, "200", expect="300")
    assert reading.ok is False
    assert "somebody else wrote it; left alone" in reading.evidence
    assert text(kernel_file) == "100"


def test_a_value_that_the_kernel_changes_is_no_success(kernel_file):
    reading = write(kernel_file, "0200")  # octal, to the kernel
    assert reading.ok is False
    assert "reads '128'" in reading.evidence


def test_what_the_kernel_refuses_says_why(kernel_file):
    with pytest.raises(OperationFailed, match=r"cannot be written to .*: Invalid argument"):
        write(kernel_file, "nonsense")


def test_an_ordinary_file_is_never_written(tmp_path):
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(OperationFailed, match="no kernel file"):
        write(path, "theirs")
    assert path.read_text() == "mine"


def test_a_link_is_not_followed(tmp_path, kernel_file):
    link = tmp_path / "link"
    link.symlink_to(kernel_file)
    with pytest.raises(OperationFailed, match="cannot be opened"):
        write(link, "200")
    assert text(kernel_file) == "100"


def test_a_file_that_is_gone_is_never_created(tmp_path):
    path = tmp_path / "gone"
    assert write(path, "1").ok is False
    assert write(path, "1", gone_is_fine=True).ok
    assert one(perform(CheckFile(path=str(path), expect="1"), Context())).ok is False
    assert not path.exists()
    assert not list(tmp_path.iterdir())
