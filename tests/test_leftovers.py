"""The check that every session of these tests ends with can fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text()


@pytest.fixture
def session(pytester, monkeypatch):
    """Run tests under our conftest.py, in a session and with a state of their own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("SQUALL_TEST_STATE")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    pytester.makeconftest(CONFTEST.replace("+ 6.0", "+ 0.1"))

    def session(body: str):
        pytester.makepyfile(body)
        return pytester.runpytest_subprocess()

    return session


def test_a_process_of_a_run_that_outlives_its_test_fails_the_session(session):
    result = session(
        """
        import os, subprocess
        def test_leaves():
            left = subprocess.Popen(["sleep", "60"], env=os.environ | {"SQUALL_RUN": "r"}, start_new_session=True)
            open("left", "w").write(str(left.pid))
            left.returncode = 0  # nobody waits for it
        """
    )
    os.kill(int(Path("left").read_text()), signal.SIGKILL)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left behind by this session: *sleep 60*"])


def test_an_armed_journal_fails_the_session(session):
    result = session(
        """
        import os, pathlib
        def test_leaves():
            armed = pathlib.Path(os.environ["XDG_STATE_HOME"], "squall", "armed")
            armed.mkdir(parents=True)
            (armed / "r.jsonl").write_text("{}")
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left behind by this session: *r.jsonl*"])


def test_a_session_that_leaves_nothing_passes_and_its_state_is_gone(session):
    result = session(
        """
        import os, pathlib
        def test_clean():
            pathlib.Path("state").write_text(os.environ["XDG_STATE_HOME"])
        """
    )
    result.assert_outcomes(passed=1)
    assert not Path(Path("state").read_text()).exists()
