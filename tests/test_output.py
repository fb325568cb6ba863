"""An output that nobody takes costs no verdict: a reader that goes away, a closed descriptor, a full disk; an early Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from runner.cli.output import Output
from tests.runs import SQUALL, Workplace, left_of

KILL = "  kill-one: {kind: kill, target: shop, pick: 1, at: 0s, for: 1s}"
FULL = "the output could not be written: No space left on device\n"


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def in_shell(place, line, *arguments):
    """Run squall where a shell arranges its output; return its own exit code and what was on stderr."""
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}", "bash", *SQUALL, *map(str, arguments)],
        env=place.variables,
        cwd=place.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"$@" | head -1', ""),
        ('"$@" >&-', ""),
        ('"$@" >/dev/full', FULL),
        ('"$@" 2>&1 >/dev/full | true', ""),
    ],
    ids=["no-reader", "closed", "full", "full-and-nobody-to-tell"],
)
def test_a_run_whose_output_nobody_takes_goes_on_and_keeps_its_own_code(place, line, said):
    scenario = place.scenario(KILL, expect="[{during kill-one: error_rate < 60%}]")
    code, errors = in_shell(place, line, *place.run_arguments(scenario), "--plain")
    verdict = place.verdict()
    expected = {"passed": 0, "inconclusive": 3}  # so on a busy machine; neither is click's own 1
    assert (code, errors) == (expected[verdict["outcome"]], said)
    [fault] = verdict["faults"]
    assert fault["reverted_by"] == "runner"
    for name in ("report.txt", "report.html", "junit.xml"):
        assert (place.folders()[-1] / name).stat().st_size > 0
    assert left_of(place.folders()[-1].name) == []


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [('"$@" | true', 141, ""), ('"$@" >&-', 0, ""), ('"$@" >/dev/full', 74, FULL)],
    ids=["no-reader", "closed", "full"],
)
@pytest.mark.parametrize("verb", ["plan", "schema", "list"])
def test_a_verb_that_only_prints_says_in_its_code_that_it_could_not(place, verb, line, code, said):
    arguments = {
        "plan": ("plan", place.scenario(KILL), "--env", place.environment),
        "schema": ("schema",),
        "list": ("list",),
    }
    assert in_shell(place, line, *arguments[verb]) == (code, said)


def test_a_pipe_of_our_own_that_breaks_is_a_defect_and_no_broken_assertion(place):
    broken = (
        "import runner.cli.describing as d\n"
        "def breaks(**_): raise BrokenPipeError\n"
        "d.schema_verb.callback = breaks\n"
        "from runner.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, "schema"],
        env=place.variables,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 70, done.stderr


def test_an_output_that_does_not_wait_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    text, got = b"x" * 1_000_000, []
    with os.fdopen(reading, "rb", buffering=0) as reader:
        late = threading.Timer(0.2, lambda: got.extend(iter(lambda: reader.read(65536), b"")))
        late.start()
        with Output(writing, "w") as output:
            rest = memoryview(text)
            while rest:
                rest = rest[output.write(rest) :]
            assert output.error is None
        late.join()
    assert b"".join(got) == text


def test_an_interrupt_while_squall_is_still_imported_is_said_in_one_line(place, tmp_path):
    slow = tmp_path / "click.py"  # found before the real one: its import is when the signal comes
    slow.write_text("import os, time\nopen('importing', 'w').close()\ntime.sleep(60)\n")
    running = subprocess.Popen(
        [sys.executable, "-c", "from runner.cli import main; main()", "list"],
        env={**place.variables, "PYTHONPATH": f"{tmp_path}:{place.variables['PYTHONPATH']}"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 20
    while not (tmp_path / "importing").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=20)
    assert (running.returncode, output) == (4, "halted: interrupted before anything was injected\n")
