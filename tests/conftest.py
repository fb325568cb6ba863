"""What every test session promises: its own state directory, nothing left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "tests.cluster_parts"]

_OUTER = "SQUALL_TEST_STATE"

# how long an example takes says how busy the machine is, not whether a property holds
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the state of this session's runs apart; the path is short because sockets live below it."""
    if _OUTER not in os.environ:
        config.add_cleanup(_isolate())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long forms, unless they are asked for."""
    if os.environ.get("SQUALL_LONG") == "1":
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in set(long)]


def _isolate():
    before = os.environ.get("XDG_STATE_HOME")
    state = tempfile.mkdtemp(prefix="squall-")
    os.environ["XDG_STATE_HOME"] = os.environ[_OUTER] = state

    def restore() -> None:
        del os.environ[_OUTER]
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before
        shutil.rmtree(state, ignore_errors=True)

    return restore


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail the session when a process of Squall's, an armed journal, a helper or a record in the cluster outlives its tests."""
    from tests.cluster_parts import patience

    since = time.time()
    yield
    deadline = time.monotonic() + 6.0 + patience()
    while (left := _left_behind(since)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"left behind by this session: {left}"


def _left_behind(since: float) -> list[str]:
    from tests.cluster_parts import leftovers  # not earlier: pytest rewrites that module's asserts

    return [*_processes(), *_journals(), *leftovers(since)]


def _processes() -> Iterator[str]:
    """Processes that carry this session's state directory and are runs, guardians, proxies, workers or targets."""
    mark = f"{_OUTER}={os.environ[_OUTER]}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        marked = any(variable.startswith(b"SQUALL_RUN=") for variable in environment)
        if mark in environment and (marked or "-m runner." in command):
            yield f"pid {entry.name}: {command[:100]}"


def _journals() -> Iterator[str]:
    """Journals that are still armed: a run that ended well leaves none."""
    armed = Path(os.environ["XDG_STATE_HOME"]) / "squall" / "armed"
    if armed.is_dir():
        yield from (f"journal {path}" for path in armed.rglob("*.jsonl"))
