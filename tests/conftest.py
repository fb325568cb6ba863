"""What every test session promises: its own state directory, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "tests.cluster_parts"]

_OUTER = "SQUALL_TEST_STATE"
ELSEWHERE = {  # files that share the engine and the cluster, or boot another kernel: one after the other; and those of the last line
    "test_bystander_elsewhere.py", "test_cluster_parts.py", "test_faults_afar.py", "test_faults_cluster.py", "test_faults_posted.py", "test_fingerprints.py",
    "test_helper_docker.py", "test_helper_kubernetes.py", "test_indicators_elsewhere.py", "test_indicators_lives.py",
    "test_leftovers_elsewhere.py",
    "test_matrix.py", "test_network_faults.py", "test_rbac.py", "test_remote_docker.py", "test_remote_kubernetes.py",
    "test_run_docker.py", "test_run_kubernetes.py", "test_stock_kernel.py", "test_targets_remote.py",
    "test_early.py", "test_network_cut.py", "test_report_browser.py", "test_torture.py", "test_trials.py",  # they wait beside anything
}  # fmt: skip

# how long an example takes says how busy the machine is, not whether a property holds
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in two lanes, a part of it in this very process."""
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure(config: pytest.Config) -> None:
    """Keep the state of this lane's runs apart; the path is short because sockets live below it.

    A session in the background was told to ignore Ctrl-C and hang-ups, and so would be all that it starts.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    if _OUTER not in os.environ or hasattr(config, "workerinput"):
        config.add_cleanup(_isolate())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two lanes: what an engine, a cluster or another kernel does, which mostly waits; and all that happens here."""
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "elsewhere" if Path(nodeid.partition("::")[0]).name in ELSEWHERE else "here"

    return Lanes(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a test in the wrong lane; leave out the long forms, unless they are asked for."""
    for item in items:
        if {"engine", "cluster"} & set(getattr(item, "fixturenames", ())) and item.path.name not in ELSEWHERE:
            raise pytest.UsageError(f"{item.nodeid} uses an engine or a cluster: add its file to ELSEWHERE")
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
